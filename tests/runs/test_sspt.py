"""SSPT from panel to table: every part of a run, on panels that the package makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from tsfm import cli
from tsfm.config import load_recipe
from tsfm.errors import ConfigError, DataError
from tsfm.jobs import backtest, evaluate, finetune, pretrain
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.stocks.cross_sections import SectionConfig
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.phases import PhaseConfig
from tsfm.stocks.ranker import StockRanker
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.split import SplitConfig
from tsfm.tracking import ListTracker

SMALL_MODEL = "{d_model=8,d_ff=8,n_heads=2}"
# The published dates are those of RSR; a simulated panel of 130 days begins in 2013.
BACKTEST = (
    "panel.dataset=simulated",
    "panel.start=2013-01-01",
    "panel.end=2013-07-01",
    "panel.simulation={n_stocks=7,n_days=130,reversal=0.6}",
    "split.train_start=2013-03-25",
    "split.validation_start=2013-05-06",
    "split.test_start=2013-06-03",
    "ranker.windows.context_length=6",
    "ranker.pretrain.epochs=0.2",
    "ranker.finetune.epochs=0.5",
    "ranker.validation_days=4",
    "backtest.top_k=[2]",
    "backtest.n_random=20",
    "backtest.audit_cutoffs=3",
    "run.device=cpu",
)


class Interrupted(ListTracker):
    """Stops the run at a step, as a lost connection would."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self._step = step

    def log(self, step: int, metrics: dict[str, float]) -> None:
        super().log(step, metrics)
        if step >= self._step:
            raise KeyboardInterrupt


def train(output: Path, tracker: ListTracker | None = None, **settings: Any) -> dict[str, Any]:
    overrides = {"steps": 12, "save_every": 3, "log_every": 4, "accumulate": 1, **settings}
    pairs = [f"training.{name}={value}" for name, value in overrides.items()]
    recipe = load_recipe("sspt_tiny", [f"run.output={output}", *pairs])
    return pretrain.run(recipe, tracker=tracker or ListTracker())


def trade(output: Path, name: str = "sspt_nasdaq_corrected", *overrides: str) -> dict[str, Any]:
    released = ',layer_norm=false,missing="zero",position_std=1.0}'
    model = SMALL_MODEL[:-1] + (released if "faithful" in name else "}")
    recipe = load_recipe(
        name, [*BACKTEST, f"ranker.model={model}", f"run.output={output}", *overrides]
    )
    return backtest.run(recipe, tracker=ListTracker())


def test_the_loss_falls_and_the_checkpoint_is_read_back(tmp_path: Path) -> None:
    tracker = ListTracker()
    train(tmp_path, tracker, steps=40, log_every=10, accumulate=2)
    losses = [
        content[1]["train/loss"]
        for event, content in tracker.events
        if event == "log" and "train/loss" in content[1]
    ]
    assert losses[-1] < 0.99 * losses[0]
    model = load_pretrained(tmp_path / "checkpoint")
    assert (model.name, model.context_length) == ("sspt", 16)
    assert model.provenance.synthetic_share == 1.0
    values = torch.randn(2, 16, 5, generator=torch.Generator().manual_seed(0))
    seen = values.isfinite()
    save_pretrained(model, tmp_path / "again")
    again = load_pretrained(tmp_path / "again")
    first, second = (one.backbone.encode(values, seen, seen[..., 0]) for one in (model, again))
    assert torch.equal(first, second)
    assert first.std() > 0
    # What was trained is what was saved: not the weights that it began with.
    state = torch.load(tmp_path / "resume" / "state.pt", weights_only=True)
    for name, parameter in model.backbone.named_parameters():
        assert torch.equal(parameter, state["trained"][f"backbone.{name}"]), name


@pytest.mark.slow
def test_the_tiny_recipe_learns_what_holds_on_other_days(tmp_path: Path) -> None:
    report = train(tmp_path, steps=200, accumulate=2, validate_every=200)
    # Better than chance at sixteen stocks and four sectors, hidden days included.
    assert report["validation_loss"] < 0.9 * (np.log(16) + np.log(4))


