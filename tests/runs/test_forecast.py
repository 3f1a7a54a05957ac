"""From a file to a forecast: what is printed, written and recorded, and what is never lost."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tsfm import cli
from tsfm.errors import ConfigError
from tsfm.jobs import forecast
from tsfm.mlflow_store import import_mlflow
from tsfm.tasks.forecast import Forecaster
from tsfm.tracking import ListTracker

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture
def source(tmp_path: Path, tiny_frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CSV of two series; the working directory is its folder."""
    monkeypatch.chdir(tmp_path)
    tiny_frame.write_csv(tmp_path / "series.csv")
    return tmp_path / "series.csv"


def run(*inputs: Path | str, **options: Any) -> tuple[dict[str, Any], ListTracker]:
    tracker = ListTracker()
    options = {"prediction_length": 3, "quantile_levels": LEVELS, "tracker": tracker, **options}
    return forecast.run(inputs, **options), tracker


def files_in(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*")}


class WatchingTracker(ListTracker):
    """Also keeps which files were there at every event."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.seen: dict[str, set[str]] = {}

    def start(self, name: str, config: dict[str, Any]) -> None:
        super().start(name, config)
        self.seen["start"] = files_in(self.folder)

    def finish(self, status: str) -> None:
        super().finish(status)
        self.seen["finish"] = files_in(self.folder)


class UnreachableTracker(ListTracker):
    """A store that nobody runs."""

    def start(self, name: str, config: dict[str, Any]) -> None:
        raise ConfigError("tracking_uri must be a store that can be opened, got 'http://nowhere'")


def test_without_an_output_the_forecast_is_printed_and_nothing_is_written(source, tmp_path, capsys):
    code = cli.main(
        ["forecast", "series.csv", "--prediction-length", "2", "--quantiles", "0.1,0.9"]
    )
    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "item_id,timestamp,target_name,predictions,0.1,0.9"
    assert [line.split(",")[0] for line in lines[1:]] == ["a", "a", "b", "b"]
    assert files_in(tmp_path) == {"series.csv"}


@pytest.mark.parametrize("name", ["forecast.parquet", "forecast.csv"])
def test_the_output_is_the_forecast_of_the_frame(source, tmp_path, tiny_frame, name):
    report, _ = run(source, output=tmp_path / "new" / name)
    read = pl.read_parquet if name.endswith("parquet") else pl.read_csv
    found = read(tmp_path / "new" / name)
    expected = Forecaster.from_pretrained("tsfm-small").predict(
        tiny_frame, prediction_length=3, quantile_levels=LEVELS
    )
    assert found.drop("timestamp").equals(expected.drop("timestamp"))
    assert files_in(tmp_path / "new") == {name, "report.json"}
    assert f"6 rows in {tmp_path / 'new' / name}" in report["message"]


def test_inputs_and_model_are_recorded_so_that_another_folder_finds_them(
    source, tmp_path, monkeypatch
):
    monkeypatch.chdir(source.parent)
    Forecaster.from_pretrained("tsfm-small").save_pretrained(tmp_path / "own")
    model = os.path.relpath(tmp_path / "own")
    report, _ = run(source.name, output=tmp_path / "out" / "f.csv", model=model)
    assert (report["inputs"], report["model"]) == ([str(source)], str(tmp_path / "own"))


def test_the_report_says_what_was_done(source, tmp_path):
    report, _ = run(source, output=tmp_path / "out" / "f.csv", plot=tmp_path / "out" / "f.html")
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored == {key: value for key, value in report.items() if key != "message"}
    assert (stored["items"], stored["rows"], stored["prediction_length"]) == (2, 6, 3)
    assert (stored["model"], stored["quantile_levels"]) == ("tsfm-small", list(LEVELS))
    assert (stored["inputs"], stored["output"]) == ([str(source)], str(tmp_path / "out" / "f.csv"))
    assert stored["plot"] == str(tmp_path / "out" / "f.html")
    assert stored["failed"] == []
    assert 0 < stored["seconds"] < 60
    assert {"tsfm-kit", "torch", "polars"} <= set(stored["versions"])
    assert stored["peak_memory_mb"] is None or stored["peak_memory_mb"] > 10


def test_the_run_is_recorded_with_the_digest_of_its_input(source, tmp_path):
    page = tmp_path / "plot.html"
    report, tracker = run(source, output=tmp_path / "f.parquet", plot=page, calendar=None)
    (start, data, log, *artifacts, finish) = tracker.events
    assert start[0] == "start"
    assert start[1][0] == "forecast"
    assert start[1][1]["prediction_length"] == 3
    assert start[1][1]["target"] == "target"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    assert data == ("log_input", (str(source), digest, str(source), "forecast"))
    assert log[1][1]["items"] == 2
    assert log[1][1]["rows"] == 6
    assert log[1][1]["seconds"] == report["seconds"]
    assert artifacts == [("artifact", tmp_path / "report.json"), ("artifact", page)]
    assert finish == ("finish", "FINISHED")


def test_several_files_have_one_digest_that_each_of_them_moves(source, tmp_path):
    digests = []
    for value in (1, 2):
        (tmp_path / "more.csv").write_text(f"item_id,timestamp,target\nc,2024-01-01,{value}\n")
        _, tracker = run(source, tmp_path / "more.csv", output=tmp_path / "f.csv", freq="h")
        (data,) = [content for event, content in tracker.events if event == "log_input"]
        assert data[0] == f"{source} and 1 more"
        assert data[2] == f"{source}, {tmp_path / 'more.csv'}"
        digests.append(data[1])
    assert digests[0] != digests[1]


def test_the_forecast_comes_first_and_the_report_last(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.json").write_text('{"versions": {}}')
    tracker = WatchingTracker(tmp_path / "out")
    run(
        source, output=tmp_path / "out" / "f.csv", plot=tmp_path / "out" / "f.html", tracker=tracker
    )
    assert tracker.seen["start"] == {"f.csv", "f.html"}
    assert tracker.seen["finish"] == {"f.csv", "f.html", "report.json"}


def test_an_error_ends_the_run_as_failed_and_without_a_report(source, tmp_path):
    """The name of the temporary file is taken by a folder, so that writing fails."""
    (tmp_path / "out" / ".f.csv.partial").mkdir(parents=True)
    tracker = ListTracker()
    with pytest.raises(OSError, match="partial"):
        run(source, output=tmp_path / "out" / "f.csv", tracker=tracker)
    assert tracker.events[0][0] == "start"
    assert tracker.events[-1] == ("finish", "FAILED")
    assert files_in(tmp_path / "out") == {".f.csv.partial"}


def test_a_store_that_cannot_be_opened_costs_the_record_not_the_forecast(source, tmp_path):
    tracker = UnreachableTracker()
    report, _ = run(source, output=tmp_path / "out" / "f.csv", tracker=tracker)
    assert pl.read_csv(tmp_path / "out" / "f.csv").height == 6
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    (problem,) = stored["failed"]
    assert problem.startswith("record of the run: tracking_uri must be a store")
    assert report["failed"] == stored["failed"]
    assert tracker.events == []


def test_on_the_command_line_that_is_code_3(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    command = ["forecast", "series.csv", "--prediction-length", "2", "--output", "out/f.parquet"]
    assert cli.main(command) == 3
    out, err = capsys.readouterr()
    assert "4 rows in out/f.parquet, report in out/report.json" in out
    assert "failed: record of the run: tracking_uri must be" in err
    assert pl.read_parquet("out/f.parquet").height == 4


def test_a_series_without_a_value_is_listed_and_the_others_are_forecast(
    tiny_frame, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first = tiny_frame["item_id"][0]
    holes = tiny_frame.with_columns(
        pl.when(pl.col("item_id") == first).then(None).otherwise("target").alias("target")
    )
    holes.write_parquet(tmp_path / "holes.parquet")
    command = ["forecast", "holes.parquet", "--prediction-length", "2", "--output", "f.parquet"]
    assert cli.main(command) == 3
    said = (
        f"holes.parquet: item {first!r}, column 'target': must have a value, got only missing ones"
    )
    assert f"tsfm: failed: {said}\n" in capsys.readouterr().err
    assert json.loads((tmp_path / "report.json").read_text())["failed"] == [said]
    found = pl.read_parquet(tmp_path / "f.parquet")
    missing = found.filter(item_id=first)
    assert missing["predictions"].is_null().all()
    assert missing["0.9"].null_count() == 2
    rest = found.filter(pl.col("item_id") != first)
    expected = Forecaster.from_pretrained("tsfm-small").predict(tiny_frame, prediction_length=2)
    assert rest.equals(expected.filter(pl.col("item_id") != first))

    holes.with_columns(target=pl.lit(None, pl.Float64)).write_parquet(tmp_path / "holes.parquet")
    assert cli.main(command) == 1
    assert "(2 such series); drop the item" in capsys.readouterr().err


def test_mlflow_has_the_run(source, tracking_uri, tmp_path):
    report, _ = run(
        source, output=tmp_path / "f.csv", plot=tmp_path / "f.html", tracker=None, freq="h"
    )
    client = import_mlflow().MlflowClient(tracking_uri)
    stored = client.get_run(report["run_id"])
    assert stored.info.status == "FINISHED"
    assert stored.info.run_name == "forecast"
    assert stored.data.params["prediction_length"] == "3"
    assert stored.data.params["freq"] == "h"
    assert stored.data.metrics["items"] == 2
    (data,) = stored.inputs.dataset_inputs
    assert hashlib.sha256(source.read_bytes()).hexdigest().startswith(data.dataset.digest)
    names = {entry.path for entry in client.list_artifacts(report["run_id"])}
    assert names == {"report.json", "f.html"}


def test_a_missing_plot_package_is_found_first(source, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(NotImplementedError, match="plots need plotly"):
        run(source, output=tmp_path / "out" / "f.csv", plot=tmp_path / "f.html")
    assert files_in(tmp_path) == {"series.csv"}


def test_an_item_of_several_files_is_found_again(source, tmp_path):
    (tmp_path / "more.csv").write_text("item_id,timestamp,target\nc,2024-01-01 00:00:00,\n")
    report, _ = run(source, tmp_path / "more.csv", output=tmp_path / "f.csv")
    (said,) = report["failed"]
    assert re.search(r"series.csv and 1 more: item 'c', column 'target': must have a value", said)


@pytest.mark.slow
def test_from_the_shell_with_a_store_of_its_own(source, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    command = [sys.executable, "-m", "tsfm", "forecast", "series.csv", "--prediction-length", "3"]
    done = subprocess.run(
        [*command, "--output", "out/forecast.parquet", "--plot", "out/forecast.html"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert "6 rows in out/forecast.parquet" in done.stdout
    assert (tmp_path / "mlflow.db").is_file()
    assert {"forecast.parquet", "forecast.html", "report.json"} == files_in(tmp_path / "out")
