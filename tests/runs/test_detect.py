"""From files to scored files: names, rows and types stay, and the report comes last."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm import cli
from tsfm.errors import ConfigError, DataError
from tsfm.jobs import detect
from tsfm.tasks.detect import Detector
from tsfm.tracking import ListTracker


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a CSV and, below it, a Parquet file of a noisy wave with one jump."""
    monkeypatch.chdir(tmp_path)
    step = np.arange(100)
    wave = np.sin(step / 3) + np.random.default_rng(0).normal(0, 0.05, 100)
    wave[80] += 5
    frame = pl.DataFrame({"item_id": "a", "timestamp": step, "target": wave, "note": "kept"})
    (tmp_path / "in" / "deep").mkdir(parents=True)
    frame.write_csv(tmp_path / "in" / "first.csv")
    frame.write_parquet(tmp_path / "in" / "deep" / "second.parquet")
    return tmp_path / "in"


def run(*inputs: Path | str, **options: Any) -> tuple[dict[str, Any], ListTracker]:
    tracker = ListTracker()
    return detect.run(inputs, tracker=tracker, **options), tracker


def test_every_file_is_scored_under_its_own_name_and_the_report_says_what_was_found(
    folder, tmp_path
):
    report, tracker = run(folder, output=tmp_path / "out")
    before = pl.read_parquet(folder / "deep" / "second.parquet")
    after = pl.read_parquet(tmp_path / "out" / "deep" / "second.parquet")
    assert after.drop("anomaly_score").equals(before)
    assert after["anomaly_score"].arg_max() == 80
    assert pl.read_csv(tmp_path / "out" / "first.csv")["anomaly_score"].arg_max() == 80
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["scored"] for one in written["files"]] == [84, 84]
    assert written["rows"] == report["rows"] == 200
    assert written["threshold"] is None
    assert report["message"].startswith("168 of 200 rows of 2 files scored, report in")
    assert tracker.events[-1] == ("finish", "FINISHED")


def test_a_detector_with_a_threshold_flags(folder, tmp_path):
    detector = Detector.from_pretrained("tsfm-small").fit_threshold(
        pl.read_csv(folder / "first.csv"), method="quantile", false_alarm_rate=0.02
    )
    detector.save_pretrained(tmp_path / "mine")
    report, _ = run(folder / "first.csv", output=tmp_path / "out", model=str(tmp_path / "mine"))
    found = pl.read_csv(tmp_path / "out" / "first.csv")
    assert found["is_anomaly"].sum() == report["files"][0]["flagged"] == 2
    assert "84 of 100 rows of 1 file scored, 2 flagged" in report["message"]
    assert report["threshold"]["method"] == "quantile"


def test_types_and_metadata_of_a_parquet_file_stay_as_they_were(folder, tmp_path):
    step = range(40)
    stamps = pa.array([3600 * one for one in step], pa.timestamp("s", "+02:00"))
    table = pa.table(
        {
            "item_id": pa.array(["a"] * 40).dictionary_encode(),
            "timestamp": stamps.cast(pa.timestamp("ms", "+02:00")),
            "target": pa.array([Decimal(one % 7) for one in step], pa.decimal256(50, 3)),
            "seen": pa.array([[one] for one in step], pa.list_(pa.field("one", pa.int8()))),
        }
    ).replace_schema_metadata({"pandas": "{}", "unit": "kW"})
    pq.write_table(table, folder / "typed.parquet")
    run(folder / "typed.parquet", output=tmp_path / "out")
    scored = pq.read_table(tmp_path / "out" / "typed.parquet")
    assert scored.column_names == [*table.column_names, "anomaly_score"]
    assert scored.column("anomaly_score").null_count < 40
    kept = scored.drop_columns("anomaly_score")
    assert kept.equals(pq.read_table(folder / "typed.parquet"), check_metadata=True)


def test_a_file_that_cannot_be_used_fails_by_itself(folder, tmp_path):
    pl.DataFrame({"timestamp": [0, 0], "target": [1.0, 2.0]}).write_csv(folder / "bad.csv")
    report, _ = run(folder, output=tmp_path / "out")
    assert len(report["files"]) == 2
    (line,) = report["failed"]
    assert "bad.csv" in line
    assert "duplicate" in line


def test_when_no_file_can_be_used_there_is_no_report(folder, tmp_path):
    pl.DataFrame({"timestamp": [0, 0], "target": [1.0, 2.0]}).write_csv(folder / "bad.csv")
    with pytest.raises(DataError, match=r"bad\.csv: .*duplicate"):
        run(folder / "bad.csv", output=tmp_path / "out")
    assert not (tmp_path / "out" / "report.json").exists()


def test_inputs_are_never_overwritten(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"must be another folder than that of .*first"):
        run(folder / "first.csv", output=folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "first.csv").write_bytes((folder / "first.csv").read_bytes())
    with pytest.raises(ConfigError, match=r"names of their own, got first\.csv twice"):
        run(folder / "first.csv", tmp_path / "other" / "first.csv", output=tmp_path / "out")


def test_a_file_that_cannot_be_written_under_its_name_is_refused(folder, tmp_path):
    (folder / "first.csv").rename(folder / "first.txt")
    with pytest.raises(ConfigError, match=r"must end in \.parquet or \.csv to be written"):
        run(folder / "first.txt", output=tmp_path / "out")


def test_the_command_line_prints_what_was_scored(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    assert cli.main(["detect", "in/first.csv", "--output", "out"]) == 0
    assert "84 of 100 rows of 1 file scored, report in out/report.json" in capsys.readouterr().out
    pl.DataFrame({"timestamp": [0, 0], "target": [1.0, 2.0]}).write_csv(folder / "bad.csv")
    assert cli.main(["detect", "in", "--output", "out"]) == 3
    assert "bad.csv" in capsys.readouterr().err


def test_an_output_below_its_input_is_no_input_of_the_next_run(folder):
    for _ in range(2):
        report, _ = run(folder, output=folder / "scored")
        assert len(report["files"]) == 2
        assert not report["failed"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_ids_may_be_said_by_folders_alone(folder: Path, tmp_path: Path, kind: str) -> None:
    whole = pl.read_csv(folder / "first.csv").rename({"item_id": "ticker"})
    place = tmp_path / "lake" / "ticker=A" / f"part-0.{kind}"
    place.parent.mkdir(parents=True)
    frame = whole.drop("ticker")
    frame.write_csv(place) if kind == "csv" else frame.write_parquet(place)
    run(tmp_path / "lake", output=tmp_path / "out", id_column="ticker")
    read = pl.read_csv if kind == "csv" else pl.read_parquet
    found = read(tmp_path / "out" / "ticker=A" / place.name)
    assert found.columns == ["timestamp", "target", "note", "anomaly_score"]
    one = tmp_path / "one.csv"
    whole.write_csv(one)
    run(one, output=tmp_path / "as_column", id_column="ticker")
    expected = pl.read_csv(tmp_path / "as_column" / "one.csv")["anomaly_score"]
    assert found["anomaly_score"].to_numpy() == pytest.approx(expected.to_numpy(), nan_ok=True)
    with pytest.raises(DataError, match="'sku' must be present"):
        run(tmp_path / "lake", output=tmp_path / "wrong", id_column="sku")
