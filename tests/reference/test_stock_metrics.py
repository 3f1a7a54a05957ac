"""Metrics against scipy, against loops, and against tables worked out by hand.

The last test reproduces numbers that were measured on the RSR files by others: the leak of the
released normalisation, the market, and reversal.
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tsfm.stocks.backtest import backtest
from tsfm.stocks.cross_sections import SectionConfig, cross_sections
from tsfm.stocks.metrics import (
    information_coefficient,
    information_ratio,
    investment_return,
    max_drawdown,
    mean_of,
    newey_west_t,
    precision_at,
    rank_information_coefficient,
    sharpe_ratio,
    sharpe_standard_error,
)
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.rivals import equal_weights, reversal
from tsfm.stocks.selection import select
from tsfm.stocks.split import SplitConfig, split_days

EXACT = 1e-10


@pytest.fixture
def scores_and_returns() -> tuple[np.ndarray, np.ndarray]:
    """Forty days of thirty stocks, with gaps in both and many ties."""
    generator = np.random.default_rng(0)
    scores = generator.integers(0, 9, (40, 30)).astype(float)
    returns = np.round(generator.normal(0, 0.02, (40, 30)) + 0.001 * scores, 2)
    scores[generator.random(scores.shape) < 0.1] = np.nan
    returns[generator.random(returns.shape) < 0.1] = np.nan
    return scores, returns


def test_information_coefficients_are_those_of_scipy(
    scores_and_returns: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, returns = scores_and_returns
    plain = information_coefficient(scores, returns)
    ranked = rank_information_coefficient(scores, returns)
    for day in range(len(scores)):
        known = np.isfinite(scores[day]) & np.isfinite(returns[day])
        pair = scores[day][known], returns[day][known]
        assert plain[day] == pytest.approx(stats.pearsonr(*pair).statistic, abs=EXACT)
        assert ranked[day] == pytest.approx(stats.spearmanr(*pair).statistic, abs=EXACT)


def test_precision_is_that_of_a_loop_over_all_ways_to_break_ties() -> None:
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 4, (20, 8)).astype(float)
    returns = generator.normal(0, 1, (20, 8))
    for day, found in enumerate(precision_at(scores, returns, 3)):
        shares = []
        for _ in range(4000):
            order = np.lexsort((generator.random(8), -scores[day]))[:3]
            shares.append((returns[day][order] > 0).mean())
        assert found == pytest.approx(np.mean(shares), abs=0.03)


def test_ratios_follow_their_formulas() -> None:
    returns = np.random.default_rng(0).normal(0.001, 0.01, 250)
    mean, std = np.mean(returns), np.std(returns, ddof=1)
    assert sharpe_ratio(returns) == pytest.approx(mean / std * math.sqrt(252), abs=EXACT)
    assert information_ratio(returns) == pytest.approx(mean / std, abs=EXACT)
    # Without lags the squared t-statistic is the usual one but for n / (n - 1).
    usual = stats.ttest_1samp(returns, 0.0).statistic
    assert newey_west_t(returns, lags=0) == pytest.approx(usual * math.sqrt(250 / 249), abs=EXACT)
    # A year of daily returns: the standard error of the ratio is near one.
    assert sharpe_standard_error(returns) == pytest.approx(1.0, abs=0.02)


def test_the_variance_of_newey_and_west_is_that_of_a_loop() -> None:
    generator = np.random.default_rng(0)
    series = np.convolve(generator.normal(size=200), np.ones(4), "valid") + 0.3
    n_days, centred = len(series), series - series.mean()
    for lags in (1, 5):
        variance = 0.0
        for one in range(n_days):
            for other in range(n_days):
                if abs(one - other) <= lags:
                    weight = 1 - abs(one - other) / (lags + 1)
                    variance += weight * centred[one] * centred[other]
        expected = series.mean() / math.sqrt(variance / n_days**2)
        assert newey_west_t(series, lags=lags) == pytest.approx(expected, abs=EXACT)
    assert newey_west_t(series) == pytest.approx(newey_west_t(series, lags=4), abs=EXACT)
    # Moves that last make the mean less certain than it looks.
    assert newey_west_t(series) < newey_west_t(series, lags=0)


@pytest.mark.parametrize(
    ("returns", "gained", "drawdown"),
    [
        ([0.5, -0.5], -0.25, -0.5),
        ([0.1, 0.1, 0.1], 0.331, 0.0),
        ([-0.1, -0.1, 0.5, -0.2], 0.9 * 0.9 * 1.5 * 0.8 - 1, -0.2),
        (
            [0.2, -0.25, 0.1, -0.5, 2.0],
            1.2 * 0.75 * 1.1 * 0.5 * 3 - 1,
            1.2 * 0.75 * 1.1 / 2 / 1.2 - 1,
        ),
        ([-0.3, -0.3], -0.51, -0.51),
    ],
)
def test_wealth_by_hand(returns: list[float], gained: float, drawdown: float) -> None:
    assert investment_return(np.array(returns)) == pytest.approx(gained, abs=EXACT)
    assert max_drawdown(np.array(returns)) == pytest.approx(drawdown, abs=EXACT)


def test_drawdown_is_that_of_a_loop() -> None:
    returns = np.random.default_rng(0).normal(0, 0.02, 300)
    wealth = [1.0]
    for one in returns:
        wealth.append(wealth[-1] * (1 + one))
    falls = [
        wealth[later] / wealth[first] - 1
        for first in range(len(wealth))
        for later in range(first, len(wealth))
    ]
    assert max_drawdown(returns) == pytest.approx(min(falls), abs=EXACT)


FILES = {name: f"stock_rsr_{name}.parquet" for name in ("nasdaq", "nyse")}
# Measured on the test days by others: IC and rank IC of -(price / maximum) with the maximum of
# all days and of the days so far; IRR and Sharpe ratio of the market.
MEASURED = {
    "nasdaq": ((0.0279, 0.0356), (0.0017, -0.0041), (0.155, 1.53)),
    "nyse": ((0.0141, 0.0212), (-0.0019, -0.0046), (0.099, 1.49)),
}


@pytest.mark.parametrize("name", ["nasdaq", pytest.param("nyse", marks=pytest.mark.slow)])
def test_measured_numbers_of_the_rsr_files(name: str) -> None:
    folder = Path(os.environ.get("TSFM_DATA", ""))
    if not os.environ.get("TSFM_DATA") or not (folder / FILES[name]).is_file():
        pytest.skip(f"TSFM_DATA must have {FILES[name]}")
    panel = StockPanel.from_card(f"stock_rsr_{name}", start="2012-11-19", end="2017-12-08")
    sections = cross_sections(panel, SectionConfig())
    split = SplitConfig(
        train_start="2013-01-02", validation_start="2016-01-04", test_start="2017-01-03"
    )
    days = split_days(panel.days, split, context_length=16)
    assert [len(one) for one in (days.train, days.validation, days.test)] == [740, 252, 237]
    close, returns = panel["close"], sections.forward_returns[days.test]
    for highest, expected in zip(
        (np.fmax.reduce(close, axis=0)[None], np.fmax.accumulate(close, axis=0)),
        MEASURED[name],
        strict=False,
    ):
        scores = -(close / highest)[days.test]
        assert mean_of(information_coefficient(scores, returns)) == pytest.approx(
            expected[0], abs=0.001
        )
        assert mean_of(rank_information_coefficient(scores, returns)) == pytest.approx(
            expected[1], abs=0.001
        )
    market = backtest(equal_weights(sections, days.test), panel).summary(0.0)
    assert market["irr"] == pytest.approx(MEASURED[name][2][0], abs=0.005)
    assert market["sharpe"] == pytest.approx(MEASURED[name][2][1], abs=0.05)
    if name == "nasdaq":
        scores = reversal(sections)
        assert mean_of(information_coefficient(scores[days.test], returns)) == pytest.approx(
            0.015, abs=0.0005
        )
        weights = np.full(scores.shape, np.nan)
        weights[days.test] = select(scores[days.test], top_k=5, tradable=panel.tradable[days.test])
        report = backtest(weights, panel)
        assert report.summary(0.0)["irr"] == pytest.approx(0.152, abs=0.002)
        assert report.summary(0.0)["sharpe"] == pytest.approx(0.65, abs=0.01)
        assert report.summary(10.0)["irr"] == pytest.approx(-0.264, abs=0.002)
