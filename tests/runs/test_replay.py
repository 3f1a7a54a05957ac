"""A recorded result that cannot be had again is worth little: a replay says so, number by number.

Two runs each of a training, an evaluation and a backtest are slow; a forecast shows the
same in a moment.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tsfm import cli
from tsfm.mlflow_store import import_mlflow
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig


def _report(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def _replay(run_id: str) -> tuple[int, dict]:
    code = cli.main(["replay", run_id])
    return code, _report(Path("runs") / "replay" / run_id)


@pytest.fixture
def store(tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tracking store, and a working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    return tracking_uri


@pytest.mark.slow
def test_a_training_run_ends_with_the_same_loss_again(store: str, tmp_path: Path) -> None:
    settings = ["training.steps=3", "data.config.bank_rows=64", "data.config.points_per_batch=512"]
    assert cli.main(["pretrain", "timer_tiny", "--set", *settings]) == 0
    first = _report(tmp_path / "runs" / "timer_tiny" / "0")
    run_id = json.loads(
        (tmp_path / "runs" / "timer_tiny" / "0" / "checkpoint" / "config.json").read_text()
    )["details"]["run_id"]
    code, found = _replay(run_id)
    assert (code, found["verb"], found["differences"]) == (0, "pretrain", [])
    assert found["compared"] >= 3
    assert _report(Path(found["output"]))["loss"] == first["loss"]
    client = import_mlflow().MlflowClient(store)
    experiment = client.get_run(run_id).info.experiment_id
    children = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert len(children) == 1


@pytest.mark.slow
def test_an_evaluation_gives_the_same_scores_again(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    (folder / "published").mkdir(parents=True)
    (folder / "published" / "chronos_results.csv").write_text(
        "dataset,model,MASE,WQL,evaluation,source,our_dataset\n"
        "monash_hospital,tirex,0.7,0.1,zero-shot,fev,hospital\n"
    )
    months = pl.datetime_range(
        pl.datetime(2000, 1, 1), pl.datetime(2003, 12, 1), "1mo", time_unit="ms", eager=True
    )
    values = np.random.default_rng(0).normal(20, 3, 48)
    frame = pl.DataFrame({"series_id": "a", "timestamp": months, "target": values})
    frame.write_parquet(folder / "hospital.parquet")
    monkeypatch.setenv("TSFM_DATA", str(folder))
    config = TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=16)
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    save_pretrained(TimeSeriesModel("timer", backbone, 64, Provenance()), tmp_path / "toy")
    (tmp_path / "small.toml").write_text(
        '[evaluate]\nprotocol = "zero_shot"\ndatasets = ["hospital"]\n'
        f'models = ["{tmp_path / "toy"}"]\n'
    )
    assert cli.main(["evaluate", str(tmp_path / "small.toml")]) == 0
    client = import_mlflow().MlflowClient(store)
    (experiment,) = [one for one in client.search_experiments() if one.name == "tsfm"]
    (run,) = client.search_runs([experiment.experiment_id], "tags.mlflow.runName = 'small'")
    code, found = _replay(run.info.run_id)
    assert (code, found["verb"], found["differences"]) == (0, "evaluate", [])
    assert found["compared"] > 10


BACKTEST = (
    "panel.dataset=simulated",
    "panel.start=2013-01-01",
    "panel.end=2013-07-01",
    "panel.simulation={n_stocks=7,n_days=130,reversal=0.6}",
    "split.train_start=2013-03-25",
    "split.validation_start=2013-05-06",
    "split.test_start=2013-06-03",
    "ranker.windows.context_length=6",
    "ranker.model={d_model=8,d_ff=8,n_heads=2}",
    "ranker.pretext={}",
    "ranker.finetune.epochs=0.5",
    "ranker.validation_days=4",
    "backtest.top_k=[2]",
    "backtest.n_random=20",
    "backtest.audit_cutoffs=3",
    "run.seeds=[0]",
)


@pytest.mark.slow
def test_a_backtest_earns_the_same_again(store: str, tmp_path: Path) -> None:
    settings = [*BACKTEST, f"run.output={tmp_path / 'traded'}", "tracking.experiment=replayed"]
    assert cli.main(["backtest", "sspt_nasdaq_corrected", "--set", *settings]) == 0
    client = import_mlflow().MlflowClient(store)
    (experiment,) = [one for one in client.search_experiments() if one.name == "replayed"]
    runs = client.search_runs([experiment.experiment_id])
    (run,) = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    code, found = _replay(run.info.run_id)
    assert (code, found["verb"], found["differences"]) == (0, "backtest", [])
    assert found["compared"] > 50


def test_a_forecast_of_other_values_is_told_apart(
    store: str, tmp_path: Path, tiny_frame: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_frame.write_parquet(tmp_path / "input.parquet")
    arguments = ["--prediction-length", "3", "--output", str(tmp_path / "out" / "f.parquet")]
    assert cli.main(["forecast", str(tmp_path / "input.parquet"), *arguments]) == 0
    run_id = str(_report(tmp_path / "out")["run_id"])
    code, found = _replay(run_id)
    assert (code, found["verb"], found["differences"]) == (0, "forecast", [])
    tiny_frame.with_columns(pl.col("target") + 1).write_parquet(tmp_path / "input.parquet")
    capsys.readouterr()
    code, found = _replay(run_id)
    assert code == 3
    assert [one["place"] for one in found["differences"]] == ["sha256"]
    shown = capsys.readouterr()
    assert "sha256 must be" in shown.err
    assert f"{found['compared'] - 1} of {found['compared']} recorded values" in shown.out


def test_runs_that_cannot_be_replayed_are_named(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["replay", "0" * 32]) == 1
    assert "run_id must be a run in the store" in capsys.readouterr().err
    tracker = make_tracker(TrackingConfig())
    tracker.start("impute", {})
    assert cli.main(["replay", str(tracker.run_id)]) == 1
    assert "must have ended with a report.json to be replayed" in capsys.readouterr().err
    (tmp_path / "report.json").write_text('{"files": []}')
    tracker.artifact(tmp_path / "report.json")
    tracker.finish("FINISHED")
    assert cli.main(["replay", str(tracker.run_id)]) == 1
    assert "a run must be of one of ['backtest', 'evaluate'" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    assert cli.main(["replay", "0" * 32]) == 1
    assert "there is no such file" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert cli.main(["replay", "0" * 32]) == 1
    assert "nothing listens there" in capsys.readouterr().err
    (tmp_path / "notes.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/notes.db")
    assert cli.main(["replay", "0" * 32]) == 1
    assert "file is not a database; correct it or MLFLOW_TRACKING_URI" in capsys.readouterr().err
