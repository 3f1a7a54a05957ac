"""Measures of risk, and the tests that a regulator asks for: known answers and simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from tsfm.errors import ConfigError
from tsfm.stocks.risk import (
    christoffersen,
    ewma_variance,
    expected_shortfall,
    filtered_value_at_risk,
    har_variance,
    kupiec,
    qlike,
    value_at_risk,
)


def test_measures_of_a_normal_distribution() -> None:
    samples = np.random.default_rng(0).normal(0.001, 0.02, (3, 200_000))
    for level in (0.01, 0.05):
        quantile = stats.norm.ppf(level)
        expected = 0.001 + 0.02 * quantile
        np.testing.assert_allclose(value_at_risk(samples, level), expected, rtol=0.02)
        tail = 0.001 - 0.02 * stats.norm.pdf(quantile) / level
        np.testing.assert_allclose(expected_shortfall(samples, level), tail, rtol=0.02)


def test_measures_are_those_of_empyrical() -> None:
    empyrical = pytest.importorskip("empyrical")
    for seed in range(5):
        returns = np.random.default_rng(seed).standard_t(3, 137) * 0.01
        for level in (0.01, 0.05, 0.5):
            assert value_at_risk(returns, level) == pytest.approx(
                empyrical.value_at_risk(returns, level), abs=1e-10
            )
            assert expected_shortfall(returns, level) == pytest.approx(
                empyrical.conditional_value_at_risk(returns, level), abs=1e-10
            )


def test_too_many_exceedances_are_rejected_as_in_the_textbook() -> None:
    """Jorion, "Value at Risk": 20 exceedances of 5 % in the 252 days of 1998, at J.P. Morgan."""
    found = kupiec(np.arange(252) < 20, 0.05)
    assert found.statistic == pytest.approx(3.91, abs=0.005)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1))
    assert kupiec(np.zeros(0, bool), 0.05).statistic != 0  # nothing to test is NaN
    assert kupiec(np.zeros(100, bool), 0.05).p_value < 0.01  # none at all is wrong too


def test_exceedances_that_come_together_are_rejected() -> None:
    runs = np.zeros(1000, bool)
    runs[100:125], runs[600:625] = True, True
    alone = np.zeros(1000, bool)
    alone[::20] = True
    for days, is_independent in ((runs, False), (alone, True)):
        assert kupiec(days, 0.05).p_value > 0.9
        independence, both = christoffersen(days, 0.05)
        assert (independence.p_value > 0.01) == is_independent
        assert both.p_value == pytest.approx(stats.chi2.sf(both.statistic, 2))


def test_right_forecasts_are_rejected_as_often_as_promised() -> None:
    generator = np.random.default_rng(0)
    days = generator.random((1500, 500)) < 0.05
    assert np.mean([kupiec(one, 0.05).p_value < 0.05 for one in days]) == pytest.approx(
        0.05, abs=0.02
    )
    both = [christoffersen(one, 0.05)[1].p_value < 0.05 for one in days[:600]]
    assert np.mean(both) < 0.12


def test_without_days_nothing_is_known() -> None:
    for found in (kupiec(np.zeros(0, bool), 0.05), *christoffersen(np.zeros(1, bool), 0.05)):
        assert math.isnan(found.statistic)
        assert math.isnan(found.p_value)


def test_ewma_is_the_recursion_and_skips_gaps() -> None:
    returns = np.array([[0.01], [-0.02], [np.nan], [0.03]])
    found = ewma_variance(returns, decay=0.9)[:, 0]
    expected = [1e-4, 0.9e-4 + 0.1 * 4e-4]
    np.testing.assert_allclose(found[:2], expected)
    assert found[2] == found[1]
    assert found[3] == pytest.approx(0.9 * found[2] + 0.1 * 9e-4)


def test_volatility_that_lasts_is_forecast_and_nothing_later_is_used() -> None:
    generator = np.random.default_rng(0)
    log_variance = np.zeros((900, 4))
    for day in range(1, 900):
        log_variance[day] = 0.97 * log_variance[day - 1] + generator.normal(0, 0.25, 4)
    returns = generator.normal(size=(900, 4)) * 0.01 * np.exp(log_variance / 2)
    squares = returns[601:] ** 2
    constant = np.broadcast_to((returns[:600] ** 2).mean(axis=0), squares.shape)
    for forecast in (ewma_variance(returns), har_variance(returns, 600)):
        loss = qlike(forecast[600:-1], squares).mean()
        assert loss < qlike(constant, squares).mean() - 0.05
    changed = returns.copy()
    changed[700:] *= 3
    np.testing.assert_array_equal(
        har_variance(changed, 600)[:700], har_variance(returns, 600)[:700]
    )


def test_a_stock_with_too_little_history_has_no_forecast() -> None:
    returns = np.full((50, 1), np.nan)
    returns[-3:] = 0.01
    assert np.isnan(har_variance(returns, 40)).all()


def test_a_level_that_is_no_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="level must be between 0 and 1, got 5"):
        value_at_risk(np.zeros(3), 5.0)


def clustered(generator: np.random.Generator, n_days: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Heavy-tailed returns of two stocks whose standard deviation is known."""
    scale = 0.01 * np.exp(np.sin(np.arange(n_days) / 60))[:, None] * np.array([1.0, 2.0])
    return scale * generator.standard_t(3, scale.shape) / math.sqrt(3), scale


