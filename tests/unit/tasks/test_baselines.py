"""Baselines are what a model must beat, so they must be right where series are short or gappy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import ConfigError
from tsfm.tasks.forecasting.baselines import SeasonalNaive

NAN = float("nan")


def forecast(forecaster: SeasonalNaive, *series: list[float], horizon: int, levels=(0.5,)):
    values = np.concatenate([np.array(one, np.float64) for one in series])[:, None]
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    return forecaster.forecast_arrays(values, offsets, horizon, levels)[..., 0]


def test_the_last_season_is_repeated_for_each_item():
    found = forecast(SeasonalNaive(3), [9, 1, 2, 3], [4, 5, 6], horizon=4)
    np.testing.assert_array_equal(found[:, 0], [[1, 2, 3, 1], [4, 5, 6, 4]])


def test_a_season_of_one_repeats_the_last_value():
    found = forecast(SeasonalNaive(1), [9, 1, 2], horizon=3)
    np.testing.assert_array_equal(found[0, 0], [2, 2, 2])


def test_a_missing_phase_takes_the_season_before():
    found = forecast(SeasonalNaive(3), [1, 2, 3, 4, NAN, 6], horizon=3)
    np.testing.assert_array_equal(found[0, 0], [4, 2, 6])


def test_a_phase_that_was_never_observed_takes_the_last_value():
    found = forecast(SeasonalNaive(4), [7, 8, NAN], horizon=4)
    np.testing.assert_array_equal(found[0, 0], [8, 7, 8, 8])


def test_a_series_without_values_has_no_forecast():
    found = forecast(SeasonalNaive(2), [NAN, NAN, NAN], [], [1, 2], horizon=2)
    assert np.isnan(found[:2]).all()
    np.testing.assert_array_equal(found[2, 0], [1, 2])


def test_without_bands_every_level_is_the_point():
    found = forecast(SeasonalNaive(2), [1, 2, 5, 6], horizon=2, levels=(0.1, 0.5, 0.9))
    np.testing.assert_array_equal(found[0], [[5, 6]] * 3)


def test_bands_widen_with_the_seasons_ahead():
    found = forecast(SeasonalNaive(2, True), [1, 2, 5, 6], horizon=4, levels=(0.1, 0.5, 0.9))
    np.testing.assert_array_equal(found[0, 1], [5, 6, 5, 6])
    # Both seasonal differences are 4, and a normal variable is below 1.2816 deviations in 90 %.
    np.testing.assert_allclose(found[0, 2] - found[0, 1], 1.28155 * 4 * np.sqrt([1, 1, 2, 2]), 1e-5)
    np.testing.assert_allclose(found[0, 1] - found[0, 0], found[0, 2] - found[0, 1])


def test_bands_of_a_series_shorter_than_a_season_are_flat():
    found = forecast(SeasonalNaive(5, True), [3, 4], horizon=2, levels=(0.1, 0.9))
    np.testing.assert_array_equal(found[0, 0], found[0, 1])


def test_channels_are_forecast_by_themselves():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, NAN]])
    found = SeasonalNaive(2).forecast_arrays(values, np.array([0, 3]), 2, (0.5,))
    np.testing.assert_array_equal(found[0, 0], [[2, 20], [3, 10]])


@given(length=st.integers(1, 30), seasonality=st.integers(1, 12), horizon=st.integers(1, 30))
def test_step_of_the_forecast_is_the_latest_value_of_its_phase(length, seasonality, horizon):
    series = np.random.default_rng(length).normal(size=length)
    found = forecast(SeasonalNaive(seasonality), list(series), horizon=horizon)[0, 0]
    for step in range(horizon):
        earlier = [t for t in range(length) if (t - length - step) % seasonality == 0]
        assert found[step] == series[earlier[-1] if earlier else -1]


def test_a_seasonality_of_zero_is_refused():
    with pytest.raises(ConfigError, match="at least 1 step, got 0"):
        SeasonalNaive(0)
