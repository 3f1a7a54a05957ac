"""From a recipe to tables: what a user of `tsfm evaluate` finds in the folder, and in MLflow."""

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tsfm.config import load_recipe
from tsfm.errors import ConfigError, DataError
from tsfm.evaluation import beside_published, zero_shot
from tsfm.jobs import evaluate
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tracking import ListTracker

FILES = {"config.toml", "results.parquet", "results.md", "report.json"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with toy values under the names of real cards, and a published table."""
    folder = tmp_path / "data"
    (folder / "published").mkdir(parents=True)
    generator = np.random.default_rng(0)
    months = pl.datetime_range(
        pl.datetime(2000, 1, 1), pl.datetime(2003, 12, 1), "1mo", time_unit="ms", eager=True
    )
    parts = [
        pl.DataFrame(
            {"series_id": name, "timestamp": months, "target": generator.normal(20, 3, 48)}
        )
        for name in ("a", "b", "c")
    ]
    monthly = pl.concat(parts)
    monthly.write_parquet(folder / "hospital.parquet")
    with_gaps = pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise(pl.col("target"))
    monthly.with_columns(with_gaps.alias("target")).write_parquet(folder / "car_parts.parquet")
    hours = pl.datetime_range(
        pl.datetime(2016, 7, 1), pl.datetime(2016, 8, 31, 23), "1h", time_unit="ms", eager=True
    )
    channels = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    wave = np.sin(np.arange(len(hours)) * 2 * np.pi / 24)
    columns = {name: wave + generator.normal(0, 0.1, len(hours)) for name in channels}
    pl.DataFrame({"series_id": "ETTh1", "timestamp": hours, **columns}).write_parquet(
        folder / "ETTh1.parquet"
    )
    monkeypatch.setenv("TSFM_DATA", str(folder))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An untrained model that says that it has seen the car parts."""
    config = TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=16)
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    whole = TimeSeriesModel("timer", backbone, 64, Provenance(trained_on=("car_parts",)))
    return save_pretrained(whole, tmp_path / "toy-model")


def publish(data: Path, *, hospital: float) -> None:
    rows = [
        "dataset,model,MASE,WQL,evaluation,source,our_dataset",
        f"monash_hospital,seasonal_naive,{hospital!r},0.2,zero-shot,fev,hospital",
        "monash_hospital,tirex,0.7,0.1,zero-shot,fev,hospital",
    ]
    (data / "published" / "chronos_results.csv").write_text("\n".join(rows) + "\n")


def our_seasonal_naive() -> float:
    from tsfm.evaluation.benchmark_sets import read_benchmark_set
    from tsfm.evaluation.rivals import Rival
    from tsfm.tasks.forecasting.baselines import SeasonalNaive

    rival = Rival("seasonal naive", "baseline", SeasonalNaive(12))
    return float(beside_published.score(read_benchmark_set("hospital"), rival, None)["mase"])


def run_zero_shot(model: Path, output: Path, *overrides: str):
    tracker = ListTracker()
    recipe = load_recipe(
        "zero_shot",
        [
            f"evaluate.models={json.dumps([str(model)])}",
            'evaluate.datasets=["hospital", "car_parts"]',
            "run.device=cpu",
            *overrides,
        ],
    )
    return evaluate.run(recipe, output=output, tracker=tracker), tracker


