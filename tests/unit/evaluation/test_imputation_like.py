"""Masks that mimic a file must have its gaps, and hide what nobody is shown."""

import json
import re
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tsfm import cli
from tsfm.errors import DataError
from tsfm.evaluation import imputation, imputation_like
from tsfm.evaluation.imputation_config import ImputationConfig
from tsfm.evaluation.imputation_fillers import Filler
from tsfm.evaluation.imputation_like import (
    bin_name,
    by_length,
    drawn_mask,
    gap_facts,
    gap_lengths,
    render,
)
from tsfm.evaluation.protocols import Evaluation
from tsfm.tasks.imputation import interpolation


def config(**changes) -> ImputationConfig:
    return ImputationConfig(**{"protocol": "imputation", "models": (), **changes})


@pytest.fixture
def missing() -> np.ndarray:
    """Two items of 60 and 40 steps: outages of both columns for 6 steps, points in one."""
    found = np.zeros((100, 2), bool)
    found[10:16] = True
    found[[30, 40, 50], 0] = True
    return found


OFFSETS = np.array([0, 60, 100])


def test_lengths_of_gaps_end_with_their_item():
    gaps = np.array([True, True, False, True, True, True, False])[:, None]
    found = gap_lengths(gaps, np.array([0, 4, 7]))
    assert found[:, 0].tolist() == [2, 2, 0, 1, 2, 2, 0]


def test_drawn_gaps_are_as_long_and_as_often_together_as_those_of_the_file(missing):
    own = gap_facts(missing, OFFSETS)
    assert sorted(own.lengths.tolist()) == [1, 1, 1, 6, 6]
    assert own.together == pytest.approx(12 / 15)
    for seed in range(20):
        drawn = drawn_mask(missing, OFFSETS, np.random.default_rng(seed))
        first = drawn[:60]
        rolled = [np.array_equal(np.roll(missing[:60], by, axis=0), first) for by in range(60)]
        assert any(rolled)
        found = gap_facts(first, np.array([0, 60]))
        assert found.share == pytest.approx(15 / 120)
        assert found.together == pytest.approx(12 / 15)
    again = drawn_mask(missing, OFFSETS, np.random.default_rng(19))
    np.testing.assert_array_equal(again, drawn)


def file_of(path, values: np.ndarray):
    hours = pl.datetime_range(
        datetime(2024, 1, 1), datetime(2024, 1, 31, 23), "1h", time_unit="us", eager=True
    )
    columns = {f"c{n}": column for n, column in enumerate(values.T)}
    frame = pl.DataFrame({"timestamp": hours[: len(values)], **columns}).fill_nan(None)
    frame.write_parquet(path)
    return path


@pytest.fixture
def file(tmp_path, generator):
    """A month of hours with a daily season, and gaps of 1 and of 12 hours in both columns."""
    step = np.arange(744)
    values = np.stack([np.sin(step * np.pi / 12), 50 + 9 * np.cos(step * np.pi / 12)], axis=1)
    values += 0.01 * generator.normal(size=values.shape)
    values[step % 97 == 0, 0] = np.nan
    values[200:212] = np.nan
    values[500:512] = np.nan
    return file_of(tmp_path / "mine.parquet", values)


def test_everybody_fills_the_same_gaps_and_sees_nothing_of_them(file):
    shown, seasons = [], set()

    def watch(windows: np.ndarray, seasonality: int) -> np.ndarray:
        seasons.add(seasonality)
        shown.append(windows[0])
        return interpolation.linear(windows)

    filler = Filler("watch", "baseline", interpolation.last_value, fill_seasonal=watch)
    rows = imputation_like.evaluate(config(like=str(file), mask_seeds=(0, 1)), [filler])
    whole = rows.filter(gap_length="all")
    assert whole.group_by("mask_seed").agg(pl.col("n_hidden").n_unique())["n_hidden"].to_list() == [
        1,
        1,
    ]
    watched, linear = (whole.filter(model=name)["mae"].to_list() for name in ("watch", "linear"))
    assert watched == linear
    assert seasons == {24}
    frame = pl.read_parquet(file)
    for number, values in enumerate(shown):
        truth = frame[f"c{number % 2}"].to_numpy()
        scaled = (truth - np.nanmean(truth)) / np.nanstd(truth)
        seen = np.isfinite(values)
        assert seen.sum() < np.isfinite(truth).sum()
        np.testing.assert_allclose(values[seen], scaled[seen])
    season = whole.filter(model="seasonal linear, 24")["mae"].mean()
    assert season < 0.1 * whole.filter(model="linear")["mae"].mean()


