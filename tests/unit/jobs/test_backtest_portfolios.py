"""What a recipe names is what is held: the same weights as the rule gives by itself."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tsfm.errors import ConfigError
from tsfm.jobs.backtest_portfolios import check, random_scores, wanted
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.portfolio import PortfolioConfig
from tsfm.stocks.simulation import SimulationConfig, simulated_panel

NEUTRAL = PortfolioConfig(rule="quantile_long_short", n_quantiles=2, sector_neutral=True)
TEST = np.arange(30, 50)


@pytest.fixture
def shown() -> CrossSections:
    panel = simulated_panel(SimulationConfig(n_stocks=8, n_days=60, n_sectors=2))
    config = SectionConfig(context_length=4, features=FeatureConfig(averages=()))
    return cross_sections(panel, config)


def test_each_rule_is_held_under_its_name(shown: CrossSections) -> None:
    slow = PortfolioConfig(top_k=2, volatility_days=10, max_turnover=0.2)
    config = SimpleNamespace(top_k=(3,), portfolios={"neutral": NEUTRAL, "slow": slow})
    scores = np.random.default_rng(0).normal(size=(60, 8))
    found = list(wanted(config, scores, shown, TEST))
    assert [(name, top_k, cap) for name, top_k, _, cap in found] == [
        (None, 3, None),
        ("neutral", None, None),
        ("slow", None, 0.2),
    ]
    for _, _, weights, _ in found:
        assert np.isnan(np.delete(weights, TEST, axis=0)).all()
    best, neutral, calm = (weights[TEST] for _, _, weights, _ in found)
    assert ((best > 0).sum(axis=1) == 3).all()
    for number in (0, 1):
        np.testing.assert_allclose(
            neutral[:, shown.panel.sector == number].sum(axis=1), 0, atol=1e-12
        )
    assert len(np.unique(calm[0])) == 3  # two held, of different sizes


def test_random_scores_obey_the_rule(shown: CrossSections) -> None:
    report = random_scores(shown, TEST, NEUTRAL, n_portfolios=5, generator=np.random.default_rng(0))
    np.testing.assert_allclose(report.shorted, 0.5)
    np.testing.assert_allclose(report.cash, 1.0)


def test_a_day_without_scores_has_no_trade(shown: CrossSections) -> None:
    bars = shown.panel.bars.copy()
    bars[40] = np.nan
    has_bar = np.isfinite(bars[..., 0])
    panel = replace(shown.panel, bars=bars, member=has_bar, tradable=has_bar)
    again = cross_sections(panel, shown.config)
    config = SimpleNamespace(top_k=(3,), portfolios={"neutral": NEUTRAL})
    scores = np.where(again.eligible, np.random.default_rng(0).normal(size=(60, 8)), np.nan)
    for _, _, weights, _ in wanted(config, scores, again, TEST):
        # Windows of four days, none of which may lack a bar.
        assert np.flatnonzero(np.isnan(weights[TEST]).all(axis=1)).tolist() == [10, 11, 12, 13]
    report = random_scores(again, TEST, NEUTRAL, n_portfolios=5, generator=np.random.default_rng(0))
    np.testing.assert_array_equal(report.turnover[10:14], 0.0)
    assert (report.shorted > 0.4).all()


def test_a_rule_without_its_sectors_is_refused(shown: CrossSections) -> None:
    check({"mine": NEUTRAL}, shown.panel)
    without = replace(shown.panel, sectors=())
    with pytest.raises(
        ConfigError, match=r"portfolios\.mine\.sector_neutral needs a panel with sec"
    ):
        check({"mine": NEUTRAL}, without)


@pytest.mark.parametrize("name", ["top5", "long & short", "größe", "a/b", ""])
def test_a_name_that_no_metric_can_have_is_refused(shown: CrossSections, name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"portfolios must have names of letters.* choose another"
    ):
        check({name: NEUTRAL}, shown.panel)
