"""A lake that is filled again, whole or in part: the report and the output tell of the last job."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.jobs import impute
from tsfm.locks import locked
from tsfm.tracking import ListTracker


def run(*inputs: Path, **options: Any) -> dict[str, Any]:
    return impute.run(inputs, **{"output": Path("out"), "tracker": ListTracker(), **options})


def test_a_report_lists_the_files_of_its_own_job(by_year):
    alone = by_year / "year=2020" / "part-1.parquet"
    other = pl.read_parquet(alone).with_columns(item_id=pl.lit("other"))
    other.write_parquet(by_year / "year=2020" / "part-2.parquet")
    folder = by_year / "year=2020"
    first, second = folder / "part-1.parquet", folder / "part-2.parquet"
    for inputs in ([first], [second], [first], [first, second], [second]):
        report = run(*inputs)
        assert [one["name"] for one in report["files"]] == [file.name for file in inputs]
        assert json.loads(Path("out/report.json").read_text())["files"] == report["files"]
        assert report["items"] == len(inputs)
    assert run(second)["message"].startswith("nothing to do: 1 file done before")


def test_a_file_that_cannot_be_filled_any_more_has_no_output(by_year):
    run(by_year)
    name = "year=2020/part-1.parquet"
    (by_year / name).write_bytes(b"broken")
    with pytest.raises(DataError, match="must be a readable Parquet file"):
        run(by_year / name, output=Path("out/year=2020"))
    assert Path("out", name).exists()
    (problem,) = run(by_year, resume=True)["failed"]
    assert name in problem
    assert not Path("out", name).exists()
    assert not Path("out/_manifest", f"{name}.json").exists()
    assert len(list(Path("out").rglob("*.parquet"))) == 3


def test_two_jobs_do_not_fill_one_folder_at_once(by_year):
    run(by_year)
    before = {file: file.read_bytes() for file in Path("out").rglob("*.*")}
    message = "a folder that no other job is filling, got out; wait for that job"
    with locked(Path("out/_manifest")), pytest.raises(ConfigError, match=message):
        run(by_year, max_gap=1)
    assert {file: file.read_bytes() for file in Path("out").rglob("*.*")} == before
    assert run(by_year, max_gap=1)["kept_files"] == 0