def test_filtered_history_holds_in_heavy_tails_where_a_normal_quantile_does_not() -> None:
    returns, scale = clustered(np.random.default_rng(0))
    limits = filtered_value_at_risk(returns, scale, 0.01)
    exceeded = (returns < limits)[500:]
    assert np.isnan(limits[:500]).all()
    assert all(kupiec(one, 0.01).p_value > 0.01 for one in exceeded.T)
    assert (returns < stats.norm.ppf(0.01) * scale)[500:].mean() > 1.2 * exceeded.mean()


def test_filtered_history_knows_nothing_of_the_day_and_of_later_ones() -> None:
    returns, scale = clustered(np.random.default_rng(1), 700)
    before = filtered_value_at_risk(returns, scale, 0.05, n_days=100)
    returns[600:], scale[601:] = 9.0, 7.0
    after = filtered_value_at_risk(returns, scale, 0.05, n_days=100)
    np.testing.assert_array_equal(before[:601], after[:601])
    assert (before[601:] != after[601:]).all()


def test_with_a_constant_scale_filtered_history_is_history() -> None:
    returns = np.random.default_rng(2).normal(size=(60, 3))
    returns[5, 1] = np.nan
    found = filtered_value_at_risk(returns, np.full((60, 3), 4.0), 0.1, n_days=50)
    np.testing.assert_allclose(found[55], np.nanquantile(returns[5:55], 0.1, axis=0))
    assert np.isnan(filtered_value_at_risk(returns, np.zeros((60, 3)), n_days=50)).all()


def test_a_stock_without_half_a_history_has_no_value_at_risk() -> None:
    returns = np.random.default_rng(3).normal(size=(90, 2))
    returns[:60, 1] = np.nan  # listed on day 60
    found = filtered_value_at_risk(returns, np.ones((90, 2)), 0.1, n_days=40)
    assert np.isfinite(found[40:, 0]).all()
    assert np.isnan(found[:80, 1]).all()
    np.testing.assert_allclose(found[80, 1], np.quantile(returns[60:80, 1], 0.1))


def test_what_is_missing_has_no_shortfall() -> None:
    samples = np.array([[-0.3, -0.1, 0.0, 0.1], [math.nan, -0.1, 0.0, 0.1]])
    np.testing.assert_array_equal(expected_shortfall(samples, 0.5), [-0.2, math.nan])
    np.testing.assert_array_equal(np.isnan(value_at_risk(samples, 0.5)), [False, True])


@pytest.mark.parametrize("n_days", [0, -3])
def test_a_history_of_no_days_is_refused(n_days: int) -> None:
    with pytest.raises(ConfigError, match="n_days must be a whole number of at least 1, got"):
        filtered_value_at_risk(np.zeros((9, 1)), np.ones((9, 1)), n_days=n_days)
