"""Luck is judged by what was really tried: every logged run counts, and the same run once."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.mlflow_tracker import MlflowTracker
from tsfm.stocks.metrics import information_ratio
from tsfm.stocks.overfitting import deflated_sharpe_ratio
from tsfm.stocks.trials import RETURNS_FILE, Trial, logged_returns, trials_of, what_luck_explains


def traded(number: int, n_seeds: int = 2, n_days: int = 40) -> pl.DataFrame:
    """The returns of a run: some seeds of a ranker, and the best rival there ever was."""
    generator = np.random.default_rng(number)
    days = np.busday_offset(np.datetime64("2017-01-02"), np.arange(n_days))
    models = [("ranker", "ranker", seed) for seed in range(n_seeds)] + [("magic", "rival", None)]
    return pl.concat(
        pl.DataFrame(
            {
                "day": days,
                "model": pl.Series([model], dtype=pl.String).new_from_index(0, n_days),
                "kind": pl.Series([kind], dtype=pl.String).new_from_index(0, n_days),
                "seed": pl.Series([seed], dtype=pl.Int64).new_from_index(0, n_days),
                "top_k": pl.Series([5], dtype=pl.Int64).new_from_index(0, n_days),
                "gross": generator.normal(0.1 * (kind == "rival"), 0.01, n_days),
                "turnover": np.full(n_days, 1.5),
            }
        )
        for model, kind, seed in models
    )


def test_all_logged_runs_of_a_panel_are_tries_and_others_are_not(
    tracking_uri: str, tmp_path: Path
) -> None:
    assert logged_returns("mine", experiment="tried", tracking_uri=tracking_uri) == []
    for number, dataset in enumerate(("mine", "mine", "other", "mine")):
        tracker = MlflowTracker(experiment="tried", tracking_uri=tracking_uri)
        tracker.start("run", {"panel": {"dataset": dataset}})
        if number < 3:  # the last one stopped before it had traded
            traded(number).write_parquet(tmp_path / RETURNS_FILE)
            tracker.artifact(tmp_path / RETURNS_FILE)
        tracker.finish("FINISHED")
    frames = logged_returns("mine", experiment="tried", tracking_uri=tracking_uri)
    assert len(frames) == 2
    assert len(trials_of(frames, 10.0)) == 4
    assert len(trials_of([*frames, traded(1)], 10.0)) == 4  # what was logged twice counts once


def test_a_try_is_what_is_left_after_costs() -> None:
    (first, _) = trials_of([traded(0)], 20.0)
    part = traded(0).filter(seed=0)
    expected = (1 + part["gross"].to_numpy()) * (1 - 1.5 * 20e-4) - 1
    np.testing.assert_allclose(first.net, expected)


def test_luck_is_told_from_all_tries_and_overfitting_from_those_on_the_same_days() -> None:
    other_days = traded(7, n_days=30)
    trials = trials_of([*(traded(number) for number in range(5)), other_days], 0.0)
    found = what_luck_explains(trials[0], trials)
    assert (found["n_trials"], found["n_compared"]) == (12, 10)
    ratios = np.array([information_ratio(one.net) for one in trials])
    assert found["deflated_sharpe"] == pytest.approx(deflated_sharpe_ratio(trials[0].net, ratios))
    assert found["best_by_luck"] > 0
    assert 0 < found["overfitting"] <= 1
    alone = what_luck_explains(trials[0], trials[:1])
    assert (alone["n_trials"], alone["best_by_luck"]) == (1, 0.0)
    assert np.isnan(alone["overfitting"])


def test_the_same_returns_on_other_days_are_another_try() -> None:
    days = np.arange("2020-01-01", "2020-01-09", dtype="datetime64[D]")
    first, later = (Trial(days + shift, np.ones(8)) for shift in (0, 1))
    assert first.key != later.key


def test_a_panel_may_be_called_as_a_person_is(tracking_uri: str, tmp_path: Path) -> None:
    name = "o'brien.csv"
    tracker = MlflowTracker(experiment="named", tracking_uri=tracking_uri)
    tracker.start("run", {"panel": {"dataset": name}})
    traded(0).write_parquet(tmp_path / RETURNS_FILE)
    tracker.artifact(tmp_path / RETURNS_FILE)
    tracker.finish("FINISHED")
    assert len(logged_returns(name, experiment="named", tracking_uri=tracking_uri)) == 1
