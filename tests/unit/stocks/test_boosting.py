"""The strongest rival on tables: it must find what there is, and choose on validation days only."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tsfm.errors import UnsupportedError
from tsfm.stocks.boosting import N_TREES, BoostedRanker, Boosting
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.simulation import SimulationConfig, simulated_panel

MakeSections = Callable[..., CrossSections]
TRAIN, VALIDATION, TEST = np.arange(10, 180), np.arange(180, 220), np.arange(220, 290)


@pytest.fixture
def sections(make_sections: MakeSections) -> CrossSections:
    panel = simulated_panel(SimulationConfig(n_stocks=12, n_days=300, reversal=0.5, missing=0.02))
    return make_sections(of=panel)


def fitted(sections: CrossSections, library: Boosting = "scikit-learn") -> BoostedRanker:
    generator = np.random.default_rng(0)
    return BoostedRanker.fit(sections, TRAIN, VALIDATION, generator=generator, library=library)


@pytest.mark.parametrize("library", ["scikit-learn", "lightgbm"])
def test_a_planted_edge_is_found(sections: CrossSections, library: Any) -> None:
    pytest.importorskip(library.replace("scikit-learn", "sklearn"))
    scores = fitted(sections, library).predict(sections, TEST)
    found = mean_of(information_coefficient(scores[TEST], sections.forward_returns[TEST]))
    assert found > 0.25


def test_it_scores_who_is_eligible_on_the_days_asked_for(sections: CrossSections) -> None:
    scores = fitted(sections).predict(sections, TEST)
    np.testing.assert_array_equal(np.isfinite(scores[TEST]), sections.eligible[TEST])
    assert np.isnan(scores[: TEST[0]]).all()


def test_what_comes_after_validation_changes_nothing(sections: CrossSections) -> None:
    before = fitted(sections)
    returns = sections.forward_returns.copy()
    returns[TEST] = -5 * returns[TEST]
    sections.forward_returns[:] = returns
    after = fitted(sections)
    assert 1 <= before.n_trees == after.n_trees <= N_TREES
    np.testing.assert_array_equal(before.predict(sections, TEST), after.predict(sections, TEST))


def test_lightgbm_is_asked_for_by_its_extra(
    sections: CrossSections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'tsfm-kit\[finance\]'"):
        fitted(sections, "lightgbm")
