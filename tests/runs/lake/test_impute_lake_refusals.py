"""What of a lake cannot be filled is said by name, and never in the way of the rest."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tsfm.errors import ConfigError, DataError


def test_what_cannot_be_used_is_listed_and_the_rest_is_done(run, by_year):
    (by_year / "corrupt.parquet").write_bytes(b"PAR1 and then nothing")
    pl.DataFrame({"item_id": ["z"], "timestamp": [1], "value": [2.0]}).write_parquet(
        by_year / "other.parquet"
    )
    pl.DataFrame({"item_id": [None], "timestamp": [1], "target": [2.0]}).write_parquet(
        by_year / "no_id.parquet"
    )
    report = run(by_year)
    assert len(report["files"]) == 4
    corrupt, no_id, other = sorted(report["failed"])
    assert "corrupt.parquet must be a readable Parquet file, got" in corrupt
    assert "every row must have an id, got 1 rows" in no_id
    assert "column 'target' must be present" in other
    assert {file.relative_to("out").as_posix() for file in Path("out").rglob("*.parquet")} == {
        "year=2020/part-0.parquet",
        "year=2020/part-1.parquet",
        "year=2021/part-0.parquet",
        "year=2022/part-0.parquet",
    }
    with pytest.raises(DataError, match="must be a readable Parquet file"):
        run(by_year / "corrupt.parquet", output=Path("other"))


def test_parts_that_share_items_must_share_types(run, by_year):
    file = by_year / "year=2021" / "part-0.parquet"
    frame = pl.read_parquet(file).with_columns(pl.col("timestamp").cast(pl.Int64) // 10**9)
    frame.write_parquet(file)
    report = run(by_year)
    assert len(report["files"]) == 1
    assert len(report["failed"]) == 3
    assert "must have columns of the same types" in report["failed"][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "spark"}, "engine must be one of"),
        ({"plot": "gaps.png"}, "plot must end in .html"),
        ({"max_gap": 0}, "max_gap must be"),
        (
            {"address": "auto"},
            "address is that of a Ray cluster, got 'auto' for the engine 'local'",
        ),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"workers": -1}, "workers must be at least 1, got -1"),
        ({"quantile_levels": (2.0,)}, "quantile_levels must be"),
    ],
)
def test_what_is_wrong_with_a_call_is_said_first(run, by_year, options, message):
    with pytest.raises(ConfigError, match=message):
        run(by_year, **options)
    assert not Path("out").exists()


def test_a_column_that_is_added_must_not_be_there(run, tmp_path):
    frame = pl.DataFrame({"timestamp": [0, 1], "target": [1.0, None], "target_imputed": [1, 2]})
    frame.write_parquet("in.parquet")
    with pytest.raises(DataError, match="column 'target_imputed' must not be there"):
        run("in.parquet")


def test_a_folder_that_says_there_is_no_item_is_refused(run, make_series):
    for item in ("a", "__HIVE_DEFAULT_PARTITION__"):
        place = Path(f"in/item_id={item}")
        place.mkdir(parents=True)
        pq.write_table(make_series(1, 40).drop_columns("item_id"), place / "part-0.parquet")
    report = run("in")
    assert (report["items"], len(report["files"])) == (1, 1)
    assert "part-0.parquet, column 'item_id': every row must have an id" in report["failed"][0]


def test_ids_of_two_files_that_differ_by_blanks_are_refused(run, make_series):
    Path("in").mkdir()
    for name, item in (("one", "A"), ("two", "A "), ("three", "B")):
        table = make_series(1, 40).drop_columns("item_id").add_column(0, "item_id", [[item] * 40])
        pq.write_table(table, f"in/{name}.parquet")
    report = run("in")
    assert [one["name"] for one in report["files"]] == ["three.parquet"]
    message = "column 'item_id': ids must differ by more than blanks around them, got 'A' and 'A '"
    for name, problem in zip(("one", "two"), sorted(report["failed"]), strict=True):
        assert problem.startswith(f"in/{name}.parquet: {message}")


def test_where_nothing_can_be_filled_no_folder_is_left(run, tmp_path):
    file = tmp_path / "twice.csv"
    file.write_text("item_id,timestamp,target\na,2024-01-01,1\na,2024-01-01,2\na,2024-01-02,\n")
    with pytest.raises(DataError, match="stamps of an item must differ"):
        run(file, output=tmp_path / "deep" / "new")
    assert not (tmp_path / "deep").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="stamps of an item must differ"):
        run(file, output=tmp_path / "mine")
    assert list((tmp_path / "mine").iterdir()) == []
