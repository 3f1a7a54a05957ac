"""Spreadsheets are wide: a value that landed in another item's series would never be noticed."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tsfm
from tsfm.errors import DataError
from tsfm.series.frame import SeriesFrame
from tsfm.series.reshape import to_long
from tsfm.series.validation import ColumnNamesWarning

WIDE = pl.DataFrame(
    {"timestamp": [1, 2, 3], "b": [1.0, None, 3.0], "a": [4, 5, 6], "on": [True, False, True]}
)
KINDS = {
    "pandas": (pl.DataFrame.to_pandas, pd.DataFrame),
    "polars": (pl.DataFrame.clone, pl.DataFrame),
    "polars_lazy": (pl.DataFrame.lazy, pl.LazyFrame),
    "pyarrow": (pl.DataFrame.to_arrow, pa.Table),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_column_becomes_an_item_of_the_same_kind_of_frame(kind: str) -> None:
    convert, returned = KINDS[kind]
    long = to_long(convert(WIDE))
    assert isinstance(long, returned)
    series = SeriesFrame.from_any(long)
    assert series.items.to_list() == ["a", "b", "on"]
    np.testing.assert_array_equal(
        series.values[:, 0].reshape(3, 3), [[4, 5, 6], [1, np.nan, 3], [1, 0, 1]]
    )


def test_columns_come_in_the_order_id_stamp_target() -> None:
    assert to_long(WIDE).columns == ["item_id", "timestamp", "target"]
    named = to_long(
        WIDE.rename({"timestamp": "when"}),
        timestamp_column="when",
        id_column="shop",
        target="sales",
    )
    assert named.columns == ["shop", "when", "sales"]
    assert named.height == 9


@pytest.mark.parametrize("name", [None, "timestamp", "date"])
def test_stamps_may_be_the_index_of_a_pandas_frame(name: str | None) -> None:
    index = pd.date_range("2024-01-01", periods=3, freq="D", name=name)
    long = to_long(pd.DataFrame({"a": [1.0, 2.0, 3.0], 7: [4.0, 5.0, 6.0]}, index=index))
    series = SeriesFrame.from_any(long)
    assert series.items.to_list() == ["7", "a"]
    assert series.values[:, 0].tolist() == [4, 5, 6, 1, 2, 3]
    assert series.freq == "D"


def test_a_frame_with_ds_gets_the_other_names_of_its_kind() -> None:
    wide = WIDE.rename({"timestamp": "ds"})
    assert to_long(wide).columns == ["unique_id", "ds", "y"]
    assert to_long(wide, id_column="shop").columns == ["shop", "ds", "y"]
    with pytest.warns(ColumnNamesWarning):
        assert SeriesFrame.from_any(to_long(wide)).items.to_list() == ["a", "b", "on"]


def test_an_item_may_be_called_target_when_the_values_are_not() -> None:
    wide = pl.DataFrame({"timestamp": [1, 2], "target": [1.0, 2.0], "item_id": [3.0, 4.0]})
    long = to_long(wide, id_column="sensor", target="value")
    assert long["sensor"].to_list() == ["target", "target", "item_id", "item_id"]


def test_the_public_name_is_this_function() -> None:
    assert tsfm.to_long is to_long


@pytest.mark.parametrize(
    ("wide", "message"),
    [
        (WIDE.drop("timestamp"), r"'timestamp' must be present, got \['b', 'a', 'on'\]; pass time"),
        (WIDE.select("timestamp"), r"numeric columns besides 'timestamp', got none; drop or cast"),
        (WIDE.rename({"a": "item_id"}), r"got columns \['item_id'\]; use the frame as it is if"),
        (WIDE.rename({"a": "target"}), r"got columns \['target'\]; .* pass another id_column= or"),
        (WIDE.with_columns(note=pl.lit("x")), r"besides 'timestamp', got \['note'\]; drop or cast"),
    ],
)
def test_a_frame_that_is_not_wide_is_refused(wide: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_long(wide)


def test_a_wide_frame_is_told_the_way_to_a_long_one() -> None:
    with pytest.raises(
        DataError, match=r"'target' must be present, .*, or tsfm.to_long\(frame\) if"
    ):
        SeriesFrame.from_any(WIDE.drop("on"))
    with pytest.raises(DataError, match=r"'target' must be present, .*; pass id_column="):
        SeriesFrame.from_any(WIDE.select("timestamp", "a"))


def test_columns_of_two_levels_are_refused() -> None:
    pivoted = to_long(WIDE).to_pandas().pivot(index="timestamp", columns="item_id")
    message = r"one level, got 2 levels, such as \('target', 'on'\); select one of the first"
    with pytest.raises(DataError, match=message):
        to_long(pivoted)
    assert to_long(pivoted["target"])["item_id"].unique().tolist() == ["a", "b", "on"]


def unchecked(function: Any) -> Any:
    """Return a function as users call it: the tests check types at every call."""
    return getattr(function, "__wrapped__", function)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"id_column": "x", "target": "x"}, r"must be three names, got \['x', 'timestamp', 'x'\]"),
        ({"id_column": None}, "id_column must be the name of a column as text, got None"),
        ({"target": ["a"]}, r"must be three names, got \['item_id', 'timestamp', \['a'\]\]; pass"),
    ],
)
def test_names_of_the_long_frame_are_three(names: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        unchecked(to_long)(WIDE, **names)


def test_columns_of_two_levels_beside_an_index_of_stamps_are_refused() -> None:
    columns = pd.MultiIndex.from_tuples([("close", "a"), ("close", "b")])
    prices = pd.DataFrame([[1.0, 2.0]], index=pd.DatetimeIndex(["2024-01-01"]), columns=columns)
    with pytest.raises(DataError, match=r"got 2 levels, such as \('close', 'b'\); select one of"):
        to_long(prices)
