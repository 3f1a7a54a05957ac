"""The recipe of a walk-forward from panel to report, and its runs in MLflow."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import audit, backtest
from tsfm.mlflow_store import import_mlflow
from tsfm.mlflow_tracker import MlflowTracker
from tsfm.stocks.trials import logged_returns
from tsfm.tracking import ListTracker

TINY = (
    "panel.simulation={n_stocks=8,n_days=130,reversal=0.5}",
    "walk_forward.test_start=2013-04-15",
    "walk_forward.test_days=20",
    "walk_forward.validation_days=12",
    "ranker.windows.context_length=8",
    "ranker.model={d_model=8,d_ff=8,n_heads=1}",
    "ranker.pretrain.epochs=0.1",
    "ranker.finetune.epochs=0.2",
    "ranker.validation_days=4",
    "backtest.top_k=[2]",
    "backtest.n_random=5",
    "backtest.audit_cutoffs=2",
    "run.device=cpu",
)


def test_folds_are_runs_below_the_run_and_are_not_fitted_twice(
    tracking_uri: str, tmp_path: Path
) -> None:
    recipe = load_recipe("walk_forward", [*TINY, f"run.output={tmp_path}"])
    tracker = MlflowTracker(experiment="walked", tracking_uri=tracking_uri)
    report = backtest.run(recipe, tracker=tracker)
    folds = report["folds"]
    assert [fold["test_days"] for fold in folds] == [20, 20, 15]
    assert report["panel"]["test_days"] == 55
    assert report["look_ahead"]["ok"]
    text = (tmp_path / "results.md").read_text()
    assert "## Folds" in text
    assert "3 portfolios of rankers were tried on this panel in 1 logged runs" in text

    client = import_mlflow().MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name("walked").experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert len(runs) == 4
    parent = runs.pop("walk_forward")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {parent.info.run_id}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert sorted(run.data.params["fold"] for run in runs.values()) == ["0", "1", "2"]
    child = next(iter(runs.values()))
    assert "seed0/finetune/train/loss" in child.data.metrics
    history = client.get_metric_history(parent.info.run_id, "stocks/fold/rank_ic")
    found = {one.step: one.value for one in history}
    assert found == pytest.approx({fold["fold"]: fold["rank_ic"] for fold in folds})

    # A second run reads every ranker, and what it earns is no new try.
    stamps = {one: one.stat().st_mtime_ns for one in tmp_path.rglob("ranker.json")}
    assert len(stamps) == 6
    again = backtest.run(
        recipe, tracker=MlflowTracker(experiment="walked", tracking_uri=tracking_uri)
    )
    assert stamps == {one: one.stat().st_mtime_ns for one in tmp_path.rglob("ranker.json")}
    assert len(logged_returns("simulated", experiment="walked", tracking_uri=tracking_uri)) == 2
    assert {row["n_trials"] for row in again["luck"]} == {3}
    assert {row["n_runs"] for row in again["luck"]} == {2}
    # Those of the last fold are audited, rather than weights that nobody uses.
    audited = audit.run(recipe, n_cutoffs=2, output=tmp_path / "audit")
    assert audited["ok"]
    assert [check["name"] for check in audited["checks"]][-1] == "scores, fitted"
    rows = pl.read_parquet(tmp_path / "results.parquet")
    reversal = rows.filter(pl.col("model").str.starts_with("reversal"))
    assert np.isfinite(reversal["rank_ic"][0])


def test_strict_refuses_a_checkpoint_that_may_have_seen_the_tests(tmp_path: Path) -> None:
    recipe = load_recipe(
        "walk_forward",
        [
            *TINY,
            f"run.output={tmp_path}",
            "ranker.checkpoint=tsfm-small",
            "walk_forward.strict=true",
        ],
    )
    with pytest.raises(ConfigError, match="strict needs test days after the training_cutoff"):
        backtest.run(recipe, tracker=ListTracker())


def test_the_recipe_passes_the_look_ahead_audit(tmp_path: Path) -> None:
    recipe = load_recipe("walk_forward", [*TINY, f"run.output={tmp_path}"])
    report = audit.run(recipe, n_cutoffs=3, output=tmp_path / "audit")
    assert report["ok"]
