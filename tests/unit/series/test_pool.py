"""A pool is built once and read for weeks: what is in it must be what came, and whole."""

import gzip
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.errors import DataError
from tsfm.series import pool_sources
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import PoolWriter, build_pool, save_pool
from tsfm.series.pool_sources import find_sources

NAN = np.nan


def series_of(pool: SingleSeriesPool) -> dict[str, list[float]]:
    """Item name -> values in their own units, NaN where missing."""
    found = {}
    for number, name in enumerate(pool.item_ids):
        part = slice(pool.offsets[number], pool.offsets[number + 1])
        values = pool.scaler.inverse(pool.values[None, part], np.array([number]))[0]
        found[name] = np.where(pool.observed[part], values, NAN).tolist()
    return found


def built(tmp_path: Path, *inputs, **settings) -> SingleSeriesPool:
    build_pool(inputs, tmp_path / "pool", **settings)
    return SingleSeriesPool.open(tmp_path / "pool")


@pytest.fixture
def long() -> pl.DataFrame:
    """Two items of two channels, 6 and 4 steps."""
    return pl.DataFrame(
        {
            "item_id": ["b"] * 6 + ["a"] * 4,
            "timestamp": [0, 1, 2, 3, 4, 5, 0, 1, 2, 3],
            "x": [1.0, 2, None, 4, 5, 6, 9, 8, 7, 6],
            "n": pl.Series([3, 1, 2, 3, 4, 5, 7, 6, 7, 6], dtype=pl.Int16),
            "label": ["no number"] * 10,
        }
    )


EXPECTED = {
    "a/x": [9, 8, 7, 6],
    "a/n": [7, 6, 7, 6],
    "b/x": [1, 2, NAN, 4, 5, 6],
    "b/n": [3, 1, 2, 3, 4, 5],
}


def assert_is_expected(pool: SingleSeriesPool) -> None:
    found = series_of(pool)
    assert found.keys() == EXPECTED.keys()
    for name, values in EXPECTED.items():
        assert found[name] == pytest.approx(values, rel=1e-6, nan_ok=True)


def test_every_channel_of_every_item_is_a_series(long, tmp_path) -> None:
    long.write_parquet(tmp_path / "toy.parquet")
    pool = built(tmp_path, tmp_path / "toy.parquet")
    assert_is_expected(pool)
    assert pool.datasets == ("toy",)
    assert pool.train_lengths.tolist() == [3, 5, 3, 5]
    assert (pool.values[~pool.observed] == 0).all()


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "semicolon.csv"])
def test_csv_gives_the_same_pool(long, tmp_path, suffix) -> None:
    file = tmp_path / f"toy.{suffix}"
    text = long.write_csv(separator=";" if "semicolon" in suffix else ",").encode()
    file.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    assert_is_expected(built(tmp_path, file))


@pytest.mark.parametrize("limit", [1, 8, 1000])
def test_chunks_and_the_order_of_rows_do_not_matter(long, tmp_path, monkeypatch, limit) -> None:
    monkeypatch.setattr(pool_sources, "CHUNK_VALUES", limit)
    long.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(
        tmp_path / "toy.parquet", row_group_size=3
    )
    assert_is_expected(built(tmp_path, tmp_path / "toy.parquet"))


@pytest.mark.parametrize(
    ("item", "time"), [("unique_id", "ds"), ("series_id", "timestamp"), ("ticker", "date")]
)
def test_usual_names_of_the_keys_are_known(long, tmp_path, item, time) -> None:
    long.rename({"item_id": item, "timestamp": time}).write_parquet(tmp_path / "toy.parquet")
    assert_is_expected(built(tmp_path, tmp_path / "toy.parquet"))


def test_a_wide_file_has_a_series_per_column(tmp_path) -> None:
    pl.DataFrame({"date": [3, 1, 2], "u": [3.0, 1, 2], "v": [9, 7, 9]}).write_parquet(
        tmp_path / "wide.parquet"
    )
    assert series_of(built(tmp_path, tmp_path / "wide.parquet")) == {
        "u": pytest.approx([1, 2, 3]),
        "v": pytest.approx([7, 9, 9]),
    }


def test_whole_numbers_name_items_too(tmp_path) -> None:
    frame = pl.DataFrame({"item_id": [10, 10, 9, 9], "target": [1.0, 2, 3, 4]})
    frame.write_parquet(tmp_path / "toy.parquet")
    assert built(tmp_path, tmp_path / "toy.parquet", train_share=1.0).item_ids == ("9", "10")


