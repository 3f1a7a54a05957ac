"""Made series must be an input like any other, and the same for whoever draws them again."""

import json
import re
from datetime import datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from tsfm import cli
from tsfm.series.frame import SeriesFrame
from tsfm.series.pool import SingleSeriesPool

SMALL = ["--n-series", "300", "--length", "40"]


def _synth(output: Path, *options: str) -> int:
    return cli.main(["data", "synth", "--output", str(output), *options])


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path, capsys) -> None:
    files = [tmp_path / name for name in ("a.parquet", "b.parquet", "c.parquet")]
    for file, seed in zip(files, ("7", "7", "8"), strict=True):
        assert _synth(file, "--seed", seed, *SMALL) == 0
    first, second, other = (file.read_bytes() for file in files)
    assert first == second
    assert first != other
    assert "300 series of 40 steps in" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_has_the_families_gaps_and_stamps_asked_for(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"made.{suffix}"
    options = ["--families", "trend, counts", "--missing-share", "0.5", "--freq", "15min"]
    assert _synth(file, *options, *SMALL) == 0
    frame = pl.read_parquet(file) if suffix == "parquet" else pl.read_csv(file)
    assert frame.columns == ["item_id", "timestamp", "target", "family"]
    assert (frame.height, frame["item_id"].n_unique()) == (300 * 40, 300)
    assert set(frame["family"]) == {"trend", "counts"}
    series = SeriesFrame.from_any(frame)
    assert series.freq == "15min"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["missing"] == frame["target"].null_count() > 0
    assert sum(report["families"].values()) == 300
    of_item = frame.group_by("item_id").agg(pl.col("target").is_null().any())
    assert 100 < of_item["target"].sum() < 200


@pytest.mark.parametrize("freq", ["D", "W-SUN", "B", "MS", "ME", "QE", "YE", "BMS", "BME", "2h"])
def test_stamps_have_the_frequency_asked_for(freq: str, tmp_path: Path) -> None:
    file = tmp_path / "made.parquet"
    assert _synth(file, "--n-series", "2", "--length", "30", "--freq", freq) == 0
    assert SeriesFrame.from_any(pl.read_parquet(file)).freq == freq


@pytest.mark.parametrize(
    "freq", ["W", "W-TUE", "2W", "YS-APR", "QS-FEB", "QE-JAN", "YE-MAR", "BQS-FEB", "BYE-JUN", "QE"]
)
def test_stamps_lie_where_the_anchor_of_their_alias_says(freq: str, tmp_path: Path) -> None:
    file = tmp_path / "made.parquet"
    assert _synth(file, "--n-series", "1", "--length", "20", "--freq", freq) == 0
    stamps = pl.read_parquet(file)["timestamp"].to_list()
    assert stamps == pd.date_range(stamps[0], periods=20, freq=freq).to_pydatetime().tolist()
    assert abs((stamps[0] - datetime(2000, 1, 1)).days) < 366


def test_made_series_can_be_forecast_and_built_into_a_pool(tmp_path, capsys) -> None:
    file, pool = tmp_path / "made.parquet", tmp_path / "pool"
    assert _synth(file, "--n-series", "3", "--length", "64") == 0
    capsys.readouterr()
    assert cli.main(["forecast", str(file), "--prediction-length", "4"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 3 * 4
    assert cli.main(["data", "build", str(file), "--output", str(pool)]) == 0
    assert len(SingleSeriesPool.open(pool).item_ids) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--families", "trends,chaos"], r"families must be among .* got \['trends'\]"),
        (["--n-series", "0"], "n_series must be a whole number of at least 1, got 0"),
        (["--seed", "-1"], "seed must not be negative, got -1"),
        (["--length", "15"], "length must be at least 16, got length=15"),
        (["--freq", "fortnight"], "freq must be an alias such as"),
    ],
)
def test_wrong_options_are_named(options, message, tmp_path, capsys) -> None:
    assert _synth(tmp_path / "made.parquet", *options) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_another_suffix_is_refused_before_anything_is_drawn(tmp_path, capsys) -> None:
    assert _synth(tmp_path / "made.txt") == 1
    assert "output must end in .parquet or .csv" in capsys.readouterr().err
