"""What a report counts is what was written."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tsfm.jobs import impute
from tsfm.tracking import ListTracker


def run(*inputs: Path | str, **options: Any) -> dict[str, Any]:
    return impute.run(inputs, **{"output": Path("out"), "tracker": ListTracker(), **options})


def frame(*items: str) -> pl.DataFrame:
    values = pl.Series("target", [1.0, None, 3.0, 5.0, None, 4.0, 2.0, 3.0], pl.Float64)
    one = pl.DataFrame({"timestamp": range(8), "target": values})
    rows = [one.with_columns(item_id=pl.lit(item)) for item in items]
    return pl.concat(rows or [one.clear().with_columns(item_id=pl.lit("a"))])


def test_items_of_a_text_file_are_counted():
    frame("a", "b", "c").write_csv("in.csv")
    for options in ({}, {"resume": True}):
        report = run("in.csv", **options)
        assert (report["items"], report["files"][0]["items"]) == (3, 3)


def test_an_item_counts_once_and_a_file_without_rows_or_output_has_none():
    Path("lake").mkdir()
    frame("a", "b").write_parquet("lake/a.parquet")
    frame("a").with_columns(pl.col("timestamp") + 8).write_parquet("lake/b.parquet")
    frame().write_parquet("lake/empty.parquet")
    frame("z").with_columns(target_imputed=True).write_parquet("lake/refused.parquet")
    report = run("lake")
    assert len(report["failed"]) == 1
    assert report["items"] == 2
    assert [one["items"] for one in report["files"]] == [2, 1, 0]


def test_a_part_without_rows_comes_back_under_any_names_of_columns():
    Path("lake").mkdir()
    names = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}
    frame("a").rename(names).write_parquet("lake/a.parquet")
    frame().rename(names).write_parquet("lake/b.parquet")
    with pytest.warns(UserWarning, match="using the columns"):
        report = run("lake", verify=True)
    assert (report["failed"], report["verified"], report["filled"]) == ([], 2, 2)


def test_the_place_of_the_report_is_named_as_it_is():
    frame("a").write_parquet("a.parquet")
    for output in ("out/", "other"):
        place = f"{output.rstrip('/')}/report.json"
        assert run("a.parquet", output=output)["message"].endswith(f"report in {place}")
