"""A level that nobody trained must fit between its neighbours, or intervals would be nonsense."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import ConfigError, NotCalibratedError
from tsfm.tasks.forecasting.quantiles import at_levels, check_calibrated, check_levels

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LEVELS = st.floats(1e-6, 1 - 1e-6)


def of_one_step(quantiles, trained, asked):
    return at_levels(np.array(quantiles, np.float64)[None, :, None], trained, asked)[0, :, 0]


def normal(levels):
    return np.array([NormalDist().inv_cdf(level) for level in levels])


def test_between_and_beyond_the_trained_levels_a_normal_variable_is_exact():
    asked = (0.001, 0.05, 0.123, 0.5, 0.77, 0.95, 0.999)
    found = of_one_step(3 + 2 * normal(DECILES), DECILES, asked)
    np.testing.assert_allclose(found, 3 + 2 * normal(asked), rtol=1e-12)


@given(st.lists(st.floats(-1e30, 1e30), min_size=9, max_size=9), st.permutations(DECILES))
def test_a_trained_level_comes_back_to_the_bit(values, asked):
    found = of_one_step(sorted(values), DECILES, tuple(asked))
    expected = dict(zip(DECILES, sorted(values), strict=True))
    np.testing.assert_array_equal(found, [expected[level] for level in asked])


@given(
    st.lists(st.floats(-1e30, 1e30), min_size=9, max_size=9),
    st.lists(LEVELS, min_size=2, max_size=20, unique=True),
)
def test_quantiles_never_cross(values, asked):
    found = of_one_step(sorted(values), DECILES, tuple(sorted(asked)))
    assert (np.diff(found) >= 0).all()


@given(st.lists(st.floats(-1e30, 1e30), min_size=9, max_size=9), LEVELS, LEVELS)
def test_a_level_does_not_depend_on_what_else_is_asked(values, level, other):
    alone = of_one_step(sorted(values), DECILES, (level,))
    np.testing.assert_array_equal(of_one_step(sorted(values), DECILES, (other, level))[1:], alone)


@given(st.floats(-1e300, 1e300), st.lists(LEVELS, min_size=1, max_size=5))
def test_equal_quantiles_give_that_value_at_any_level(value, asked):
    np.testing.assert_array_equal(of_one_step([value] * 9, DECILES, tuple(asked)), value)


@pytest.mark.parametrize("trained", [(), (0.5,)])
def test_a_point_model_has_its_point_for_the_median_alone(trained):
    np.testing.assert_array_equal(of_one_step([7], trained, (0.5, 0.5)), [7, 7])
    with pytest.raises(
        NotCalibratedError, match=r"must be \[0\.5\].* got \[0\.1, 0\.5\]; pass \[0\.5\] or use a"
    ):
        of_one_step([7], trained, (0.1, 0.5))


def test_a_model_of_one_level_has_that_level_alone():
    check_calibrated((0.9,), (0.9,))
    with pytest.raises(NotCalibratedError, match=r"must be \[0\.9\] .* got \[0\.5\]"):
        check_calibrated((0.9,), (0.5,))


@pytest.mark.parametrize(
    ("levels", "shown"),
    [
        ([], r"\[\]"),
        ([0.5, 0.5], r"\[0\.5, 0\.5\]"),
        ([0.0], r"\[0\.0\]"),
        ([0.5, 1], r"\[0\.5, 1\]"),
        ([10, 90], r"\[10, 90\]"),
        ([float("nan")], r"\[nan\]"),
        (["median"], r"\['median'\]"),
        (0.9, r"0\.9"),
        (None, "None"),
    ],
)
def test_levels_that_are_none_are_refused(levels, shown):
    with pytest.raises(ConfigError, match=f"different numbers between 0 and 1, got {shown}; pass"):
        check_levels(levels)


def test_levels_keep_their_order():
    assert check_levels(np.array([0.9, 0.25])) == (0.9, 0.25)