def test_errors_stand_by_length_of_gap(file):
    rows = imputation_like.evaluate(config(like=str(file)), [])
    linear = {row["gap_length"]: row for row in rows.filter(model="linear", mask_seed=0).to_dicts()}
    assert {"all", "1", "8-15"} <= set(linear)
    assert linear["8-15"]["mae"] > 5 * linear["1"]["mae"]
    assert linear["all"]["n_hidden"] == sum(
        row["n_hidden"] for name, row in linear.items() if name != "all"
    )
    text = render(rows, config(like=str(file)))
    assert "Gaps of the file: 12" in text
    assert "Gaps of the masks of seed 0" in text
    assert "| last value" in text


def test_a_column_without_a_value_is_no_gap(tmp_path):
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(60)]
    values = np.sin(np.arange(60.0))
    values[[10, 30]] = np.nan
    items = {"a": values, "b": values + 1, "never measured": np.full(60, np.nan)}
    parts = [
        pl.DataFrame({"item_id": item, "timestamp": days, "target": own})
        for item, own in items.items()
    ]
    path = tmp_path / "mine.parquet"
    pl.concat(parts).write_parquet(path)
    rows = imputation_like.evaluate(config(like=str(path)), [])
    assert set(rows["gap_length"]) == {"all", "1"}
    assert "Gaps of the file: 4, " in render(rows, config(like=str(path)))


def test_what_is_recorded_has_names_that_a_tracker_takes(file):
    rows = imputation_like.evaluate(config(like=str(file), mask_seeds=(0,)), [])
    places = [place for place, _ in imputation._metrics(Evaluation(rows, {}))]
    assert places
    assert all(re.fullmatch(r"[\w\-. ,/]+", place) for place in places)
    assert bin_name(len(imputation_like.BINS) - 1) == "from 128"


def test_ids_of_a_column_of_any_name_stay_apart(tmp_path):
    days = [f"2024-01-{day:02}" for day in range(1, 31)]
    rows = [f"{sku},{day},{n}" for sku in ("007", "7") for n, day in enumerate(days)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["sku,timestamp,target", *rows]))
    series = imputation_like.read_series(path, config(like=str(path), id_column="sku"))
    assert series.items.to_list() == ["007", "7"]


def test_files_that_cannot_be_mimicked_are_refused(tmp_path, generator):
    whole = file_of(tmp_path / "whole.parquet", generator.normal(size=(50, 1)))
    with pytest.raises(
        DataError, match=r"whole.parquet must have gaps that can be mimicked, got no"
    ):
        imputation_like.evaluate(config(like=str(whole)), [])
    nothing = file_of(tmp_path / "nothing.parquet", np.array([[1.0, np.nan]] * 9))
    with pytest.raises(DataError, match=r"nothing.parquet must have gaps that can be mimicked"):
        imputation_like.evaluate(config(like=str(nothing)), [])
    text = tmp_path / "text.csv"
    text.write_text("timestamp,kind\n2024-01-01,a\n2024-01-02,b\n")
    with pytest.raises(DataError, match=r"text.csv must have columns of numbers, got"):
        imputation_like.evaluate(config(like=str(text)), [])
    with pytest.raises(DataError, match="must fall on values when they are moved, got none"):
        list(by_length(np.empty(0), np.empty(0, np.int64)))


def test_the_command_takes_a_file_and_writes_a_report(file, tmp_path, tracking_uri, capsys):
    output = tmp_path / "out"
    arguments = ["evaluate", "imputation", "--like", str(file), "--set", "evaluate.models=[]"]
    assert cli.main([*arguments, f"run.output={output}"]) == 0
    assert "Gaps of the file" in capsys.readouterr().out
    report = json.loads((output / "report.json").read_text())
    assert report["config"]["evaluate"]["like"] == str(file)
    assert {row["model"] for row in report["results"]} >= {"linear", "last value"}
