"""Published numbers hang on the borders; a step in two parts is a leak."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import ConfigError
from tsfm.series.splits import split_by_fraction, split_by_rows


def test_borders_of_the_long_term_benchmarks() -> None:
    assert split_by_rows(np.array([17420]), (8640, 2880, 2880)).sizes.tolist() == [
        [8640, 2880, 2880]
    ]
    # Exchange and weather as others cut them: train and test rounded down.
    assert split_by_fraction(np.array([7588, 52696])).sizes.tolist() == [
        [5311, 760, 1517],
        [36887, 5270, 10539],
    ]


@given(
    st.lists(st.integers(0, 10_000), max_size=5),
    st.sampled_from([(0.7, 0.1, 0.2), (0.9, 0.1, 0.0), (0.6, 0.0, 0.4), (1.0, 0.0, 0.0)]),
)
def test_parts_are_in_order_and_cover_every_step(lengths, fractions) -> None:
    split = split_by_fraction(np.array(lengths, np.int64), fractions)
    assert (split.sizes >= 0).all()
    assert split.sizes.sum(1).tolist() == lengths
    assert (split.train_end >= np.minimum(lengths, 1)).all()


def test_a_part_that_is_not_asked_for_is_empty() -> None:
    for length in range(1, 30):
        assert split_by_fraction(np.array([length]), (0.6, 0.0, 0.4)).sizes[0, 1] == 0
        assert split_by_fraction(np.array([length]), (0.6, 0.4, 0.0)).sizes[0, 2] == 0


def test_a_share_that_is_whole_in_decimals_stays_whole() -> None:
    assert split_by_fraction(np.array([10, 100])).sizes.tolist() == [[7, 1, 2], [70, 10, 20]]


@pytest.mark.parametrize("fractions", [(0.7, 0.1, 0.1), (0.0, 0.5, 0.5), (1.2, -0.4, 0.2)])
def test_fractions_must_add_up(fractions) -> None:
    with pytest.raises(ConfigError, match=r"add up to 1, got \("):
        split_by_fraction(np.array([10]), fractions)


def test_rows_must_fit_the_shortest_series() -> None:
    with pytest.raises(ConfigError, match=r"got \(5, 3, 3\) for 10 steps"):
        split_by_rows(np.array([20, 10]), (5, 3, 3))


@pytest.mark.parametrize("rows", [(0, 3, 3), (5, -1, 3)])
def test_rows_must_leave_something_to_train_on(rows) -> None:
    with pytest.raises(ConfigError, match="some for training, got"):
        split_by_rows(np.array([20]), rows)
