"""A value that is put into a column must not touch its neighbours, whatever the type."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tsfm.errors import DataError
from tsfm.lake.columns import as_numbers, as_type, is_missing, put
from tsfm.lake.verify import same


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


def test_missing_is_what_frames_take_as_missing():
    numbers = pa.chunked_array([[1.0, None, float("nan")]])
    assert is_missing(numbers).tolist() == [False, True, True]
    assert as_numbers(numbers).to_pylist() == [1.0, None, None]
    assert is_missing(pa.chunked_array([["1", " NaN ", "", None]])).tolist() == [False, *[True] * 3]
    assert as_numbers(pa.chunked_array([[True, None]])).to_pylist() == [1.0, None]


def test_bits_are_compared_and_not_numbers():
    nan, other = (np.array([bits], np.int64).view(np.float64) for bits in (2047 << 52 | 1, -1))
    one, two = (pa.chunked_array([pa.array(number)]) for number in (nan, other))
    assert same(one, one)
    assert not same(one, two)
    assert not same(pa.chunked_array([[0.0]]), pa.chunked_array([[-0.0]]))
    nested = pa.chunked_array([[{"a": [float("nan")]}]])
    assert same(nested, nested)
    assert not same(nested, pa.chunked_array([[{"a": [1.0]}]]))