def test_zero_shot_from_recipe_to_report(data: Path, model: Path, tmp_path: Path):
    publish(data, hospital=our_seasonal_naive())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("of somebody else")
    report, tracker = run_zero_shot(model, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES | {"notes.txt"}
    recorded = [content.name for event, content in tracker.events if event == "artifact"]
    assert sorted(recorded) == sorted(FILES)
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "message" not in stored
    assert stored["models"]["toy-model"]["n_parameters"] > 0
    (check,) = report["harness"]
    assert check["same"]
    assert check["required"]
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet")
    ours = rows.filter(pl.col("model") == "toy-model")
    assert set(ours["dataset"]) == {"hospital", "car_parts"}
    assert ours["wql"].is_finite().all()
    assert ours["coverage_80"].is_between(0, 1).all()
    assert rows.filter(pl.col("model") == "tirex")["mase_ratio"].to_list() == pytest.approx(
        [0.7 / check["published_mase"]]
    )
    events = [event for event, _ in tracker.events]
    assert (events[0], events[-1]) == ("start", "finish")
    assert tracker.events[-1][1] == "FINISHED"
    (metrics,) = [content[1] for event, content in tracker.events if event == "log"]
    assert "zero_shot/shared_7/toy-model/wql_ratio" in metrics


def test_a_set_that_the_model_was_trained_on_is_called_seen(
    data: Path, model: Path, tmp_path: Path
):
    report, _ = run_zero_shot(model, tmp_path / "out")
    labels = {
        row["dataset"]: row["label"] for row in report["results"] if row["model"] == "toy-model"
    }
    assert labels == {"car_parts": "seen", "hospital": "zero-shot"}
    (row,) = [row for row in report["summary"] if row["model"] == "toy-model"]
    assert row["label"] == "seen (1 of 2 sets)"
    assert "(seen)" in report["message"]


def test_without_a_published_table_the_report_says_that_nothing_was_checked(
    data: Path, model: Path, tmp_path: Path
):
    report, _ = run_zero_shot(model, tmp_path / "out")
    assert report["harness"] == []
    assert "Not checked, no published table found: car_parts, hospital." in report["message"]
    assert {row["reference"] for row in report["results"]} == {"ours"}


def test_a_harness_that_does_not_reproduce_the_published_baseline_stops_the_run(
    data: Path, model: Path, tmp_path: Path
):
    publish(data, hospital=our_seasonal_naive() + 0.001)
    tracker = ListTracker()
    recipe = load_recipe(
        "zero_shot", ["evaluate.models=[]", 'evaluate.datasets=["hospital"]', "run.device=cpu"]
    )
    with pytest.raises(DataError, match="MASE on hospital must be the published"):
        evaluate.run(recipe, output=tmp_path / "out", tracker=tracker)
    assert tracker.events[-1] == ("finish", "FAILED")
    assert not (tmp_path / "out" / "report.json").exists()


def test_a_run_that_is_interrupted_is_recorded_as_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(
        evaluate.PROTOCOLS, "zero_shot", replace(zero_shot.PROTOCOL, evaluate=interrupt)
    )
    tracker = ListTracker()
    recipe = load_recipe("zero_shot", ["evaluate.models=[]", "run.device=cpu"])
    with pytest.raises(KeyboardInterrupt):
        evaluate.run(recipe, output=tmp_path / "out", tracker=tracker)
    assert tracker.events[-1] == ("finish", "KILLED")


def test_two_runs_of_one_seed_are_equal(data: Path, model: Path, tmp_path: Path):
    first, _ = run_zero_shot(model, tmp_path / "first")
    second, _ = run_zero_shot(model, tmp_path / "second")

    def without_time(rows):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]

    assert without_time(first["summary"]) == without_time(second["summary"])


def test_ltsf_from_recipe_to_report(data: Path, model: Path, tmp_path: Path):
    tracker = ListTracker()
    recipe = load_recipe(
        "ltsf",
        [
            f"evaluate.models={json.dumps([str(model)])}",
            'evaluate.datasets=["ETTh1"]',
            "evaluate.horizons=[4, 12]",
            "evaluate.context_length=48",
            "evaluate.splits.ETTh1=[800, 300, 300]",
            "evaluate.stride=8",
            "run.device=cpu",
        ],
    )
    report = evaluate.run(recipe, output=tmp_path / "out", tracker=tracker)
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    assert "only every 8th window" in report["message"]
    found = {(row["model"], row["horizon"]): row for row in report["results"]}
    assert found["toy-model", 4]["n_windows"] == 38
    assert found["toy-model", 12]["n_windows"] == 37
    # A wave of a day with noise of 0.1 on an amplitude of 1: the season and the line know it.
    assert found["seasonal naive", 12]["mse"] < 0.1 < found["naive", 12]["mse"]
    assert found["ridge, fitted here", 12]["mse"] < found["seasonal naive", 12]["mse"]
    (metrics,) = [content[1] for event, content in tracker.events if event == "log"]
    assert metrics["ltsf/ETTh1/12/naive/mse"] == found["naive", 12]["mse"]