def test_an_interrupted_run_ends_with_the_same_loss_to_the_bit(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", Interrupted(8))
    assert not (tmp_path / "stopped" / "report.json").exists()
    resumed = train(tmp_path / "stopped")
    assert resumed["loss"] == whole["loss"]
    ours, theirs = (
        load_file(tmp_path / name / "checkpoint" / "model.safetensors")
        for name in ("stopped", "whole")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_panel_without_dates_in_a_part_is_refused(tmp_path: Path) -> None:
    recipe = load_recipe(
        "sspt_tiny", [f"run.output={tmp_path}", "data.config.split.test_start=2030-01-01"]
    )
    with pytest.raises(DataError, match="the test part must have a day"):
        pretrain.run(recipe, tracker=ListTracker())


def test_the_bundled_timer_goes_on_learning_on_stocks(tmp_path: Path) -> None:
    file = tmp_path / "timer_on_stocks.toml"
    file.write_text(
        f"""
        [run]
        output = "{tmp_path / "run"}"
        [start]
        model = "tsfm-small"
        [data]
        name = "stocks"
        [data.config]
        panel.simulation = {{ n_stocks = 6, n_days = 120 }}
        windows = {{ context_length = 32, features = {{ averages = [] }} }}
        split = {{ validation_start = "2013-04-15", test_start = "2013-05-15" }}
        [objective]
        name = "weighted_sum"
        [objective.config.parts]
        stock_code = {{ config = {{ n_stocks = 6 }} }}
        moving_average = {{ config = {{ spans = [1] }} }}
        next_patch = {{}}
        [training]
        steps = 2
        """
    )
    report = finetune.run(load_recipe(file), tracker=ListTracker())
    assert np.isfinite(report["loss"])
    model = load_pretrained(tmp_path / "run" / "checkpoint")
    before, after = (one.backbone.state_dict() for one in (load_pretrained("tsfm-small"), model))
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_backtest_writes_all_that_it_promises_and_fits_nothing_twice(tmp_path: Path) -> None:
    report = trade(tmp_path, "sspt_nasdaq_corrected", "run.seeds=[0,1]")
    rows = pl.read_parquet(tmp_path / "results.parquet")
    models = set(rows["model"])
    assert models >= {"ranker", "ranker, seeds averaged", "market", "random picks"}
    assert {name.split(",")[0].split(" ")[0] for name in models} >= {
        "ridge",
        "reversal",
        "momentum",
    }
    assert set(rows["cost_bps"]) == {0.0, 5.0, 10.0, 20.0}
    ours = rows.filter((pl.col("model") == "ranker") & (pl.col("cost_bps") == 0))
    assert sorted(ours["seed"]) == [0, 1]
    assert ours["sharpe"].is_finite().all()
    costs = rows.filter((pl.col("model") == "ranker") & (pl.col("seed") == 0)).sort("cost_bps")
    assert (costs["irr"].diff().drop_nulls() < 0).all()
    edge = rows.filter(pl.col("model").str.starts_with("reversal"))["rank_ic"][0]
    assert edge > 0.2  # what the panel was made with

    # No look-ahead is found where there is none, and the report says so.
    assert report["look_ahead"]["ok"]
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["look_ahead"]["moved_share"] == 0.0
    assert written["panel"]["test_days"] == report["panel"]["test_days"] > 10
    text = (tmp_path / "results.md").read_text()
    assert "no score up to them moved" in text
    assert "Sharpe, 10 bp" in text
    assert "**Look-ahead**" not in text
    # Two seeds and their average were tried, all in this run, since nothing is logged with MLflow.
    assert "3 portfolios of rankers were tried on this panel in 1 logged runs" in text
    assert [row["cost_bps"] for row in report["luck"]] == [0.0, 5.0, 10.0, 20.0]
    daily = pl.read_parquet(tmp_path / "returns.parquet").filter(pl.col("model") == "ranker")
    assert len(daily) == 2 * report["panel"]["test_days"]

    # The rankers are there to be used, and a second run reads them.
    stamps = [(tmp_path / f"seed{seed}" / "ranker.json").stat().st_mtime_ns for seed in (0, 1)]
    ranker = StockRanker.from_pretrained(tmp_path / "seed0")
    assert ranker.model.provenance.training_cutoff == "2013-05-31"
    again = trade(tmp_path, "sspt_nasdaq_corrected", "run.seeds=[0,1]", "backtest.costs_bps=[0]")
    assert stamps == [
        (tmp_path / f"seed{seed}" / "ranker.json").stat().st_mtime_ns for seed in (0, 1)
    ]
    kept = [row for row in again["results"] if row["model"] == "ranker"]
    assert [row["ic"] for row in kept] == ours["ic"].to_list()


def test_the_faithful_backtest_owns_up_to_its_look_ahead(tmp_path: Path) -> None:
    report = trade(tmp_path, "sspt_nasdaq_faithful", "run.seeds=[3]")
    found = report["look_ahead"]
    assert not found["ok"]
    assert found["moved_share"] > 0.5
    assert len(found["hidden_ic"]) == len(found["hidden_rank_ic"]) == 1
    assert found["hidden_days"] == report["panel"]["test_days"]  # fewer than are asked for
    (ours,) = {row["ic"] for row in report["results"] if row["model"] == "ranker"}
    assert found["seen_ic"][0] == pytest.approx(ours)
    assert found["hidden_ic"][0] != ours
    text = (tmp_path / "results.md").read_text()
    assert "**Look-ahead**, as released, for comparison only" in text
    assert "owed to the future" in text


def test_a_ranker_of_another_configuration_never_stands_under_a_new_one(tmp_path: Path) -> None:
    file = tmp_path / "seed1" / "ranker.json"
    file.parent.mkdir()
    file.write_text("{}")
    (tmp_path / "config.toml").write_text("[panel]\ndataset = 'other'\n")
    recipe = load_recipe("sspt_nasdaq_corrected", [*BACKTEST, f"run.output={tmp_path}"])
    with pytest.raises(KeyboardInterrupt):
        backtest.run(recipe, tracker=Interrupted(1))
    assert not file.exists()


def accuracy_of_stocks(volatility: tuple[float, float]) -> float:
    """Share of the windows of held-out days whose stock is told; of eight, an eighth is chance."""
    simulation = SimulationConfig(n_stocks=8, n_days=320, volatility=volatility)
    config = RankerConfig(
        model={"d_model": 16, "d_ff": 32, "n_heads": 2, "dropout": 0.0},
        windows=SectionConfig(context_length=8, features=FeatureConfig(averages=())),
        pretext={"stock_code": 1.0},
        pretrain=PhaseConfig(epochs=1.5, learning_rate=5e-3),
        finetune=PhaseConfig(epochs=0),
        validation_days=48,
    )
    split = SplitConfig(validation_start="2013-11-01", test_start="2014-02-03")
    ranker = StockRanker.fit(simulated_panel(simulation), split, config)
    accuracy: float = ranker.report["pretext"]["stock_code/accuracy"]
    return accuracy


def test_stocks_that_differ_in_volatility_are_told_apart() -> None:
    assert accuracy_of_stocks((0.05, 1.0)) > 0.2


def test_stocks_that_differ_in_nothing_are_not_told_apart() -> None:
    """Random walks of one volatility must stay at chance, or a window says more than it should."""
    # The windows overlap, so chance itself has an error of about 0.03.
    assert abs(accuracy_of_stocks((0.3, 0.3)) - 1 / 8) < 0.07


@pytest.mark.slow
def test_another_ranker_is_fitted_anew_in_the_same_folder(tmp_path: Path) -> None:
    fast = ("run.seeds=[0]", "ranker.pretext={}", "ranker.finetune.epochs=0.1")
    first = trade(tmp_path, "sspt_nasdaq_corrected", *fast)
    other = trade(tmp_path, "sspt_nasdaq_corrected", *fast, "ranker.finetune.learning_rate=0.01")
    assert first["training"][0]["pretrain"] is None
    assert first["training"][0]["finetune"]["loss"] != other["training"][0]["finetune"]["loss"]


def test_the_verb_runs_a_recipe_and_a_wrong_one_says_so(
    tmp_path: Path, tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [
        *BACKTEST,
        f"ranker.model={SMALL_MODEL}",
        f"run.output={tmp_path / 'run'}",
        "run.seeds=[0]",
        "ranker.pretext={}",
        "tracking.enabled=false",
    ]
    assert cli.main(["backtest", "sspt_nasdaq_corrected", "--set", *settings]) == 0
    assert "# Stock ranking: sspt_nasdaq_corrected" in capsys.readouterr().out
    assert cli.main(["backtest", "sspt_nasdaq_corrected", "--set", "run.seeds=[]"]) == 1
    assert "run.seeds" in capsys.readouterr().err


def test_evaluate_names_the_verb_that_runs_a_backtest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "sspt_nasdaq_corrected"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("run tsfm backtest sspt_nasdaq_corrected")
    recipe = load_recipe("sspt_nyse_faithful")
    with pytest.raises(
        ConfigError, match=r"with \[backtest\]; run tsfm backtest sspt_nyse_faithful"
    ):
        evaluate.run(recipe, tracker=ListTracker())


def test_a_wrong_recipe_is_refused_before_anything_is_read() -> None:
    recipe = load_recipe("sspt_nasdaq_corrected", ["ranker.freze=all", "panel.dataset=nowhere"])
    with pytest.raises(ConfigError, match=r"ranker\.freze: there is no such key"):
        backtest.run(recipe, tracker=ListTracker())
