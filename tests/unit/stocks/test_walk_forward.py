"""A walk-forward that leaks a day into its test, or tests on what was seen, proves nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.fitting import RankerConfig, days_of
from tsfm.stocks.folds import WalkForwardConfig, folds_of
from tsfm.stocks.look_ahead import change_the_future
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.phases import PhaseConfig
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.split import SplitConfig, split_days
from tsfm.stocks.walk_forward import may_have_seen, seen_days, walk_forward

SMALL = RankerConfig(
    model={"d_model": 8, "d_ff": 8, "n_heads": 1, "dropout": 0.0},
    windows=SectionConfig(context_length=6, features=FeatureConfig(averages=(3,)), fill="open"),
    pretext={},
    finetune=PhaseConfig(epochs=0.3),
    validation_days=3,
)


@pytest.fixture(scope="module")
def panel() -> StockPanel:
    return simulated_panel(SimulationConfig(n_stocks=6, n_days=100))


@pytest.fixture
def sections(panel: StockPanel) -> CrossSections:
    return cross_sections(panel, SMALL.windows)


def config_of(panel: StockPanel, **options: Any) -> WalkForwardConfig:
    given = {"test_start": str(panel.days[40]), "test_days": 15, "validation_days": 10}
    return WalkForwardConfig(**(given | options))


@pytest.mark.parametrize("window", ["expanding", "rolling"])
def test_nothing_that_was_fitted_on_reaches_into_a_test(
    panel: StockPanel, sections: CrossSections, window: Any
) -> None:
    config = config_of(panel, window=window, train_days=20, purge=2, embargo=3)
    folds = folds_of(sections, config)
    assert [fold.number for fold in folds] == [0, 1, 2, 3]
    reach = 2  # a score of day t is paid between the opens of t + 1 and t + 2
    for number, fold in enumerate(folds):
        start = 40 + 15 * number
        days = fold.days
        assert days.train[-1] + reach == start - 10 - 1 - 2
        assert days.validation[-1] + reach == start - 1 - 2 - 3
        assert days.test[0] == start - 1
        first = 0 if window == "expanding" else start - 10 - 20
        assert days.train[0] == first + 6 - 1
    # Every day is tested once, without a gap, up to the last whose return is known.
    test = np.concatenate([fold.days.test for fold in folds])
    np.testing.assert_array_equal(test, np.arange(39, 98))


def test_a_short_rest_is_part_of_the_last_test(panel: StockPanel, sections: CrossSections) -> None:
    folds = folds_of(sections, config_of(panel, test_days=28))
    assert [len(fold.days.test) for fold in folds] == [28, 31]
    until = folds_of(sections, config_of(panel, test_end=str(panel.days[60])))
    assert until[-1].days.test[-1] == 57
    (only,) = folds_of(sections, config_of(panel, test_days=500))
    assert len(only.days.test) == 59


def test_each_day_is_scored_by_a_ranker_that_has_not_seen_it(panel: StockPanel) -> None:
    config = config_of(panel, test_days=30)
    found = walk_forward(panel, config, SMALL)
    assert found.table["test_days"].to_list() == [30, 29]
    assert np.isfinite(found.scores[39:98]).all()
    assert np.isnan(found.scores[:39]).all()
    assert not found.seen.any()
    for ranker, fold in zip(found.ranker.rankers, found.ranker.folds, strict=True):
        cutoff = ranker.model.provenance.training_cutoff
        assert cutoff is not None
        assert np.datetime64(cutoff) < panel.days[fold.days.test[0] + 1]
    # Whatever happens after the first test, its scores stay.
    changed = change_the_future(panel, 69, np.random.default_rng(0))
    again = walk_forward(changed, config, SMALL)
    np.testing.assert_array_equal(again.scores[:69], found.scores[:69])
    assert not np.array_equal(again.scores[75:], found.scores[75:])


def test_days_before_the_cutoff_of_a_checkpoint_are_marked_and_strict_refuses(
    panel: StockPanel, sections: CrossSections, tmp_path: Any
) -> None:
    folds = folds_of(sections, config_of(panel))
    backbone = Timer(TimerConfig(patch_length=3, d_model=8, n_heads=1, n_layers=1, d_ff=8))
    day = str(panel.days[60])
    for cutoff, trained_on, expected in (
        (day, ("a",), 60),
        (None, ("a",), 97),  # of an unknown cutoff the worst is believed
        (None, (), None),
        (str(panel.days[10]), ("a",), None),
    ):
        provenance = Provenance(trained_on=trained_on, training_cutoff=cutoff)
        save_pretrained(TimeSeriesModel("timer", backbone, 6, provenance), tmp_path / "start")
        config = replace(SMALL, checkpoint=str(tmp_path / "start"))
        seen = seen_days(config, panel, folds)
        wanted = np.arange(100) if expected is not None else np.zeros(0, int)
        wanted = wanted[(wanted >= 39) & (wanted <= (expected or 0))]
        np.testing.assert_array_equal(np.flatnonzero(seen), wanted)
        if expected == 60:
            with pytest.raises(ConfigError, match=rf"cutoff of .*start', {day}, got 22 of 59 days"):
                seen_days(config, panel, folds, strict=True)


def test_the_bundled_model_may_have_seen_every_panel_here() -> None:
    provenance = load_pretrained("tsfm-small").provenance
    assert may_have_seen(provenance, np.array(["2017-12-08"], "datetime64[D]")).all()


def test_a_first_test_without_room_before_it_is_refused(sections: CrossSections) -> None:
    early = WalkForwardConfig(test_start="2013-01-05", validation_days=10)
    with pytest.raises(DataError, match="test_start must leave 10 days of validation"):
        folds_of(sections, early)
    with pytest.raises(DataError, match="and days to test on, got 2030-01-01 in a panel"):
        folds_of(sections, WalkForwardConfig(test_start="2030-01-01"))


def test_an_embargo_leaves_out_the_end_of_validation_only() -> None:
    days = np.arange("2020-01-01", "2020-02-01", dtype="datetime64[D]")
    plain = SplitConfig(validation_start="2020-01-11", test_start="2020-01-21", purge=1)
    wide = replace(plain, embargo=4)
    first, second = (split_days(days, one, context_length=2) for one in (plain, wide))
    np.testing.assert_array_equal(second.train, first.train)
    np.testing.assert_array_equal(second.test, first.test)
    np.testing.assert_array_equal(second.validation, first.validation[:-4])


def test_a_ranker_knows_what_its_checkpoint_has_seen(panel: StockPanel) -> None:
    found = walk_forward(
        panel,
        config_of(panel, test_days=60),
        replace(
            SMALL,
            model={},
            checkpoint="tsfm-small",
            freeze="backbone",
            windows=SectionConfig(context_length=16, features=FeatureConfig(averages=())),
            finetune=PhaseConfig(epochs=0.05),
        ),
    )
    start = load_pretrained("tsfm-small").provenance.training_cutoff
    assert found.ranker.last.model.provenance.training_cutoff == start
    assert found.seen.sum() == found.table["test_days"].sum()
    assert found.table["seen"].to_list() == [1.0]
    assert days_of(cross_sections(panel, SMALL.windows), found.ranker.folds[0].split)


def test_training_that_begins_after_validation_is_refused(
    panel: StockPanel, sections: CrossSections
) -> None:
    config = config_of(panel, train_start=str(panel.days[35]))
    with pytest.raises(DataError, match=r"train_start must be before .*, where the first validati"):
        folds_of(sections, config)
