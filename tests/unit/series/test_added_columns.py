"""The rows that came in go out again, whatever kind of frame they are in."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tsfm.errors import DataError
from tsfm.series.added_columns import read_with_rows, refuse_present, with_columns

ROWS = {
    "item_id": ["b", "a", "b", "a"],
    "timestamp": [2, 7, 1, 4],
    "target": [20.0, None, 10.0, 40.0],
    "note": ["x", "y", None, "z"],
}


def test_every_row_knows_its_step_and_gaps_belong_to_none():
    _, series, steps = read_with_rows(pl.DataFrame(ROWS))
    # Steps of a: 4, 5, 6, 7; of b: 1, 2.
    assert steps.tolist() == [5, 3, 4, 0]
    np.testing.assert_array_equal(series.values[steps, 0], [20, np.nan, 10, 40])


def test_a_frame_without_an_id_and_with_other_names_is_read_the_same():
    frame = pl.DataFrame({"when": [3, 1], "load": [30.0, 10.0]})
    _, series, steps = read_with_rows(frame, timestamp_column="when", target="load")
    assert series.values[steps, 0].tolist() == [30.0, 10.0]


def test_stamps_in_the_index_of_a_pandas_frame_are_found():
    stamps = pd.date_range("2024-01-01", periods=3, freq="h")[::-1]
    frame = pd.DataFrame({"target": [3.0, 2.0, 1.0]}, index=stamps)
    data, series, steps = read_with_rows(frame)
    assert series.values[steps, 0].tolist() == [3.0, 2.0, 1.0]
    assert with_columns(data, {"extra": steps * 1.0}).index.equals(stamps)


def test_polars_keeps_rows_and_types_and_says_null():
    frame = pl.DataFrame(ROWS).with_columns(pl.col("note").cast(pl.Categorical))
    found = with_columns(frame, {"extra": np.array([1.0, np.nan, 2.0, 3.0])})
    assert found.drop("extra").equals(frame)
    assert found["extra"].to_list() == [1.0, None, 2.0, 3.0]


def test_a_lazy_frame_comes_back_lazy():
    data, _, steps = read_with_rows(pl.DataFrame(ROWS).lazy())
    found = with_columns(data, {"extra": steps * 1.0}, is_lazy=True)
    assert isinstance(found, pl.LazyFrame)
    assert found.collect()["extra"].to_list() == [5.0, 3.0, 4.0, 0.0]


def test_pandas_keeps_index_and_types():
    frame = pd.DataFrame(ROWS, index=[9, 9, 3, 1]).astype({"note": "category"})
    found = with_columns(frame, {"extra": np.array([1.0, np.nan, 2.0, 3.0])})
    pd.testing.assert_frame_equal(found.drop(columns="extra"), frame)
    assert found["extra"].isna().tolist() == [False, True, False, False]
    assert "extra" not in frame.columns


def test_arrow_gets_a_column_more():
    table = pa.table(ROWS)
    found = with_columns(table, {"extra": np.array([1.0, np.nan, 2.0, 3.0])})
    assert found.drop_columns(["extra"]).equals(table)
    assert found["extra"].to_pylist() == [1.0, None, 2.0, 3.0]


def test_an_arrow_batch_comes_back_as_a_table():
    batch = pa.RecordBatch.from_pydict(ROWS)
    data, series, steps = read_with_rows(batch)
    assert isinstance(series.to_origin(series.frame), pa.Table)
    found = with_columns(data, {"extra": steps * 1.0})
    assert found.drop_columns(["extra"]).equals(pa.table(ROWS))
    assert found["extra"].to_pylist() == [5.0, 3.0, 4.0, 0.0]


@pytest.mark.parametrize("kind", [pl.DataFrame, pl.LazyFrame, pd.DataFrame, pa.table])
def test_a_column_that_is_to_be_added_must_not_be_there(kind):
    with pytest.raises(DataError, match=r"name of one that is added, got \['note'\]; rename"):
        refuse_present(kind(ROWS), ("extra", "note"))
    refuse_present(kind(ROWS), ("extra",))
