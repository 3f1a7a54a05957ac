"""All user data comes through this door: what it lets in wrongly, no later check will find."""

from typing import Any
from uuid import UUID

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tsfm.errors import DataError
from tsfm.series.frame import SeriesFrame
from tsfm.series.validation import ColumnNamesWarning, check_names

NAN = np.nan
KINDS = {
    "pandas": (pl.DataFrame.to_pandas, pd.DataFrame),
    "polars": (pl.DataFrame.clone, pl.DataFrame),
    "polars_lazy": (pl.DataFrame.lazy, pl.LazyFrame),
    "pyarrow": (pl.DataFrame.to_arrow, pa.Table),
}


def one_item(stamps: Any, values: Any = None, **columns: Any) -> pd.DataFrame:
    """Return a frame of these stamps; values count from zero."""
    values = np.arange(len(stamps), dtype=float) if values is None else values
    return pd.DataFrame({"timestamp": stamps, "target": values, **columns})


def hours(n: int, start: str = "2024-01-01", **options: Any) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=n, freq="h", **options)


# Kinds of frames


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_frame_is_read_alike_and_given_back(kind: str, tiny_frame) -> None:
    convert, returned = KINDS[kind]
    series = SeriesFrame.from_any(convert(tiny_frame))
    assert series.items.to_list() == ["a", "b"]
    assert series.lengths.tolist() == [48, 36]
    assert series.freq == "h"
    assert series.values[:, 0].tolist() == tiny_frame["target"].to_list()
    assert isinstance(series.to_origin(tiny_frame), returned)


def test_a_narwhals_frame_is_read(tiny_frame) -> None:
    series = SeriesFrame.from_any(nw.from_native(tiny_frame.to_pandas()))
    assert series.values[:, 0].tolist() == tiny_frame["target"].to_list()


@pytest.mark.parametrize("data", [np.ones(3), [1.0], {"target": [1.0]}, pd.Series([1.0])])
def test_what_is_no_frame_is_refused(data: Any) -> None:
    with pytest.raises(DataError, match=f"got {type(data).__name__}; wrap arrays in a frame"):
        SeriesFrame.from_any(data)


def test_ids_that_are_uuids_are_text() -> None:
    ids = [UUID(int=number) for number in (2, 1)]
    series = SeriesFrame.from_any(one_item([1, 1], item_id=ids))
    assert series.items.to_list() == [str(one) for one in sorted(ids)]


def arrow_with(column: Any) -> pa.Table:
    return pa.table({"timestamp": [1, 2], "target": [3.0, 4.0], "other": column})


@pytest.mark.parametrize(
    "column",
    [
        pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
        pa.RunEndEncodedArray.from_arrays([2], ["a"]),
        pa.array([0, 0], pa.timestamp("us", "+05:30")),
    ],
    ids=["interval", "runs", "odd offset"],
)
def test_what_nobody_reads_of_an_arrow_table_does_not_matter(column: Any) -> None:
    assert SeriesFrame.from_any(arrow_with(column)).values[:, 0].tolist() == [3.0, 4.0]


def test_ids_of_an_arrow_type_that_polars_does_not_know_are_text() -> None:
    ids = pa.RunEndEncodedArray.from_arrays([1, 2], ["b", "a"])
    series = SeriesFrame.from_any(arrow_with(ids), id_column="other")
    assert series.items.to_list() == ["a", "b"]


def test_an_arrow_column_that_nobody_can_read_is_named() -> None:
    table = arrow_with(pa.array([0, 0], pa.timestamp("us", "Mars/Base")))
    with pytest.raises(DataError, match=r"column 'other' must be .* tz=Mars/Base\]; cast or drop"):
        SeriesFrame.from_any(table)


def test_a_row_index_that_repeats_does_not_matter(tiny_frame) -> None:
    frame = tiny_frame.to_pandas()
    frame.index = np.zeros(len(frame), int)
    assert SeriesFrame.from_any(frame).values[:, 0].tolist() == tiny_frame["target"].to_list()


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_columns_of_one_name_are_refused(kind: str) -> None:
    names = ["timestamp", "target", "target"]
    frame: Any = pd.DataFrame([[1, 2.0, 3.0]], columns=names)
    if kind == "pyarrow":
        frame = pa.table([[1], [2.0], [3.0]], names=names)
    with pytest.raises(DataError, match=r"names of their own, got \['target'\] twice; rename"):
        SeriesFrame.from_any(frame)