def test_rows_after_the_split_are_left_out(data: Path, tmp_path: Path):
    from tsfm.series.ltsf_set import read_ltsf_set

    toy = read_ltsf_set("ETTh1", (800, 300, 300))
    assert toy.freq == "h"
    assert (len(toy.values), toy.train_end, toy.test_start) == (1400, 800, 1100)
    np.testing.assert_allclose(toy.values[:800].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(toy.values[:800].std(axis=0), 1)
    shares = read_ltsf_set("ETTh1")
    assert (len(shares.values), shares.train_end) == (1488, 1041)
    assert len(shares.values) - shares.test_start == 297


def test_a_split_that_does_not_fit_is_refused(data: Path):
    from tsfm.series.ltsf_set import read_ltsf_set

    with pytest.raises(DataError, match="must fit its 1488 rows, got train=1400"):
        read_ltsf_set("ETTh1", (1400, 100, 100))


def test_missing_values_are_refused_by_the_long_term_protocol(data: Path):
    from tsfm.series.ltsf_set import read_ltsf_set

    with pytest.raises(DataError, match="car_parts must be one series without missing values"):
        read_ltsf_set("car_parts")


def test_a_series_that_is_not_longer_than_the_horizon_is_refused(data: Path):
    from tsfm.evaluation.benchmark_sets import read_benchmark_set

    frame = pl.read_parquet(data / "hospital.parquet")
    short = frame.group_by("series_id", maintain_order=True).head(12)
    short.write_parquet(data / "hospital.parquet")
    with pytest.raises(DataError, match="item 'a' of hospital must be longer than"):
        read_benchmark_set("hospital")


def test_models_of_one_name_are_told_apart_by_their_path(data: Path, model: Path, tmp_path: Path):
    other = shutil.copytree(model, tmp_path / "other" / model.name)
    both = f"evaluate.models={json.dumps([str(model), str(other)])}"
    report, _ = run_zero_shot(model, tmp_path / "out", both, 'evaluate.datasets=["hospital"]')
    assert set(report["models"]) == {str(model), str(other)}
    rows = [row["model"] for row in report["results"] if row["kind"] == "model"]
    assert rows == [str(model), str(other)]
    twice = f"evaluate.models={json.dumps([str(model)] * 2)}"
    with pytest.raises(ConfigError, match=r"evaluate\.models: must name every model once"):
        run_zero_shot(model, tmp_path / "out", twice)


@pytest.mark.skipif("TSFM_DATA" not in os.environ, reason="TSFM_DATA is not set")
def test_our_seasonal_naive_is_the_published_one_to_three_decimals(tmp_path: Path):
    folder = Path(os.environ["TSFM_DATA"])
    recipe = load_recipe("zero_shot")
    names = list(recipe.sections["evaluate"]["must_match"])
    needed = [folder / "published" / "chronos_results.csv"]
    needed += [folder / f"{name}.parquet" for name in names]
    absent = [file.name for file in needed if not file.is_file()]
    if absent:
        pytest.skip(f"TSFM_DATA lacks {absent}")
    recipe = load_recipe(
        "zero_shot", ["evaluate.models=[]", f"evaluate.datasets={json.dumps(names)}"]
    )
    report = evaluate.run(recipe, output=tmp_path / "out", tracker=ListTracker())
    checked = {check["dataset"]: check for check in report["harness"]}
    assert sorted(checked) == sorted(names)
    assert len(names) == 6
    for check in checked.values():
        assert check["ours_mase"] == pytest.approx(check["published_mase"], abs=5e-4)
        assert check["ours_wql"] == pytest.approx(check["published_wql"], abs=5e-4)
    assert re.search(r"exchange_rate +\| +1\.7402 +\| +1\.7402", report["message"])
