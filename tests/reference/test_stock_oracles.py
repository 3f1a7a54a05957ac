"""Metrics against the packages that quants compare with: empyrical-reloaded, alphalens-reloaded."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsfm.stocks.metrics import (
    investment_return,
    max_drawdown,
    rank_information_coefficient,
    sharpe_ratio,
)
from tsfm.stocks.portfolio import PortfolioConfig, target_weights
from tsfm.stocks.relative import relative_to

empyrical = pytest.importorskip("empyrical")
performance: Any = pytest.importorskip("alphalens.performance")

EXACT = 1e-10
N_DAYS, N_STOCKS = 60, 23


@pytest.fixture(params=range(5))
def returns(request: pytest.FixtureRequest) -> np.ndarray:
    """Half a year of daily returns, some of them wild."""
    generator = np.random.default_rng(request.param)
    return np.maximum(generator.standard_t(3, 130) * 0.015 + 0.0005, -0.9)


@pytest.fixture
def panel() -> tuple[np.ndarray, np.ndarray]:
    """Scores with ties, and returns that they tell a little about."""
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 40, (N_DAYS, N_STOCKS)).astype(float)
    return scores, generator.normal(0, 0.02, scores.shape) + 0.0002 * scores


def factor_data(scores: np.ndarray, returns: np.ndarray) -> pd.DataFrame:
    """What alphalens works on: a row per day and stock, with scores, quantile and return."""
    days = pd.bdate_range("2020-01-01", periods=len(scores))
    index = pd.MultiIndex.from_product(
        [days, [f"S{number:02d}" for number in range(scores.shape[1])]], names=["date", "asset"]
    )
    return pd.DataFrame({"1D": returns.ravel(), "factor": scores.ravel()}, index=index)


def test_what_a_portfolio_earned_is_what_empyrical_says(returns: np.ndarray) -> None:
    assert sharpe_ratio(returns) == pytest.approx(empyrical.sharpe_ratio(returns), abs=EXACT)
    assert max_drawdown(returns) == pytest.approx(empyrical.max_drawdown(returns), abs=EXACT)
    assert investment_return(returns) == pytest.approx(
        empyrical.cum_returns_final(returns), abs=EXACT
    )


def test_a_portfolio_beside_its_benchmark_is_what_empyrical_says(returns: np.ndarray) -> None:
    market = 0.5 * returns + np.random.default_rng(9).normal(0, 0.01, len(returns))
    found = relative_to(returns, market)
    alpha, beta = empyrical.alpha_beta(returns, market)
    assert found["alpha"] == pytest.approx(alpha, abs=EXACT)
    assert found["beta"] == pytest.approx(beta, abs=EXACT)
    active = returns - market
    assert found["tracking_error"] == pytest.approx(empyrical.annual_volatility(active), abs=EXACT)
    assert found["active_sharpe"] == pytest.approx(
        empyrical.excess_sharpe(returns, market) * np.sqrt(252), abs=EXACT
    )


def test_the_returns_of_a_quantile_are_those_of_alphalens() -> None:
    generator = np.random.default_rng(1)
    scores = np.argsort(generator.random((N_DAYS, 20)), axis=1).astype(float)
    returns = generator.normal(0, 0.02, scores.shape)
    data = factor_data(scores, returns)
    data["factor_quantile"] = data.groupby("date")["factor"].transform(
        lambda day: pd.qcut(day, 5, labels=False) + 1
    )
    means, _ = performance.mean_return_by_quantile(data, by_date=True, demeaned=False)
    best, worst = (means.xs(number, level="factor_quantile")["1D"] for number in (5, 1))
    for rule, expected in (("quantile", best), ("quantile_long_short", (best - worst) / 2)):
        weights = target_weights(scores, PortfolioConfig(rule=rule, n_quantiles=5))
        earned = (weights * returns).sum(axis=1)
        np.testing.assert_allclose(earned, expected, rtol=0, atol=EXACT)


def test_rank_coefficients_are_those_of_alphalens(panel: tuple[np.ndarray, np.ndarray]) -> None:
    theirs = performance.factor_information_coefficient(factor_data(*panel))["1D"]
    np.testing.assert_allclose(rank_information_coefficient(*panel), theirs, rtol=0, atol=EXACT)
