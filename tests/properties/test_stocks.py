"""Nothing may look ahead: change the future, and features, universe, scores and weights stay.

The same is asked of what does look ahead, as released, and must be seen there.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.sspt import Sspt, SsptConfig
from tsfm.stocks.backtest import backtest
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.look_ahead import change_the_future
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.ranker import StockRanker
from tsfm.stocks.ranking import ReturnRanking, ReturnRankingConfig
from tsfm.stocks.rivals import equal_weights, momentum, reversal
from tsfm.stocks.selection import select
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.universe import UniverseConfig, members

N_DAYS, N_STOCKS, LENGTH = 60, 7, 6
CUTOFFS = st.integers(LENGTH + 2, N_DAYS - 8)
SEEDS = st.integers(0, 10_000)
CAUSAL = SectionConfig(
    context_length=LENGTH,
    min_observed=0.6,
    features=FeatureConfig(columns="all", averages=(3,)),
    universe=UniverseConfig(rule="trailing", min_share=0.5, days=10),
)
RUNNING = SectionConfig(
    context_length=LENGTH,
    min_observed=0.6,
    features=FeatureConfig(columns="all", averages=(3,), normalization="running_maximum"),
)
RELEASED = SectionConfig(
    context_length=LENGTH,
    min_observed=0.6,
    features=FeatureConfig(columns="all", averages=(3,), normalization="whole_maximum"),
)


def panel_of(seed: int) -> StockPanel:
    config = SimulationConfig(n_stocks=N_STOCKS, n_days=N_DAYS, missing=0.05, seed=seed)
    return simulated_panel(config)


def both(seed: int, day: int, config: SectionConfig) -> tuple[CrossSections, CrossSections]:
    """Cross-sections of a panel, and of one with another future after `day`."""
    panel = panel_of(seed)
    changed = change_the_future(panel, day, np.random.default_rng(seed))
    return cross_sections(panel, config), cross_sections(changed, config)


def make_ranker(config: SectionConfig, **ranking: Any) -> StockRanker:
    """A ranker with random weights: what it says depends on all that it is shown."""
    backbone = Sspt(SsptConfig(n_channels=10, context_length=LENGTH, d_model=8, d_ff=8, n_heads=2))
    objective = ReturnRanking(ReturnRankingConfig(close_channel=7, **ranking), backbone)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (*backbone.parameters(), *objective.parameters()):
            parameter.normal_(0.0, 0.3, generator=generator)
    model = TimeSeriesModel("sspt", backbone.eval(), LENGTH, Provenance())
    return StockRanker(RankerConfig(windows=config), model, objective, {})


def same_windows(one: CrossSections, other: CrossSections, day: int) -> bool:
    first, second = one.batch(day), other.batch(day)
    return all(
        torch.equal(getattr(first, name), getattr(second, name))
        for name in ("stock", "values", "observed", "inside", "tradable")
    )


@given(SEEDS, CUTOFFS)
@settings(max_examples=10)
def test_features_and_universe_do_not_know_the_future(seed: int, day: int) -> None:
    for config in (CAUSAL, RUNNING):
        before, after = both(seed, day, config)
        np.testing.assert_array_equal(before.eligible[: day + 1], after.eligible[: day + 1])
        np.testing.assert_array_equal(before.selectable[: day + 1], after.selectable[: day + 1])
        assert all(same_windows(before, after, one) for one in range(LENGTH, day + 1))


@given(SEEDS, CUTOFFS)
@settings(max_examples=25)
def test_the_released_features_and_universe_do(seed: int, day: int) -> None:
    before, after = both(seed, day, RELEASED)
    assert not same_windows(before, after, day)
    hindsight = UniverseConfig(rule="whole_period", min_share=0.7)
    panels = [before.panel, after.panel]
    early = [members(panel, hindsight)[:2] for panel in panels]
    assert not np.array_equal(*early)


@given(SEEDS, CUTOFFS)
@settings(max_examples=5)
def test_scores_and_weights_do_not_know_the_future_but_the_released_ones_do(
    seed: int, day: int
) -> None:
    days = np.arange(LENGTH + 1, day + 1)
    for config, ranking, is_causal in (
        (CAUSAL, {}, True),
        (RUNNING, {"output": "price"}, True),
        (RELEASED, {"output": "price"}, False),
    ):
        ranker = make_ranker(config, **ranking)
        before, after = both(seed, day, config)
        first, second = (
            ranker.predict(one.panel, days=days, sections=one)[days] for one in (before, after)
        )
        assert np.array_equal(first, second, equal_nan=True) == is_causal
        if is_causal:
            for scores in (first, second):
                assert np.isfinite(scores).any()
            np.testing.assert_array_equal(
                select(first, top_k=3, tradable=before.panel.tradable[days]),
                select(second, top_k=3, tradable=after.panel.tradable[days]),
            )


@given(SEEDS, CUTOFFS)
@settings(max_examples=25)
def test_rivals_do_not_know_the_future(seed: int, day: int) -> None:
    before, after = both(seed, day, CAUSAL)
    for scores in (reversal, lambda one: momentum(one, days=20, skipped=3)):
        np.testing.assert_array_equal(scores(before)[: day + 1], scores(after)[: day + 1])
    days = np.arange(LENGTH, day + 1)
    np.testing.assert_array_equal(
        equal_weights(before, days)[days], equal_weights(after, days)[days]
    )


def with_the_delistings_of(panel: StockPanel, changed: StockPanel, day: int) -> StockPanel:
    """Who is gone by a day is known by then (ADR 11): who only has a gap there comes back."""
    later = np.isfinite(panel["close"][day:])
    back = later.any(axis=0) & ~np.isfinite(changed["close"][day:]).any(axis=0)
    bars = changed.bars.copy()
    bars[-1, back] = panel.bars[day + later.argmax(axis=0)[back], back]
    return replace(changed, bars=bars)


@given(SEEDS, CUTOFFS, st.integers(1, 3), st.sampled_from(["close", "open"]))
@example(340, 14, 1, "close")  # a stock with a gap from before the day on never comes back
@settings(max_examples=25)
def test_what_was_earned_before_a_day_does_not_change_after_it(
    seed: int, day: int, lag: int, fill: str
) -> None:
    panel = panel_of(seed)
    changed = change_the_future(panel, day, np.random.default_rng(seed))
    changed = with_the_delistings_of(panel, changed, day)
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.ones(N_STOCKS), N_DAYS)
    first, second = (
        backtest(weights, one, execution_lag=lag, fill=fill)
        for one in (panel, changed)  # type: ignore[arg-type]
    )
    # The last return that ends with `day` is that of the score `reach` days before.
    reach = lag + (fill == "open")
    known = day + 1 - reach
    np.testing.assert_array_equal(first.gross[:known], second.gross[:known])
    np.testing.assert_array_equal(first.turnover[:known], second.turnover[:known])
    assert not np.array_equal(first.gross[known:], second.gross[known:])


@given(SEEDS, CUTOFFS, st.integers(1, 3), st.sampled_from(["close", "open"]))
def test_a_forward_return_is_known_only_when_it_ends(
    seed: int, day: int, lag: int, fill: str
) -> None:
    panel = panel_of(seed)
    changed = change_the_future(panel, day, np.random.default_rng(seed))
    first, second = (
        one.forward_returns(execution_lag=lag, fill=fill)
        for one in (panel, changed)  # type: ignore[arg-type]
    )
    reach = lag + (fill == "open")
    np.testing.assert_array_equal(first[: day + 1 - reach], second[: day + 1 - reach])
    later = first[day + 1 - reach], second[day + 1 - reach]
    assert not np.array_equal(*later, equal_nan=True)


@given(SEEDS, st.permutations(range(N_STOCKS)))
@settings(max_examples=15)
def test_permuting_stocks_permutes_scores_and_weights(seed: int, order: list[int]) -> None:
    panel, places = panel_of(seed), np.array(order)
    ranker, days = make_ranker(CAUSAL), np.array([30, 45])
    plain = ranker.predict(panel, days=days)[days]
    moved = ranker.predict(panel.take(places), days=days)[days]
    np.testing.assert_allclose(moved, plain[:, places], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        select(moved, top_k=2), select(plain, top_k=2)[:, places], atol=1e-12
    )


@given(SEEDS, st.floats(0.01, 100.0))
@settings(max_examples=15)
def test_scores_do_not_depend_on_the_currency(seed: int, factor: float) -> None:
    panel = panel_of(seed)
    bars = panel.bars.copy()
    bars[..., :4] *= factor
    other = StockPanel(
        **{
            **{name: one for name, one in vars(panel).items() if name[0] != "_"},
            "bars": bars,
        }
    )
    config = SectionConfig(
        context_length=LENGTH,
        min_observed=0.6,
        features=FeatureConfig(columns="all", averages=(3,)),
    )
    ranker, days = make_ranker(config), np.array([40])
    first, second = (ranker.predict(one, days=days)[40] for one in (panel, other))
    np.testing.assert_allclose(first, second, rtol=1e-2, atol=1e-4)
