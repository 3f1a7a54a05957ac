"""Whatever type a number has, it is read as that number; what is none is named."""

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.series.frame import SeriesFrame

NAN = np.nan
HOURS = pd.date_range("2024-01-01", periods=3, freq="h")


def one_item(stamps: Any, values: Any = None, **columns: Any) -> pd.DataFrame:
    """Return a frame of these stamps; values count from zero."""
    values = np.arange(len(stamps), dtype=float) if values is None else values
    return pd.DataFrame({"timestamp": stamps, "target": values, **columns})


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1, None, 3], dtype=pl.Int8),
        pl.Series([1, None, 3], dtype=pl.UInt64),
        pl.Series([1, None, 3], dtype=pl.Float32),
        pl.Series([Decimal("1.00"), None, Decimal("3.00")]),
        pl.Series(["1", None, " 3.0 "]),
        pl.Series(["1", "NA", "3"], dtype=pl.Categorical),
        *(
            pl.Series(["1", missing, "3"])
            for missing in ("", "NA", "n/a", "nan", "NaN", "null", "None")
        ),
    ],
)
def test_numbers_of_any_type_become_float64(values: pl.Series) -> None:
    series = SeriesFrame.from_any(pl.DataFrame({"timestamp": [1, 2, 3], "target": values}))
    np.testing.assert_array_equal(series.values[:, 0], [1.0, NAN, 3.0])
    assert series.values.dtype == np.float64


@pytest.mark.parametrize(
    "values",
    [
        pd.array([1, None, 3], dtype="Int64"),
        pd.array([1.0, None, 3.0], dtype="Float32"),
        pd.array([1.0, None, 3.0], dtype="double[pyarrow]"),
        np.array([Decimal(1), None, Decimal(3)], dtype=object),
        np.array([1, None, 3.0], dtype=object),
        np.array([1, None, "3"], dtype=object),
    ],
)
def test_nullable_and_object_columns_of_pandas_become_float64(values: Any) -> None:
    series = SeriesFrame.from_any(one_item([1, 2, 3], values))
    np.testing.assert_array_equal(series.values[:, 0], [1.0, NAN, 3.0])


def test_truth_values_count_as_one_and_zero() -> None:
    values = pd.array([True, None, False], dtype="boolean")
    series = SeriesFrame.from_any(one_item([1, 2, 3], values))
    np.testing.assert_array_equal(series.values[:, 0], [1.0, NAN, 0.0])


def test_float32_values_are_not_changed() -> None:
    values = np.array([0.1, 1e-30], np.float32)
    assert SeriesFrame.from_any(one_item([1, 2], values)).values[:, 0].tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.inf, -np.inf], r"got an infinite value at 2024-01-01 01:00:00 \(2 such rows\)"),
        (["1", "2", "five"], r"got 'five', which is no number, at 2024-01-01 02:00:00 \(1 such r"),
        ([1.0, "five", 2.0], r"got 'five', which is no number, at 2024-01-01 01:00:00"),
        (["1,5", "2", "x"], r"got '1,5', which is no number, at 2024-01-01 00:00:00 \(2 such"),
        (["1", "inf", "2"], r"got an infinite value at 2024-01-01 01:00:00 \(1 such row\); make"),
    ],
)
def test_a_value_that_is_no_number_is_named(values: list[Any], message: str) -> None:
    frame = one_item(HOURS, pd.Series(values), item_id=["x", "y", "y"])
    bad_item = "x" if "1,5" in values else "y"
    with pytest.raises(DataError, match=rf"b.csv: item '{bad_item}', column 'target': {message}"):
        SeriesFrame.from_any(frame, sources=[("a.csv", 0), ("b.csv", 3)])


@pytest.mark.parametrize(
    ("values", "kind"),
    [([date(2024, 1, 1)] * 2, "Date"), ([[1.0], [2.0]], "List"), ([{"a": 1}] * 2, "Struct")],
)
def test_a_column_that_holds_no_numbers_is_refused(values: list[Any], kind: str) -> None:
    frame = pl.DataFrame({"timestamp": [1, 2], "target": values})
    with pytest.raises(DataError, match=f"column 'target' must hold numbers, got {kind}.*; cast"):
        SeriesFrame.from_any(frame)


def test_columns_that_nobody_asked_for_do_not_matter() -> None:
    odd = pd.Series([{"a": 1}, "text"], dtype=object)
    assert SeriesFrame.from_any(one_item([1, 2], note=odd)).n_items == 1