# Columns


def test_several_targets_are_channels_in_the_order_asked_for() -> None:
    frame = one_item([1, 2], load=[1, 2], wind=[3, 4])
    series = SeriesFrame.from_any(frame, target=["wind", "load"])
    assert series.targets == ("wind", "load")
    assert series.values.tolist() == [[3, 1], [4, 2]]


def test_a_frame_without_an_id_is_one_item() -> None:
    series = SeriesFrame.from_any(one_item([1, 2, 3]))
    assert (series.n_items, series.items.to_list()) == (1, ["0"])
    assert not series.columns.has_id


def test_unique_id_ds_and_y_stand_in_for_absent_default_names(tiny_frame) -> None:
    other = tiny_frame.rename({"item_id": "unique_id", "timestamp": "ds", "target": "y"})
    with pytest.warns(ColumnNamesWarning, match=r"\['unique_id', 'ds', 'y'\]; pass id_column="):
        series = SeriesFrame.from_any(other)
    assert series.values.tolist() == SeriesFrame.from_any(tiny_frame).values.tolist()
    assert series.frame.columns == ["unique_id", "ds", "y"]


def test_a_default_name_that_is_there_wins(tiny_frame) -> None:
    both = tiny_frame.with_columns(pl.lit("x").alias("unique_id"), pl.lit(0.0).alias("y"))
    assert SeriesFrame.from_any(both).items.to_list() == ["a", "b"]


