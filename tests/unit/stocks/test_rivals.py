"""A rival that is weaker than it should be makes any model look good."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tsfm.stocks.backtest import backtest
from tsfm.stocks.boosting import BoostedRanker
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.rivals import RidgeRanker, equal_weights, momentum, random_picks, reversal
from tsfm.stocks.simulation import SimulationConfig, simulated_panel

MakeSections = Callable[..., CrossSections]
DAYS = np.arange(60, 80)


def test_the_market_holds_all_that_could_be_selected(make_sections: MakeSections) -> None:
    sections = make_sections()
    weights = equal_weights(sections, DAYS)
    assert np.isnan(weights[:60]).all()
    np.testing.assert_array_equal(weights[DAYS] > 0, sections.selectable[DAYS])
    np.testing.assert_allclose(weights[DAYS].sum(axis=1), 1.0)


def test_random_picks_hold_so_many_that_could_be_selected(make_sections: MakeSections) -> None:
    sections = make_sections()
    report = random_picks(
        sections, DAYS, top_k=2, n_portfolios=300, generator=np.random.default_rng(0)
    )
    assert report.gross.shape == (20, 300)
    market = backtest(equal_weights(sections, DAYS), sections.panel)
    # Their mean is the market, within the error of 300 draws.
    error = report.gross.std(axis=1) / np.sqrt(300)
    assert (np.abs(report.gross.mean(axis=1) - market.gross[:, 0]) < 5 * error).all()
    assert 0.5 < report.turnover[1:].mean() < 2


def test_random_picks_of_all_are_the_market(make_sections: MakeSections) -> None:
    sections = make_sections()
    report = random_picks(
        sections, DAYS, top_k=99, n_portfolios=2, generator=np.random.default_rng(0)
    )
    market = backtest(equal_weights(sections, DAYS), sections.panel)
    np.testing.assert_allclose(report.gross, np.repeat(market.gross, 2, axis=1))


def test_market_and_random_picks_hold_what_they_have_on_days_without_scores(
    panel: StockPanel, make_sections: MakeSections
) -> None:
    bars = panel.bars.copy()
    bars[[60, 70]] = np.nan
    has_bar = np.isfinite(bars[..., 0])
    sections = make_sections(of=replace(panel, bars=bars, member=has_bar, tradable=has_bar))
    weights = equal_weights(sections, DAYS)
    assert np.flatnonzero(np.isnan(weights[DAYS]).all(axis=1)).tolist() == [10]
    market = backtest(weights, sections.panel)
    drawn = random_picks(
        sections, DAYS, top_k=2, n_portfolios=5, generator=np.random.default_rng(0)
    )
    for report in (market, drawn):
        # Nobody can be chosen on the first of them, and all is held on the other.
        np.testing.assert_array_equal(report.cash[0], 1.0)
        np.testing.assert_array_equal(report.turnover[10], 0.0)
        np.testing.assert_allclose(report.cash[1:], 0.0, atol=1e-12)


def test_reversal_likes_what_fell_and_momentum_what_rose(
    make_sections: MakeSections, make_panel: Callable[..., StockPanel]
) -> None:
    close = np.ones((12, 2))
    close[11] = [0.9, 1.2]
    close[5:11, 1] = 2.0
    close[11, 1] = 2.4
    sections = make_sections(of=make_panel(close))
    np.testing.assert_allclose(reversal(sections)[11], [0.1, -0.2])
    found = momentum(sections, days=8, skipped=2)
    np.testing.assert_allclose(found[11], [0.0, 1.0])
    assert np.isnan(found[7]).all()
    assert np.isnan(momentum(sections)).all()


def test_rivals_score_only_who_is_eligible(make_sections: MakeSections) -> None:
    sections = make_sections()
    ridge = RidgeRanker.fit(sections, np.arange(20, 50), np.arange(50, 60))
    for scores in (reversal(sections)[DAYS], ridge.predict(sections, DAYS)[DAYS]):
        assert not np.isfinite(scores[~sections.eligible[DAYS]]).any()
    assert np.isfinite(ridge.predict(sections, DAYS)[DAYS][sections.eligible[DAYS]]).all()


def test_ridge_is_that_of_another_library(make_sections: MakeSections) -> None:
    sections = make_sections()
    train = np.arange(20, 50)
    ridge = RidgeRanker.fit(sections, train, np.arange(50, 60))
    inputs, outputs = [], []
    for day in train:
        batch = sections.batch(int(day))
        kept = (batch.tradable & batch.forward_return.isfinite()).numpy()
        inputs.append(batch.values.numpy().reshape(len(kept), -1)[kept].astype(np.float64))
        outputs.append(sections.forward_returns[day, batch.stock.numpy()[kept]])
    x, y = np.concatenate(inputs), np.concatenate(outputs)
    size = x.var(axis=0).mean()
    other = Ridge(alpha=ridge.penalty * size * len(x)).fit(x, y)
    np.testing.assert_allclose(ridge.weights, other.coef_, rtol=1e-6, atol=1e-12)
    assert ridge.bias == pytest.approx(other.intercept_, rel=1e-6)


def test_days_without_a_bar_teach_nothing_and_are_not_scored(
    panel: StockPanel, make_sections: MakeSections
) -> None:
    bars = panel.bars.copy()
    bars[[30, 55, 70]] = np.nan
    has_bar = np.isfinite(bars[..., 0])
    sections = make_sections(of=replace(panel, bars=bars, member=has_bar, tradable=has_bar))
    train, validation = np.arange(20, 50), np.arange(50, 60)
    ridge = RidgeRanker.fit(sections, train, validation)
    others = RidgeRanker.fit(sections, np.setdiff1d(train, 30), np.setdiff1d(validation, 55))
    np.testing.assert_array_equal(ridge.weights, others.weights)
    assert np.isnan(ridge.predict(sections, DAYS)[70]).all()
    generator = np.random.default_rng(0)
    trees = BoostedRanker.fit(sections, train, validation, generator=generator)
    assert np.isnan(trees.predict(sections, DAYS)[70]).all()


def test_ridge_finds_a_planted_edge(make_sections: MakeSections) -> None:
    panel = simulated_panel(SimulationConfig(n_stocks=12, n_days=300, reversal=0.5))
    sections, days = make_sections(of=panel), np.arange(220, 290)
    ridge = RidgeRanker.fit(sections, np.arange(10, 180), np.arange(180, 220))
    scores = ridge.predict(sections, days)[days]
    found = mean_of(information_coefficient(scores, sections.forward_returns[days]))
    # The share of a stock's own move that a day takes back is half: reversal itself is at 0.45.
    assert found > 0.3
