"""A lake comes back as it was, but for its gaps: nothing else of it may change, ever."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm import cli
from tsfm.errors import ConfigError, DataError
from tsfm.jobs import impute as job
from tsfm.lake.options import FillOptions
from tsfm.lake.parts import scan
from tsfm.lake.verify import Checking
from tsfm.tasks.impute import Imputer


def content(folder: Path | str) -> dict[str, bytes]:
    files = sorted(Path(folder).rglob("*.parquet"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_schema_order_types_row_groups_and_compression_stay(run, rich_file):
    report = run(rich_file, target=["target", "price", "count", "half", "whole"], verify=True)
    before, after = pq.ParquetFile(rich_file), pq.ParquetFile("out/rich.parquet")
    n_columns = len(before.schema_arrow)
    assert pa.schema(list(after.schema_arrow)[:n_columns]).equals(before.schema_arrow)
    assert after.metadata.num_row_groups == before.metadata.num_row_groups == 3
    kinds = {after.metadata.row_group(0).column(n).compression for n in range(n_columns)}
    assert kinds == {"ZSTD"}
    old, new = before.read(), after.read()
    for name in ("item_id", "timestamp", "whole", "note", "nested", "day"):
        # As text, since nothing equals a NaN.
        assert str(new.column(name).to_pylist()) == str(old.column(name).to_pylist())
    assert report["verified"] == 1
    assert new.column("price").null_count == new.column("count").null_count == 0
    assert not any(new.column("whole_imputed").to_pylist())
    missing = old.column("target").is_null().to_pylist()
    assert new.column("target_imputed").to_pylist() == missing


def test_values_are_those_of_the_imputer(run, rich_file):
    run(rich_file, quantile_levels=(0.1, 0.9))
    frame = pl.read_parquet(rich_file).select("item_id", "timestamp", "target")
    expected = Imputer.from_pretrained("tsfm-fill").impute(frame, quantile_levels=(0.1, 0.9))
    found = pl.read_parquet("out/rich.parquet")
    for name in ("target", "target_imputed", "target_0.1", "target_0.9"):
        assert found[name].to_list() == pytest.approx(expected[name].to_list(), rel=1e-9)


def test_a_season_that_only_the_stamps_tell_is_known_to_files_of_either_kind(run):
    stamps = pl.datetime_range(
        pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 2, 23, 45), "15m", time_unit="us", eager=True
    )
    frame = pl.DataFrame({"timestamp": stamps, "target": np.sin(np.arange(192) * np.pi / 48)})
    frame = frame.with_columns(pl.when(~pl.int_range(192).is_between(130, 179)).then("target"))
    frame.write_parquet("in.parquet")
    frame.write_csv("in.csv")
    imputer = Imputer.from_pretrained("tsfm-fill")
    expected = imputer.impute(frame)["target"].to_list()
    untold = imputer.impute(frame.with_columns(timestamp=pl.int_range(192)))["target"].to_list()
    assert expected != pytest.approx(untold, abs=0.05)
    for name, read in (("in.parquet", pl.read_parquet), ("in.csv", pl.read_csv)):
        run(name, output=Path(name[3:]))
        assert read(f"{name[3:]}/{name}")["target"].to_list() == pytest.approx(expected, rel=1e-6)


def test_an_item_that_lies_in_several_files_is_filled_as_one(run, by_year):
    report = run(by_year, verify=True)
    assert report["verified"] == 4
    assert report["items"] == 4
    assert set(content("out")) == set(content(by_year))
    names = ("item_id", "timestamp", "target", "target_imputed")
    found = pl.concat(pl.read_parquet(f, columns=names) for f in Path("out").rglob("*-0.parquet"))
    whole = pl.concat(pl.read_parquet(f) for f in by_year.rglob("*-0.parquet"))
    expected = Imputer.from_pretrained("tsfm-fill").impute(whole)
    found, expected = (one.sort("item_id", "timestamp") for one in (found, expected))
    assert found["target"].to_list() == pytest.approx(expected["target"].to_list(), rel=1e-9)


def test_an_output_below_its_input_is_no_input_of_the_next_run(run, by_year):
    first = run(by_year, output=by_year / "filled")
    before = content(by_year / "filled")
    for again in (
        run(by_year, output=by_year / "filled", resume=True),
        run(f"{by_year}/**/*.parquet", output=by_year / "filled"),
    ):
        assert len(again["files"]) == len(first["files"])
    assert content(by_year / "filled") == before
    with pytest.raises(ConfigError, match="output must be another folder than that of"):
        run(by_year / "filled", output=by_year / "filled")
    with pytest.raises(ConfigError, match="output must be another folder than that of"):
        run(f"{by_year}/filled/**/*.parquet", output=by_year / "filled")


def test_chunks_of_items_change_nothing(run, by_year, monkeypatch):
    run(by_year)
    plan = job.make_plan
    monkeypatch.setattr(job, "make_plan", lambda *all_: plan(*all_, rows_at_once=80))
    report = run(by_year, output=Path("again"))
    assert content("again") == content("out")
    assert not list(Path("again").rglob("*.arrow"))
    assert report["gaps"]["target"]


def test_processes_change_nothing(run, by_year, monkeypatch):
    run(by_year, workers=1)
    monkeypatch.setattr(job, "ROWS_PER_PROCESS", 1)
    run(by_year, output=Path("again"), workers=2)
    assert content("again") == content("out")


def test_an_id_may_be_the_name_of_a_folder(run, make_series):
    table = make_series(2, 40)
    for number, name in enumerate(("a", "b")):
        place = Path(f"in/item_id={name}")
        place.mkdir(parents=True)
        own = table.slice(40 * number, 40).drop_columns("item_id")
        pq.write_table(own.slice(0, 20), place / "part-0.parquet")
        pq.write_table(own.slice(20), place / "part-1.parquet")
    report = run("in/**/*.parquet", verify=True)
    assert report["items"] == 2
    assert report["verified"] == 4
    assert pq.read_schema("out/item_id=a/part-0.parquet").names == [
        "timestamp",
        "target",
        "target_imputed",
    ]


def test_rows_are_added_where_a_stamp_has_none(run, make_series):
    table = make_series(2, 40).append_column("extra", pa.array(range(80)))
    kept = np.setdiff1d(np.arange(80), [5, 6, 50])
    pq.write_table(table.take(kept), "in.parquet", row_group_size=30)
    report = run("in.parquet", fill_rows=True, verify=True)
    found = pl.read_parquet("out/in.parquet")
    assert report["rows"] == found.height == 80
    assert report["verified"] == 1
    assert found["timestamp"].to_list() == table.column("timestamp").to_pylist()
    assert found["extra"].is_null().arg_true().to_list() == [5, 6, 50]
    assert found["target_imputed"].to_numpy()[[5, 6, 50]].all()


def test_rows_are_added_for_the_sessions_of_an_exchange(run):
    days = pl.date_range(pl.date(2024, 1, 2), pl.date(2024, 3, 1), "1d", eager=True)
    frame = pl.DataFrame({"timestamp": days, "target": np.arange(len(days)) * 1.0})
    sessions = frame.filter(
        (pl.col("timestamp").dt.weekday() < 6)
        & ~pl.col("timestamp").is_in(pl.Series(["2024-01-15", "2024-02-19"]).str.to_date())
    )
    sessions.filter(pl.int_range(pl.len()) != 9).write_parquet("in.parquet")
    run("in.parquet", fill_rows=True, calendar="XNYS")
    found = pl.read_parquet("out/in.parquet")
    assert found["timestamp"].to_list() == sessions["timestamp"].to_list()
    assert found["target_imputed"].arg_true().to_list() == [9]


def test_rows_cannot_be_added_to_irregular_stamps(run):
    frame = pl.DataFrame({"timestamp": [0, 1, 2, 3, 10_000_000], "target": [1.0, None, 2, 3, 4]})
    frame.with_columns(pl.from_epoch("timestamp")).write_parquet("in.parquet")
    report = run("in.parquet")
    assert "every row is taken as one step" in report["files"][0]["notes"][0]
    with pytest.raises(DataError, match="rows can be added to regular stamps only"):
        run("in.parquet", fill_rows=True, output=Path("other"))


def test_a_value_filled_in_causal_mode_knows_nothing_of_what_comes_after(run, make_series):
    table = make_series(2, 80)
    pq.write_table(table, "in.parquet")
    run("in.parquet", mode="causal")
    cutoff = table.column("timestamp")[50].as_py()
    frame = pl.read_parquet("in.parquet")
    changed = frame.with_columns(
        pl.when(pl.col("timestamp") > cutoff).then(pl.col("target") * -7 + 100).otherwise("target")
    )
    changed.write_parquet("changed.parquet")
    run("changed.parquet", mode="causal", output=Path("other"))
    old, new = (pl.read_parquet(f) for f in ("out/in.parquet", "other/changed.parquet"))
    early = pl.col("timestamp") <= cutoff
    assert old.filter(early)["target_imputed"].any()
    assert old.filter(early).equals(new.filter(early))
    assert not old.filter(~early).equals(new.filter(~early))


def test_gaps_are_counted_by_length_and_refusals_by_reason(run):
    target = [1.0, None, 2.0, None, None, None, 3.0, 4.0, None, None, None, None]
    ids = ["a"] * 8 + ["b"] * 4
    stamps = [*range(8), *range(4)]
    pl.DataFrame({"item_id": ids, "timestamp": stamps, "target": target}).write_parquet(
        "in.parquet"
    )
    report = run("in.parquet", max_gap=2)
    assert report["gaps"]["target"] == {
        "1": {"gaps": 1, "steps": 1, "filled": 1},
        "2-3": {"gaps": 1, "steps": 3, "filled": 0},
        "4-7": {"gaps": 1, "steps": 4, "filled": 0},
    }
    reasons = {"the series has no value at all": 4, "gap longer than max_gap": 3}
    assert report["refused"]["target"] == reasons
    assert {one["item"] for one in report["files"][0]["stay_missing"]} == {"a", "b"}


def test_a_finished_job_does_nothing_and_says_so(
    by_year, capsys, tracking_uri, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["impute", "lake", "--output", "out", "--verify", "--plot", "g.html"]) == 0
    first = capsys.readouterr().out
    assert "files, report in out/report.json" in first
    assert "4 of 4 files verified" in first
    assert "gap of" in Path("g.html").read_text()
    report = json.loads(Path("out/report.json").read_text())
    assert report["run_id"]
    stamps = {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")}
    assert cli.main(["impute", "lake", "--output", "out"]) == 0
    assert capsys.readouterr().out.startswith("nothing to do: 4 files done before")
    assert stamps == {file: file.stat().st_mtime_ns for file in Path("out").rglob("*.parquet")}


def test_resuming_does_again_what_the_manifest_does_not_prove(run, by_year):
    run(by_year)
    whole = content("out")
    Path("out/report.json").unlink()
    alone = Path("out/year=2020/part-1.parquet")
    alone.write_bytes(b"broken")
    report = run(by_year, resume=True)
    assert report["kept_files"] == 3
    assert content("out") == whole
    # Other options, other bytes: nothing is proven.
    assert run(by_year, resume=True, max_gap=1)["kept_files"] == 0


def test_another_input_is_done_again_with_all_that_shares_its_items(run, by_year):
    run(by_year)
    file = by_year / "year=2021" / "part-0.parquet"
    frame = pl.read_parquet(file)
    frame.with_columns(pl.col("target") + 1).write_parquet(file)
    assert run(by_year, resume=True)["kept_files"] == 1


def test_an_empty_part_comes_back_empty(run, by_year):
    schema = pq.read_schema(by_year / "year=2020" / "part-0.parquet")
    pq.write_table(schema.empty_table(), by_year / "empty.parquet")
    run(by_year, verify=True)
    assert pq.read_table("out/empty.parquet").num_rows == 0


def test_verifying_finds_what_was_changed(run, by_year):
    name = "year=2020/part-1.parquet"
    run(by_year)
    part, _ = scan(str(by_year / name), name, FillOptions())
    check = Checking("out", FillOptions())
    assert check(part) is None
    table = pq.read_table(f"out/{name}", partitioning=None)
    flags = table.column("target_imputed").to_numpy()
    moved = table.column("target").to_numpy() + np.where(flags, 0.0, 1e-9)
    problems = {
        "an observed value": table.set_column(2, "target", pa.array(moved)),
        "flags must be": table.set_column(3, "target_imputed", pa.array(~flags)),
        "column 'item_id' is not": table.set_column(0, "item_id", pa.array(["b"] * 30)),
        "there must be 30 rows": table.slice(1),
        "the schema must be": table.drop_columns("target_imputed"),
    }
    for message, changed in problems.items():
        pq.write_table(changed, f"out/{name}")
        assert message in check(part)