def test_names_given_by_keyword_are_used_without_a_warning(tiny_frame) -> None:
    other = tiny_frame.rename({"item_id": "shop", "timestamp": "when", "target": "sales"})
    series = SeriesFrame.from_any(other, id_column="shop", timestamp_column="when", target="sales")
    assert series.frame.columns == ["shop", "when", "sales"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"target": "targte"}, r"'targte' must be present, got \[.*\]; did you mean 'target'\?"),
        ({"target": ["target", "xyz"]}, r"column 'xyz' must be present, .*; pass id_column="),
        ({"timestamp_column": "time"}, r"a.csv: column 'time' must be present"),
        ({"id_column": "item"}, r"'item' must be present, got .*; did you mean 'item_id'\?"),
        ({"target": []}, r"target must name columns once each, got \[\]"),
        ({"target": ["target", "target"]}, r"once each, got \['target', 'target'\]"),
        ({"target": "timestamp"}, r"must name value columns, got \['timestamp'\] with id_column="),
    ],
)
def test_a_column_that_is_not_there_is_named(names, message: str, tiny_frame) -> None:
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(tiny_frame, sources=[("a.csv", 84)], **names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((None, "ds", "y"), "id_column must be the name of a column as text, got None"),
        (("id", 1, "y"), "timestamp_column must be the name of a column as text, got 1"),
        (("id", "ds", 0), "target must be the name of a column as text, or a list of .*, got 0"),
        (("id", "ds", ["y", 0]), r"or a list of names, got \['y', 0\]"),
    ],
)
def test_a_name_that_is_no_text_is_refused(names, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_names(*names)
    assert check_names("id", "ds", np.array(["y"])) == ["y"]


# Order and gaps


def test_rows_may_come_in_any_order(tiny_frame, generator) -> None:
    shuffled = tiny_frame[generator.permutation(84)]
    series, ordered = SeriesFrame.from_any(shuffled), SeriesFrame.from_any(tiny_frame)
    assert series.values.tolist() == ordered.values.tolist()
    assert series.offsets.tolist() == ordered.offsets.tolist()


def test_a_missing_stamp_becomes_a_missing_value(tiny_frame) -> None:
    series = SeriesFrame.from_any(tiny_frame[[*range(5), *range(8, 50), *range(51, 84)]])
    assert series.lengths.tolist() == [48, 36]
    assert np.flatnonzero(np.isnan(series.values[:, 0])).tolist() == [5, 6, 7, 50]
    rows = series.frame
    assert rows["timestamp"].to_list() == tiny_frame["timestamp"].to_list()
    assert rows["target"].null_count() == 4


def test_null_and_nan_are_both_missing() -> None:
    frame = pl.DataFrame({"timestamp": [1, 2, 3], "target": [None, NAN, 1.0]})
    assert np.isnan(SeriesFrame.from_any(frame).values[:, 0]).tolist() == [True, True, False]


def test_a_gap_much_longer_than_the_series_is_refused() -> None:
    stamps = [*hours(3), pd.Timestamp("2260-01-01")]
    message = r"mostly gaps, got 4 rows on 2068729 steps of freq='h', the longest gap after 2024-01"
    with pytest.raises(
        DataError, match="item '0', column 'timestamp': stamps must not be " + message
    ):
        SeriesFrame.from_any(one_item(stamps))


def test_a_few_long_gaps_are_no_reason_to_refuse() -> None:
    assert SeriesFrame.from_any(one_item([0, 1, 900_000])).lengths.tolist() == [900_001]


# Items


def test_integer_ids_are_in_the_order_of_numbers_and_keep_their_type() -> None:
    frame = one_item([1, 2] * 3, item_id=np.repeat(np.array([10, 9, 100], np.int32), 2))
    series = SeriesFrame.from_any(frame)
    assert series.items.to_list() == [9, 10, 100]
    assert series.frame["item_id"].dtype == pl.Int32
    assert series.values[:, 0].tolist() == [2, 3, 0, 1, 4, 5]


def test_categorical_ids_stay_categorical() -> None:
    ids = pd.Categorical(["b", "b", "a", "a"], categories=["b", "a", "unused"])
    series = SeriesFrame.from_any(one_item([1, 2, 1, 2], item_id=ids))
    assert series.items.to_list() == ["a", "b"]
    assert series.values[:, 0].tolist() == [2, 3, 0, 1]
    assert isinstance(series.to_origin(series.frame)["item_id"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize("missing", [None, NAN])
def test_a_missing_id_is_refused(missing: Any) -> None:
    frame = one_item([1, 2, 3], item_id=[1.0, missing, missing])
    message = r"b.csv: item None, column 'item_id': got a missing id in row 1 of the data \(2 such"
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(frame, sources=[("a.csv", 1), ("b.csv", 2)])


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_ids_that_differ_by_blanks_alone_are_refused(kind: Any) -> None:
    ids = pl.Series(["b", "a ", "c", "a", " b"]).cast(kind)
    frame = pl.DataFrame({"item_id": ids, "timestamp": [1] * 5, "target": [1.0] * 5})
    message = (
        "^a.csv: column 'item_id': ids must differ by more than blanks around them, got 'a' and "
        r"'a ' \(4 ids have such a twin\); strip them, or rename one if they are two items$"
    )
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(frame, sources=[("a.csv", 5)])
    alone = frame.filter(pl.col("item_id").cast(pl.String).is_in(["a ", "c", " b"]))
    assert SeriesFrame.from_any(alone).items.to_list() == [" b", "a ", "c"]


def test_duplicate_stamps_are_refused_and_counted_within_the_item() -> None:
    stamps = [1, 2, 2, 2, 3, 1, 1]
    frame = one_item(stamps, item_id=["a"] * 5 + ["b"] * 2)
    message = (
        "a.csv: item 'a', column 'timestamp': stamps of an item must differ, got 2 duplicate "
        "timestamps, first 2; aggregate them or pass the column that tells them apart as id_column"
    )
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(frame, sources=[("a.csv", 7)])
    with pytest.raises(DataError, match=r"item 'b'.* got 1 duplicate timestamp, first 1;"):
        SeriesFrame.from_any(frame.drop([2, 3]))


# Cutoffs


def test_before_drops_the_last_steps_of_every_item(tiny_frame) -> None:
    series = SeriesFrame.from_any(tiny_frame)
    past = series.before(10)
    assert past.lengths.tolist() == [38, 26]
    assert past.values[:, 0].tolist() == [
        *series.values[:38, 0].tolist(),
        *series.values[48:74, 0].tolist(),
    ]
    assert past.future_timestamps(10).to_list()[:10] == series.frame["timestamp"][38:48].to_list()
    assert series.lengths.tolist() == [48, 36]


def test_before_refuses_to_leave_an_item_empty(tiny_frame) -> None:
    message = r"item 'b' must have more than 36 steps, got 36 \(1 of 2 items are so short\); drop"
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(tiny_frame).before(36)
