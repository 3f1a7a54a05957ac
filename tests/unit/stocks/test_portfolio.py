"""Rules of portfolios: what is held must follow from the scores, the sector and the past alone."""

import numpy as np
import pytest

from tsfm.errors import ConfigError
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.portfolio import PortfolioConfig, target_weights, trailing_volatility
from tsfm.stocks.selection import long_short, select

NAN = float("nan")
RULES = ("top_k", "long_short", "quantile", "quantile_long_short")


@pytest.fixture
def scores() -> np.ndarray:
    """Thirty days of twelve stocks, some of which cannot be held."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(30, 12))
    scores[generator.random(scores.shape) < 0.15] = NAN
    return scores


def test_the_simple_rules_are_those_of_select(scores: np.ndarray) -> None:
    tradable = np.random.default_rng(1).random(scores.shape) < 0.8
    for rule, expected in (("top_k", select), ("long_short", long_short)):
        found = target_weights(scores, PortfolioConfig(rule=rule, top_k=3), tradable=tradable)
        np.testing.assert_array_equal(found, expected(scores, top_k=3, tradable=tradable))


def test_a_quantile_is_a_share_of_the_stocks_of_the_day() -> None:
    scores = np.array([[6.0, 5, 4, 3, 2, 1], [3.0, 2, 1, NAN, NAN, NAN], [1.0, *[NAN] * 5]])
    found = target_weights(scores, PortfolioConfig(rule="quantile", n_quantiles=3))
    np.testing.assert_array_equal(
        found, [[0.5, 0.5, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    )
    both = target_weights(scores, PortfolioConfig(rule="quantile_long_short", n_quantiles=3))
    np.testing.assert_array_equal(both[0], [0.25, 0.25, 0, 0, -0.25, -0.25])
    np.testing.assert_array_equal(both[2], np.zeros(6))  # the best is the worst


@pytest.mark.parametrize("rule", RULES)
def test_sectors_weigh_what_they_weigh_in_the_market(scores: np.ndarray, rule: str) -> None:
    sector = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, -1, -1, -1])
    config = PortfolioConfig(rule=rule, top_k=1, n_quantiles=2, sector_neutral=True)
    weights = target_weights(scores, config, sector=sector)
    known = np.isfinite(scores)
    for one in (-1, 0, 1):
        share = known[:, sector == one].sum(axis=1) / known.sum(axis=1)
        held = weights[:, sector == one].sum(axis=1)
        expected = np.zeros(30) if "long_short" in rule else share
        np.testing.assert_allclose(held, expected, atol=1e-12)
    assert (weights[~known] == 0).all()


def test_calm_stocks_get_more_and_both_sides_stay_as_large() -> None:
    scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    volatility = np.array([[0.01, 0.03, 0.02, 0.02]])
    long = target_weights(
        scores, PortfolioConfig(top_k=2, volatility_days=20), volatility=volatility
    )
    np.testing.assert_allclose(long, [[0.75, 0.25, 0, 0]])
    both = target_weights(
        scores,
        PortfolioConfig(rule="long_short", top_k=2, volatility_days=20),
        volatility=volatility,
    )
    np.testing.assert_allclose(both, [[0.375, 0.125, -0.25, -0.25]])
    unknown = np.array([[NAN, 0.03, 0.02, 0.02]])
    held = target_weights(scores, PortfolioConfig(top_k=1, volatility_days=20), volatility=unknown)
    np.testing.assert_array_equal(held, [[0, 1, 0, 0]])


def test_the_volatility_is_that_of_a_loop_and_knows_no_future(panel: StockPanel) -> None:
    found = trailing_volatility(panel, 10)
    moves = np.diff(np.log(panel["close"]), axis=0, prepend=NAN)
    for day in (3, 5, 20, 89):
        for stock in range(panel.n_stocks):
            known = moves[max(0, day - 9) : day + 1, stock]
            known = known[np.isfinite(known)]
            expected = known.std(ddof=1) if len(known) >= 5 else NAN
            assert found[day, stock] == pytest.approx(expected, rel=1e-6, nan_ok=True)
    np.testing.assert_array_equal(trailing_volatility(panel.head(50), 10), found[:50])


@pytest.mark.parametrize("rule", RULES)
def test_permuting_stocks_permutes_weights(scores: np.ndarray, rule: str) -> None:
    order = np.random.default_rng(2).permutation(12)
    sector, volatility = np.arange(12) % 3, np.random.default_rng(3).uniform(0.01, 0.05, (30, 12))
    config = PortfolioConfig(rule=rule, top_k=2, sector_neutral=True, volatility_days=9)
    first = target_weights(scores, config, sector=sector, volatility=volatility)
    moved = target_weights(
        scores[:, order], config, sector=sector[order], volatility=volatility[:, order]
    )
    np.testing.assert_allclose(moved, first[:, order], atol=1e-12)
    assert np.abs(first).sum(axis=1) == pytest.approx(np.ones(30)) or "long_short" in rule


def test_what_a_rule_needs_must_be_there() -> None:
    with pytest.raises(ConfigError, match="sector must be known for sector_neutral, got no sec"):
        target_weights(
            np.ones((1, 2)), PortfolioConfig(sector_neutral=True), sector=np.array([-1, -1])
        )
    with pytest.raises(ConfigError, match="volatility must be given for volatility_days, got None"):
        target_weights(np.ones((1, 2)), PortfolioConfig(volatility_days=5))


def test_one_day_has_no_volatility_to_hold_by() -> None:
    assert PortfolioConfig(volatility_days=2).volatility_days == 2
    with pytest.raises(ValueError, match="one day has no volatility"):
        PortfolioConfig(volatility_days=1)
