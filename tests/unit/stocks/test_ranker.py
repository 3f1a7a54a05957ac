"""A ranker is fitted once and trusted for years: what it saves, loads and says must be the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tsfm.errors import CheckpointError, ConfigError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.series.validation import ColumnNamesWarning
from tsfm.stocks.cross_sections import SectionConfig, cross_sections
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.fitting import RankerConfig, days_of
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.phases import PhaseConfig
from tsfm.stocks.ranker import StockRanker
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.split import SplitConfig
from tsfm.stocks.universe import UniverseConfig
from tsfm.tracking import ListTracker

SPLIT = SplitConfig(validation_start="2013-03-11", test_start="2013-04-08")


def make_config(**options: Any) -> RankerConfig:
    windows = SectionConfig(
        context_length=8, min_observed=0.7, features=FeatureConfig(averages=(3,))
    )
    small: dict[str, Any] = {
        "model": {"d_model": 8, "d_ff": 12, "n_heads": 2, "dropout": 0.0},
        "windows": windows,
        "pretrain": PhaseConfig(epochs=0.2),
        "finetune": PhaseConfig(epochs=0.4, learning_rate=0.01),
        "validation_days": 4,
    }
    return RankerConfig(**(small | options))


LOGGED = ListTracker()
PANEL = simulated_panel(
    SimulationConfig(n_stocks=8, n_days=90, n_sectors=3, missing=0.05, reversal=0.4)
)


@pytest.fixture
def panel() -> StockPanel:
    return PANEL


@pytest.fixture(scope="module")
def ranker() -> StockRanker:
    """One for all tests, none of which changes it: a fit takes seconds."""
    return StockRanker.fit(PANEL, SPLIT, make_config(), seed=0, tracker=LOGGED)


def test_scores_are_there_for_who_is_eligible_and_for_the_days_asked(
    ranker: StockRanker, panel: StockPanel
) -> None:
    scores = ranker.predict(panel)
    assert scores.shape == (90, 8)
    assert np.isnan(scores[:5]).all()
    has_close = np.isfinite(panel["close"])
    assert not np.isfinite(scores[~has_close]).any()
    assert np.isfinite(scores[20:][has_close[20:]]).mean() > 0.9
    assert np.nanstd(scores[60]) > 0
    few = ranker.predict(panel, days=np.array([30, 60]))
    np.testing.assert_array_equal(few[[30, 60]], scores[[30, 60]])
    assert np.isnan(few[31:60]).all()


def test_saved_and_loaded_it_says_exactly_the_same(
    ranker: StockRanker, panel: StockPanel, tmp_path: Path
) -> None:
    ranker.save_pretrained(tmp_path)
    loaded = StockRanker.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict(panel), ranker.predict(panel))
    assert loaded.config == ranker.config
    assert loaded.report == json.loads(json.dumps(ranker.report))
    # The backbone alone is a checkpoint like any other.
    assert load_pretrained(tmp_path).name == "sspt"


def test_permuting_stocks_permutes_scores(ranker: StockRanker, panel: StockPanel) -> None:
    order = np.array([3, 0, 7, 5, 1, 2, 6, 4])
    days = np.array([40, 70])
    np.testing.assert_allclose(
        ranker.predict(panel.take(order), days=days),
        ranker.predict(panel, days=days)[:, order],
        rtol=1e-5,
        atol=1e-8,
    )


def test_the_same_seed_gives_the_same_weights_whatever_the_test_days_are(
    ranker: StockRanker, panel: StockPanel
) -> None:
    again = StockRanker.fit(_other_test_days(panel), SPLIT, make_config(), seed=0)
    for one, two in zip(ranker.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert ranker.report["pretext"] == again.report["pretext"]


@pytest.mark.parametrize("task", ["stock_code", "stock_sector"])
def test_who_is_listed_after_training_changes_no_weight(panel: StockPanel, task: str) -> None:
    first = int(np.searchsorted(panel.days, np.datetime64(SPLIT.test_start)))
    bars = panel.bars.copy()
    bars[:first, 2] = np.nan
    sector = panel.sector.copy()
    sector[2] = len(panel.sectors)  # nobody else's
    has_bar = np.isfinite(bars[..., 0])
    changed = {"bars": bars, "member": has_bar, "tradable": has_bar, "sector": sector}
    later = replace(panel, **changed, sectors=(*panel.sectors, "new"))
    without = panel.take(np.delete(np.arange(8), 2))
    config = make_config(pretext={task: 1.0})
    known, asked = (StockRanker.fit(one, SPLIT, config, seed=0) for one in (without, later))
    for one, two in zip(known.model.parameters(), asked.model.parameters(), strict=True):
        assert torch.equal(one, two)
    assert known.report["pretext"] == asked.report["pretext"]


def test_what_was_trained_on_validation_days_is_asked_on_those_of_the_test(
    panel: StockPanel,
) -> None:
    config = make_config(
        fit_on_validation=True, finetune=PhaseConfig(epochs=0), pretrain=PhaseConfig(epochs=0.1)
    )
    ranker, again = (
        StockRanker.fit(one, SPLIT, config, seed=0) for one in (panel, _other_test_days(panel))
    )
    for one, two in zip(ranker.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, two)
    found, other = (one.report["pretext"] for one in (ranker, again))
    assert found["stock_code"] != other["stock_code"]


def _other_test_days(panel: StockPanel) -> StockPanel:
    first = int(np.searchsorted(panel.days, np.datetime64(SPLIT.test_start)))
    bars = panel.bars.copy()
    bars[first:] *= 1.7
    bars[first + 3 :, 2] = np.nan
    bars[first + 2 :: 3, :, :4] *= 1.1
    return StockPanel(**{**_fields(panel), "bars": bars})


def _fields(panel: StockPanel) -> dict[str, Any]:
    return {name: value for name, value in vars(panel).items() if not name.startswith("_")}


def test_the_report_says_what_pre_training_learned(ranker: StockRanker) -> None:
    pretext = ranker.report["pretext"]
    assert {"stock_code/accuracy", "stock_sector/accuracy", "moving_average"} <= set(pretext)
    rival = pretext["moving_average/last_value_error"]
    skill = pretext["moving_average/skill_over_last_value"]
    assert skill == pytest.approx(1 - pretext["moving_average"] / rival)
    assert ranker.report["pretrain"]["steps"] == 8
    provenance = ranker.model.provenance
    assert provenance.training_cutoff == "2013-04-05"
    assert provenance.trained_on == ()
    assert provenance.synthetic_share == 1.0


@pytest.mark.parametrize(
    ("options", "cutoff"),
    [
        ({}, "2013-04-05"),
        ({"features": FeatureConfig(averages=(3,), normalization="whole_maximum")}, "2013-05-06"),
        ({"universe": UniverseConfig(rule="whole_period", min_share=0.5)}, "2013-05-06"),
    ],
)
def test_who_looks_ahead_has_seen_the_panel_to_its_end(
    panel: StockPanel, options: dict[str, Any], cutoff: str
) -> None:
    windows = SectionConfig(
        **{"context_length": 8, "min_observed": 0.7, "features": FeatureConfig(averages=(3,))}
        | options
    )
    idle = PhaseConfig(epochs=0)
    config = make_config(windows=windows, pretrain=idle, finetune=idle)
    found = StockRanker.fit(panel, SPLIT, config).model.provenance.training_cutoff
    assert (found, str(panel.days[-1])) == (cutoff, "2013-05-06")


def test_without_pretext_tasks_it_starts_from_scratch_and_may_train_on_validation_days(
    panel: StockPanel,
) -> None:
    config = make_config(
        pretext={"stock_code": 0.0}, fit_on_validation=True, finetune=PhaseConfig(epochs=1.0)
    )
    ranker = StockRanker.fit(panel, SPLIT, config, seed=1)
    assert set(ranker.report) == {"finetune"}
    days = days_of(cross_sections(panel, config.windows), SPLIT)
    # Days with fewer than two stocks are left out.
    n_days = len(days.train) + len(days.validation)
    assert n_days - 3 <= ranker.report["finetune"]["steps"] <= n_days
    assert "validation_loss" not in ranker.report["finetune"]


def test_it_starts_from_a_checkpoint_of_timer(panel: StockPanel, tmp_path: Path) -> None:
    timer = Timer(TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=2, d_ff=8))
    timer.reset_parameters(torch.Generator().manual_seed(0))
    seen = Provenance(trained_on=("sunspots_daily",))
    save_pretrained(TimeSeriesModel("timer", timer, 64, seen), tmp_path)
    ranker = StockRanker.fit(panel, SPLIT, make_config(checkpoint=str(tmp_path), model={}), seed=0)
    assert ranker.model.name == "timer"
    assert ranker.model.trained_on == ("sunspots_daily",)
    before = load_pretrained(tmp_path).backbone
    assert torch.equal(  # frozen in fine-tuning, but not in pre-training
        ranker.model.backbone.head.skip.weight, before.head.skip.weight
    )
    assert not torch.equal(
        ranker.model.backbone.blocks[1].feed_forward.expand.weight,
        before.blocks[1].feed_forward.expand.weight,
    )
    assert np.isfinite(ranker.predict(panel, days=np.array([50]))[50]).any()


def test_metrics_of_both_phases_are_logged(ranker: StockRanker) -> None:
    names = {name for event, content in LOGGED.events if event == "log" for name in content[1]}
    assert {"pretrain/train/loss", "finetune/train/loss", "finetune/validation/loss"} <= names
    assert ranker.report["finetune"]["validation_loss"] < 1


@pytest.mark.slow
def test_a_planted_edge_is_found() -> None:
    panel = simulated_panel(SimulationConfig(n_stocks=16, n_days=260, reversal=0.6))
    split = SplitConfig(validation_start="2013-08-01", test_start="2013-10-01")
    config = make_config(
        pretext={}, freeze="nothing", finetune=PhaseConfig(epochs=3, learning_rate=0.01)
    )
    ranker = StockRanker.fit(panel, split, config, seed=0)
    days = np.flatnonzero(panel.days >= np.datetime64("2013-10-01"))[:-1]
    scores = ranker.predict(panel, days=days)[days]
    # Reversal itself, which the share of 0.6 makes the best score there is, is at 0.5.
    assert mean_of(information_coefficient(scores, panel.forward_returns()[days])) > 0.2


def test_sectors_that_are_not_known_cannot_be_learned(
    make_panel: Callable[..., StockPanel],
) -> None:
    close = np.random.default_rng(0).uniform(9, 11, (80, 4))
    split = SplitConfig(validation_start="2020-03-02", test_start="2020-04-01")
    panel = make_panel(close)
    nobodys = replace(panel, sectors=("oil",))
    for one in (panel, nobodys):
        with pytest.raises(
            ConfigError, match=r"pretext\.stock_sector needs a panel with sectors, "
        ):
            StockRanker.fit(one, split, make_config())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("ranker.json", None, r"readable ranker.json and head.safetensors, got .*No such file"),
        ("ranker.json", '{"format": 9}', "format 9, and this version reads 1; save it again"),
        ("ranker.json", "{}", "'format'"),
        ("head.safetensors", "", "got .*; save it again"),
    ],
)
def test_a_broken_ranker_is_refused(
    ranker: StockRanker, tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    ranker.save_pretrained(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(CheckpointError, match=message):
        StockRanker.from_pretrained(tmp_path)


def test_ranks_can_be_joined_to_the_frame_they_are_of(
    ranker: StockRanker, panel: StockPanel
) -> None:
    day, stock = np.nonzero(np.isfinite(panel["close"]))
    frame = pl.DataFrame(
        {
            "unique_id": stock,
            "ds": panel.days[day].astype("datetime64[D]"),
            **{name: panel[name][day, stock] for name in panel.fields},
        }
    )
    with pytest.warns(ColumnNamesWarning):
        found = ranker.rank(frame, n_days=2)
    assert found.columns == ["unique_id", "ds", "score"]
    assert len(found.join(frame, on=["unique_id", "ds"])) == len(found) > 0
