"""From files to filled files: names, rows and types stay, and the report comes last."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tsfm import cli
from tsfm.errors import ConfigError, DataError
from tsfm.jobs import impute
from tsfm.tracking import ListTracker


@pytest.fixture
def folder(tmp_path: Path, tiny_frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a CSV and, below it, a Parquet file of the same two series with gaps."""
    monkeypatch.chdir(tmp_path)
    with_gaps = tiny_frame.with_columns(
        pl.when(pl.int_range(pl.len()) % 5 == 3).then(None).otherwise("target").alias("target")
    )
    (tmp_path / "in" / "deep").mkdir(parents=True)
    with_gaps.write_csv(tmp_path / "in" / "first.csv")
    with_gaps.write_parquet(tmp_path / "in" / "deep" / "second.parquet")
    return tmp_path / "in"


def run(*inputs: Path | str, **options: Any) -> tuple[dict[str, Any], ListTracker]:
    tracker = ListTracker()
    return impute.run(inputs, tracker=tracker, **options), tracker


def test_every_file_is_filled_under_its_own_name_and_the_report_says_what_was_done(
    folder, tmp_path
):
    report, tracker = run(folder, output=tmp_path / "out", quantile_levels=(0.1, 0.9))
    before = pl.read_parquet(folder / "deep" / "second.parquet")
    after = pl.read_parquet(tmp_path / "out" / "deep" / "second.parquet")
    added = ["target_imputed", "target_0.1", "target_0.9"]
    assert after.columns == [*before.columns, *added]
    seen = before["target"].is_not_null()
    assert after.filter(seen).select(before.columns).equals(before.filter(seen))
    assert after["target"].null_count() == 0
    text = pl.read_csv(tmp_path / "out" / "first.csv")
    assert text["target"].to_list() == pytest.approx(after["target"].to_list())
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    n_missing = before["target"].null_count()
    assert written["filled"] == report["filled"] == 2 * n_missing
    assert [one["filled"]["target"] for one in written["files"]] == [n_missing] * 2
    assert written["failed"] == []
    assert tracker.events[-1] == ("finish", "FINISHED")


def test_the_command_line_takes_modes_and_the_longest_gap(
    folder, tmp_path, capsys, tracking_uri, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    arguments = ["--output", "out", "--mode", "causal", "--max-gap", "2"]
    assert cli.main(["impute", "in/first.csv", *arguments]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "16 values filled in 84 rows of 1 file, report in out/report.json"
    # The second series begins with a gap, of which the past knows nothing.
    assert "item 'b', column 'target': 1 rows stay missing, in gaps that were not" in second
    assert pl.read_csv("out/first.csv")["target"].null_count() == 1


def test_what_stays_missing_is_reported_by_series(folder, tmp_path):
    data = pl.DataFrame(
        {"item_id": ["a", "a", "b"], "timestamp": [0, 1, 0], "target": [1.0, None, None]}
    )
    data.write_parquet(folder / "third.parquet")
    report, _ = run(folder / "third.parquet", output=tmp_path / "out")
    (found,) = report["files"]
    assert found["stay_missing"][0]["item"] == "b"
    assert "item 'b', column 'target': 1 rows stay missing" in report["message"]


def test_a_file_that_cannot_be_used_fails_by_itself(folder, tmp_path):
    pl.DataFrame({"timestamp": [0, 0], "target": [1.0, 2.0]}).write_csv(folder / "bad.csv")
    report, _ = run(folder, output=tmp_path / "out")
    assert len(report["files"]) == 2
    (problem,) = report["failed"]
    assert problem.startswith(str(folder / "bad.csv"))
    assert "duplicate" in problem
    assert not (tmp_path / "out" / "bad.csv").exists()
    with pytest.raises(DataError, match=r"bad.csv: .* duplicate"):
        run(folder / "bad.csv", output=tmp_path / "out")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--mode", "twosided"],
        ["--engine", "spark"],
        ["--workers", "0"],
        ["--workers", "-1"],
        ["--address", "auto"],
    ],
)
def test_a_word_that_is_none_of_the_choices_is_a_matter_of_usage(arguments, capsys, tmp_path):
    command = ["impute", str(tmp_path), "--output", str(tmp_path / "out"), *arguments]
    assert cli.main(command) == 2
    assert "see tsfm impute --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (["in/first.csv"], {"output": "in"}, "output must be another folder than that of in/first"),
        (["in/first.csv", "in/../in/first.csv"], {"output": "out"}, "got first.csv twice"),
        (["in/first.csv"], {"output": "out", "mode": "sideways"}, "mode must be one of"),
        (["in/notes.txt"], {"output": "out"}, "must end in .parquet or .csv to be written"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(
    folder, tmp_path, inputs, options, message
):
    (folder / "notes.txt").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match=message):
        run(*inputs, **{**options, "output": Path(options["output"])})
    assert not (tmp_path / "out").exists()