def test_ids_of_a_csv_that_are_one_number_are_items_of_their_own(tmp_path) -> None:
    items = ("007", "7", "1.10")
    rows = [f"{item},{step},{step}" for item in items for step in range(4)]
    (tmp_path / "set.csv").write_text("\n".join(["item_id,timestamp,target", *rows]) + "\n")
    pool = built(tmp_path, tmp_path / "set.csv")
    assert sorted(pool.item_ids) == ["007", "1.10", "7"]
    assert pool.lengths.tolist() == [4, 4, 4]


def test_types_that_polars_does_not_know_are_read(tmp_path) -> None:
    stamps = pa.array([3, 1, 2, 0], pa.timestamp("us", "+05:30"))
    values = pa.array([Decimal("4.5"), Decimal("2.5"), None, Decimal(1)], pa.decimal256(50, 3))
    pq.write_table(pa.table({"timestamp": stamps, "target": values}), tmp_path / "set.parquet")
    pool = built(tmp_path, tmp_path / "set.parquet")
    np.testing.assert_allclose(series_of(pool)["target"], [1, 2.5, NAN, 4.5])
    assert [file.name for file in (tmp_path / "pool").glob("*.parquet")] == []


def test_what_teaches_nothing_is_dropped_and_counted(tmp_path) -> None:
    steps = {
        "varies": [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        "constant": [5.0] * 10,
        "constant while training": [5.0] * 9 + [6],
        "gone": [None] * 10,
        "infinite": [float("inf")] * 10,
        "once": [None] * 9 + [3.0],
    }
    frames = [pl.DataFrame({"item_id": [k] * 10, "x": v}, strict=False) for k, v in steps.items()]
    schema = {"item_id": pl.String, "x": pl.Float64}
    pl.concat([frame.cast(schema) for frame in frames]).write_parquet(tmp_path / "toy.parquet")
    index = build_pool([tmp_path / "toy.parquet"], tmp_path / "pool")
    entry = index["statistics"][0]
    assert SingleSeriesPool.open(tmp_path / "pool").item_ids == ("varies",)
    counts = {name: entry[name] for name in ("series", "points", "missing")}
    assert counts == {"series": 1, "points": 10, "missing": 0}
    assert (entry["dropped_constant"], entry["dropped_missing"]) == (3, 2)


def test_several_files_are_several_data_sets(long, tmp_path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    long.write_parquet(folder / "one.parquet")
    long.write_csv(folder / "two.csv")
    expected = ("one", "two")
    assert tuple(source.name for source in find_sources([folder])) == expected
    assert tuple(source.name for source in find_sources([f"{folder}/*"])) == expected
    pool = built(tmp_path, folder)
    assert pool.datasets == expected
    assert pool.dataset.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


def test_a_card_brings_its_own_columns(tmp_path, monkeypatch) -> None:
    card = find_sources(["el_nino"])[0]
    assert (card.item_id, card.timestamp, card.channels) == ("item_id", "timestamp", ("target",))
    assert len(built(tmp_path, "el_nino").values) == 732


def test_a_role_stands_for_its_cards() -> None:
    assert [source.name for source in find_sources(["sample"])] == ["el_nino", "mauna_loa_co2"]


def test_a_saved_pool_opens_as_it_was(tmp_path, generator) -> None:
    series = [generator.standard_normal(50), np.array([1.0, NAN, 3.0]), np.full(4, 2.0)]
    pool = SingleSeriesPool.from_series(series)
    save_pool(pool, tmp_path / "pool")
    opened = SingleSeriesPool.open(tmp_path / "pool")
    opened.release()
    for name in ("values", "observed", "offsets", "dataset", "train_lengths"):
        assert (getattr(opened, name) == getattr(pool, name)).all()
        assert getattr(opened, name).dtype.itemsize == getattr(pool, name).dtype.itemsize
    assert (opened.scaler.scale == pool.scaler.scale).all()
    assert (opened.datasets, opened.item_ids) == (pool.datasets, pool.item_ids)
    statistics = json.loads((tmp_path / "pool" / "index.json").read_text())["statistics"]
    assert (statistics[0]["series"], statistics[0]["missing"]) == (3, 1)


def test_building_twice_gives_the_same_bytes(long, tmp_path) -> None:
    long.write_parquet(tmp_path / "toy.parquet")
    first, second = (
        build_pool([tmp_path / "toy.parquet"], tmp_path / name)["sha256"] for name in "ab"
    )
    assert first == second


def test_an_interrupted_build_leaves_nothing_behind(long, tmp_path) -> None:
    def interrupted() -> None:
        with PoolWriter(tmp_path / "pool") as writer:
            writer.start_dataset("toy")
            writer.append(np.arange(10.0), np.array([0, 10]), ["a"])
            assert (tmp_path / "pool.partial").is_dir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_stamps_that_are_text_are_put_in_order_as_days(tmp_path) -> None:
    days = ["30/01/2024", "31/01/2024", "01/02/2024", "02/02/2024"]
    pl.DataFrame({"item_id": "a", "date": days, "x": [1.0, 2.0, 3.0, 4.0]}).write_csv(
        tmp_path / "toy.csv"
    )
    build_pool([tmp_path / "toy.csv"], tmp_path / "pool", train_share=0.75)
    values = SingleSeriesPool.open(tmp_path / "pool").values
    assert (np.diff(values) > 0).all()


def test_an_existing_pool_is_not_overwritten(tmp_path) -> None:
    with pytest.raises(DataError, match=f"must not exist yet, got {tmp_path}"):
        build_pool(["el_nino"], tmp_path)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ({"item_id": ["a"], "x": ["text"]}, "toy.parquet must have the columns of numbers"),
        ({"item_id": ["a", None], "x": [1, 2]}, "item_id of .* got 1 rows without"),
        ({"timestamp": [1, 1, 2], "x": [1, 2, 3]}, "an item_id column .* got 1 repeated stamps"),
        ({"item_id": ["a"], "x": [1]}, "a series that varies, got 1 constant, 0 without"),
        (
            {"item_id": ["a"] * 3, "date": [1, 3, 3], "x": [1, 2, 3]},
            "item 'a' must have one row for a stamp, got 1 repeated stamps, first 3; aggregate",
        ),
        (
            {"item_id": ["a"] * 3, "date": [1, None, 3], "x": [1, 2, 3]},
            "item 'a', column 'date': got a missing stamp in row 2",
        ),
        (
            {"item_id": ["a"] * 2, "date": ["01/02/2024", "02/02/2024"], "x": [1, 2]},
            "item 'a', column 'date': got text '01/02/2024' that may be two days",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, frame, problem) -> None:
    pl.DataFrame(frame).write_parquet(tmp_path / "toy.parquet")
    with pytest.raises(DataError, match=problem):
        build_pool([tmp_path / "toy.parquet"], tmp_path / "pool")
    assert not (tmp_path / "pool").exists()
    assert not (tmp_path / "pool.partial").exists()


@pytest.mark.parametrize("name", ["toy.parquet", "toy.csv"])
def test_an_unreadable_file_is_named(tmp_path, name) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=f"{name} must be a readable CSV or Parquet file, got"):
        build_pool([tmp_path / name], tmp_path / "pool")


def test_an_input_that_is_nowhere_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere/\*\.csv must be a file, a folder or a pattern"):
        find_sources(["nowhere/*.csv"])


def test_two_files_of_one_name_are_refused(long, tmp_path) -> None:
    long.write_parquet(tmp_path / "toy.parquet")
    long.write_csv(tmp_path / "toy.csv")
    with pytest.raises(DataError, match=r"names of their own, got \['toy'\] twice"):
        find_sources([tmp_path])


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("index.json", None, "readable index.json"),
        ("index.json", b"{", "readable index.json"),
        ("index.json", b'{"format": 0}', "pool format must be 1, got 0"),
        ("values.bin", b"1234", r"values.bin must hold 5 numbers of type <f4"),
        ("scale.bin", None, r"scale.bin must hold 1 numbers"),
        ("item_ids.json", None, "item_ids.json must name the series"),
    ],
)
def test_a_damaged_pool_is_not_opened(tmp_path, file, content, problem) -> None:
    save_pool(SingleSeriesPool.from_series([np.arange(5.0)]), tmp_path / "pool")
    damaged = tmp_path / "pool" / file
    damaged.unlink()
    if content is not None:
        damaged.write_bytes(content)
    with pytest.raises(DataError, match=problem):
        SingleSeriesPool.open(tmp_path / "pool")
