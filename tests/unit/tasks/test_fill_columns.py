"""A value that is put into a column must not touch its neighbours, whatever the type."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import tsfm
from tsfm.errors import DataError
from tsfm.tasks.imputation.columns import as_type, put

N_ROWS = 120
MISSING = [*range(60, 70), *range(101, N_ROWS)]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.float64(), 0.1, 0.1),
        (pa.float32(), 1e300, float(np.finfo(np.float32).max)),
        (pa.float16(), 0.5, 0.5),
        (pa.int8(), 300.0, 127),
        (pa.int64(), 1e30, int(np.nextafter(2.0**63, 0))),
        (pa.uint8(), -3.0, 0),
        (pa.bool_(), 0.7, True),
        (pa.decimal128(6, 2), 1.239, Decimal("1.24")),
        (pa.decimal128(4, 2), 1e9, Decimal("99.99")),
        (pa.string(), 0.25, "0.25"),
    ],
)
def test_a_number_takes_the_type_of_its_column(kind, value, expected):
    (found,) = as_type(np.array([value]), kind).to_pylist()
    assert found == expected


def test_a_column_of_stamps_takes_no_numbers():
    with pytest.raises(DataError, match=r"a target must hold numbers, got a column of timestamp"):
        as_type(np.array([1.0]), pa.timestamp("us"))


def test_observed_values_stay_to_the_bit():
    bits = np.array([0x7FF8000000000001, 0x3FF0000000000000, 0x7FF8000000000002], np.int64)
    column = pa.chunked_array([pa.array(bits.view(np.float64)), pa.array([None, 2.0])])
    found = put(column, np.array([3]), np.array([7.0]))
    assert found.combine_chunks()[:3].view("int64").to_pylist() == bits.tolist()
    assert found.to_pylist()[3:] == [7.0, 2.0]
    assert found.type == column.type
    assert put(column, np.array([], np.int64), np.array([])) is column


def rising(of_row: Callable[[int], Any]) -> list[Any]:
    """A line with a gap and an end that is missing, where it goes on rising."""
    return [None if row in MISSING else of_row(row) for row in range(N_ROWS)]


def filled(column: Any) -> list[Any]:
    """Impute a frame of any kind, and return its targets; the observed ones must be the same."""
    content = {"timestamp": range(N_ROWS), "target": column}
    if isinstance(column, pl.Series):
        frame: Any = pl.DataFrame(content)
    elif isinstance(column, pa.Array):
        frame = pa.table({"timestamp": list(range(N_ROWS)), "target": column})
    else:
        frame = pd.DataFrame(content)
    found = tsfm.impute(frame)
    before, after = frame["target"], found["target"]
    kinds = [one.type if isinstance(column, pa.Array) else one.dtype for one in (before, after)]
    assert kinds[0] == kinds[1]
    values = [
        one.to_pylist() if isinstance(column, pa.Array) else list(one) for one in (before, after)
    ]
    seen = [row for row in range(N_ROWS) if row not in MISSING]
    assert [values[0][row] for row in seen] == [values[1][row] for row in seen]
    return values[1]


def whole(share: float, most: int) -> list[Any]:
    return rising(lambda row: int(share * most / 100 * row))


@pytest.mark.parametrize(
    ("column", "most"),
    [
        (pd.array(whole(0.99, 127), dtype="Int8"), 127),
        (pd.array(whole(0.99, 255), dtype="UInt8"), 255),
        (pd.array(whole(0.99, 127), dtype="int8[pyarrow]"), 127),
        (pl.Series(whole(0.99, 127), dtype=pl.Int8), 127),
        (pa.array(whole(0.99, 255), pa.uint8()), 255),
        (pd.array(whole(0.99, 2**63), dtype="Int64"), 2**63 - 1024),
        (pd.array(whole(0.99, 2**64), dtype="UInt64"), 2**64 - 2048),
    ],
)
def test_whole_numbers_stay_in_the_range_of_their_type(column, most):
    assert filled(column)[-1] == most


@pytest.mark.parametrize("kind", [pa.decimal128(3, 2), pa.decimal256(3, 2)])
@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_decimals_stay_in_the_range_of_their_type(kind, library):
    column: Any = pa.array(rising(lambda row: Decimal(row * 9) / 100), kind)
    if library == "pandas":
        column = pd.array(column, dtype=pd.ArrowDtype(kind))
    if library == "polars":
        column = pl.Series(rising(lambda row: Decimal(row * 9) / 100), dtype=pl.Decimal(3, 2))
    found = filled(column)
    assert found[-1] == Decimal("9.99")
    assert found[65] == Decimal("5.85")


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("library", [np.asarray, pl.Series, pa.array])
def test_floats_stay_finite(kind, library):
    most = float(np.finfo(kind).max)
    numbers = rising(lambda row: most / 100.5 * row)
    column = np.array([np.nan if one is None else one for one in numbers]).astype(kind)
    column = pa.array(column, from_pandas=True) if library is pa.array else library(column)
    content = {"timestamp": list(range(N_ROWS)), "target": column}
    kinds = {np.asarray: pd.DataFrame, pl.Series: pl.DataFrame, pa.array: pa.table}
    found = np.asarray(tsfm.impute(kinds[library](content))["target"], np.float64)
    assert np.isfinite(found).all()
    assert found[-1] == most


@pytest.mark.parametrize(
    ("of_row", "kind", "value"),
    [
        (int, int, 65),
        (np.int16, np.int16, 65),
        (float, float, 65.0),
        (lambda row: row % 2 == 0, bool, None),
        (lambda row: Decimal(row) / 4, Decimal, Decimal("16.25")),
        (lambda row: row if row % 2 else Decimal(row), Decimal, Decimal(65)),
        (lambda row: row if row % 2 else float(row), float, 65.0),
        (str, str, None),
    ],
)
def test_objects_are_filled_with_objects_of_their_type(of_row, kind, value):
    found = filled(pd.Series(rising(of_row), dtype=object))
    assert {type(found[row]) for row in MISSING} == {kind}
    assert value is None or abs(found[65] - value) <= kind(1) / 50


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pd.Series(rising(float)).astype("category"), "category"),
        (pd.Series(rising(float)).astype("Sparse[float64]"), "Sparse"),
        (pl.Series(rising(str), dtype=pl.Enum([str(row) for row in range(N_ROWS)])), "Enum"),
        (pa.array(rising(float)).dictionary_encode(), "dictionary<values=double"),
    ],
)
def test_columns_that_take_no_new_value_are_refused(column, kind):
    message = f"column 'target' must take new values to be filled, got {kind}"
    with pytest.raises(DataError, match=message):
        filled(column)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(rising(str), dtype=pl.Categorical),
        pa.array(rising(str)).dictionary_encode(),
        pa.array(rising(str)),
    ],
)
def test_text_is_filled_with_text(column):
    assert float(filled(column)[65]) == pytest.approx(65, abs=0.5)


def test_other_columns_may_be_decimals_that_polars_does_not_know():
    table = pa.table(
        {
            "timestamp": list(range(N_ROWS)),
            "target": pa.array(rising(float)),
            "other": pa.array([Decimal(1)] * N_ROWS, pa.decimal256(60, 2)),
        }
    )
    assert tsfm.impute(table).column("other").equals(table.column("other"))
    assert tsfm.detect(table).column("other").equals(table.column("other"))
    assert tsfm.forecast(table, prediction_length=2).num_rows == 2


@pytest.mark.parametrize(
    "kind", [pa.bool_(), pa.int8(), pa.float32(), pa.decimal128(5, 2), pa.string()]
)
def test_slices_and_chunks_keep_what_was_there(kind: pa.DataType) -> None:
    values = [None if 20 <= row < 24 else row % 3 == 0 for row in range(60)]
    whole = pa.chunked_array([pa.array(values).cast(pa.int8()).cast(kind)])
    for column in (
        whole,
        whole.slice(3),
        pa.chunked_array([*whole.slice(0, 22).chunks, *whole.slice(22).chunks]),
    ):
        rows = np.flatnonzero(column.is_null().to_numpy())
        filled = put(column, rows, np.ones(len(rows)))
        assert filled.type == kind
        kept = np.setdiff1d(np.arange(len(column)), rows)
        assert filled.take(pa.array(kept)).equals(column.take(pa.array(kept)))
        assert [float(one) for one in filled.take(pa.array(rows)).to_pylist()] == [1.0] * 4
