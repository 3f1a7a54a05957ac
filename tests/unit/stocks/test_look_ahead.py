"""The audit is what a reader believes: it must find every leak, and accuse nobody without one."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.shapes import ndarray
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.look_ahead import audit, change_the_future, future_hidden
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.universe import UniverseConfig

DAYS = np.arange(40, 80)


def last_feature(config: SectionConfig) -> Callable[[StockPanel, ndarray], ndarray]:
    """Scores of a model that repeats what it is shown: the sum of its window."""

    def score(panel: StockPanel, days: ndarray) -> ndarray:
        sections: CrossSections = cross_sections(panel, config)
        rows = np.full((len(days), panel.n_stocks), np.nan)
        for row, day in zip(rows, days, strict=True):
            batch = sections.batch(int(day))
            row[batch.stock.numpy()] = batch.values.sum((1, 2)).numpy()
        return rows

    return score


def find(score: Callable[[StockPanel, ndarray], ndarray], panel: StockPanel) -> object:
    return audit(score, panel, DAYS, n_cutoffs=8, generator=np.random.default_rng(0))


@pytest.mark.parametrize(
    "config",
    [
        SectionConfig(context_length=6, min_observed=0.5),
        SectionConfig(
            context_length=6,
            min_observed=0.5,
            features=FeatureConfig(columns="all", normalization="running_maximum"),
            universe=UniverseConfig(rule="trailing", min_share=0.5),
        ),
    ],
)
def test_what_knows_no_future_passes(panel: StockPanel, config: SectionConfig) -> None:
    found = find(last_feature(config), panel)
    assert found.ok  # type: ignore[attr-defined]
    assert found.moved_share == 0.0  # type: ignore[attr-defined]
    assert found.first_moved is None  # type: ignore[attr-defined]
    assert len(found.cutoffs) == 8  # type: ignore[attr-defined]


def _centred_average(panel: StockPanel, days: ndarray) -> ndarray:
    close = panel.last_known("close")
    return np.stack([close[max(0, day - 2) : day + 3].mean(axis=0) for day in days])


def _scaled_on_all(panel: StockPanel, days: ndarray) -> ndarray:
    close = np.log(panel["close"])
    return (close[days] - np.nanmean(close)) / np.nanstd(close)


def _tomorrow(panel: StockPanel, days: ndarray) -> ndarray:
    return panel.forward_returns()[days]


@pytest.mark.parametrize(
    "score",
    [
        last_feature(SectionConfig(features=FeatureConfig(normalization="whole_maximum"))),
        last_feature(
            SectionConfig(
                context_length=6, universe=UniverseConfig(rule="whole_period", min_share=0.8)
            )
        ),
        _centred_average,
        _scaled_on_all,
        _tomorrow,
    ],
)
def test_planted_leaks_are_found(
    panel: StockPanel, score: Callable[[StockPanel, ndarray], ndarray]
) -> None:
    found = find(score, panel)
    assert not found.ok  # type: ignore[attr-defined]
    assert found.moved_share > 0  # type: ignore[attr-defined]
    assert found.largest_move > 0  # type: ignore[attr-defined]
    assert found.first_moved <= found.cutoffs[-1]  # type: ignore[attr-defined]


def test_a_leak_of_one_day_begins_one_day_before(panel: StockPanel) -> None:
    found = audit(_tomorrow, panel, np.array([50]), n_cutoffs=1, generator=np.random.default_rng(0))
    assert found.cutoffs == (str(panel.days[50]),)
    assert found.first_moved == str(panel.days[50])


def test_several_models_are_audited_at_once(panel: StockPanel) -> None:
    clean = last_feature(SectionConfig(context_length=6, min_observed=0.5))

    def both(known: StockPanel, days: ndarray) -> ndarray:
        return np.stack([clean(known, days), _tomorrow(known, days)])

    found = find(both, panel)
    assert not found.ok  # type: ignore[attr-defined]
    assert found.moved_share < find(_tomorrow, panel).moved_share  # type: ignore[attr-defined]


def test_only_the_future_is_changed(panel: StockPanel) -> None:
    changed = change_the_future(panel, 30, np.random.default_rng(0))
    for name in ("bars", "member", "tradable"):
        one, other = getattr(panel, name), getattr(changed, name)
        np.testing.assert_array_equal(one[:31], other[:31])
        assert not np.array_equal(one[31:], other[31:], equal_nan=name == "bars")
    moved = np.isfinite(panel["close"][31:]) & (panel["close"][31:] != changed["close"][31:])
    assert moved.mean() > 0.6


def test_hiding_the_future_changes_only_what_looks_at_it(panel: StockPanel) -> None:
    clean = last_feature(SectionConfig(context_length=6, min_observed=0.5))
    np.testing.assert_array_equal(future_hidden(clean, panel, DAYS), clean(panel, DAYS))
    assert np.isnan(future_hidden(_tomorrow, panel, DAYS)).all()
