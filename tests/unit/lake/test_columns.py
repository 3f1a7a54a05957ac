"""What is missing in a column, and when two are the same."""

import numpy as np
import pyarrow as pa

from tsfm.lake.columns import as_numbers, is_missing
from tsfm.lake.verify import same


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
