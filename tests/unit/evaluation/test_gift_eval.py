"""The tasks of GIFT-Eval: rates, windows, and what the public board says."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError, DataError
from tsfm.evaluation.benchmark_sets import WindowsLeftOutWarning
from tsfm.evaluation.gift_eval import (
    TERMS,
    GiftEvalConfig,
    GiftEvalSet,
    cut_windows,
    published_results,
    read_at_rate,
    read_tasks,
)

NAN = float("nan")


@pytest.fixture
def made(write_card) -> None:
    """Two channels of 60 hours from a Friday noon, in the wrong order."""
    hours = [dt.datetime(2016, 7, 1, 12) + dt.timedelta(hours=hour) for hour in range(60)]
    x = np.arange(60.0)
    frame = pl.DataFrame({"item_id": "a", "timestamp": hours, "x": x, "y": -x})
    folder = write_card(("x", "y"), 'freq = "h"\n')
    frame.reverse().write_parquet(folder / "made.parquet")


def of(**changes) -> GiftEvalSet:
    return GiftEvalSet(**{"dataset": "made", "horizon": 2, "seasonality": 1, **changes})


@pytest.mark.usefixtures("made")
def test_days_are_of_the_calendar_and_weeks_count_from_the_first_day() -> None:
    days = read_at_rate(of(every="1d"))
    assert [one.tolist() for one in days] == [[5.5, 23.5, 47.5], [-5.5, -23.5, -47.5]]
    assert read_at_rate(of(every="1d", incomplete=1, whole="sum"))[0].tolist() == [66.0, 564.0]
    assert [len(one) for one in read_at_rate(of(every="1w"))] == [1, 1]
    assert read_at_rate(of())[0].tolist() == list(range(60))


@pytest.mark.usefixtures("made")
def test_a_sum_of_which_a_value_is_missing_is_missing_and_a_mean_is_not(tmp_path) -> None:
    file = tmp_path / "made" / "made.parquet"
    frame = pl.read_parquet(file)
    gap = pl.when(pl.col("timestamp") == dt.datetime(2016, 7, 2, 5)).then(None)
    frame.with_columns(gap.otherwise(pl.col("x")).alias("x")).write_parquet(file)
    sums, others = read_at_rate(of(every="1d", whole="sum"))
    np.testing.assert_array_equal(sums, [66.0, np.nan, 1140.0])
    assert others.tolist() == [-66.0, -564.0, -1140.0]
    assert read_at_rate(of(every="1d"))[0].tolist() == [5.5, (564 - 17) / 23, 47.5]


@pytest.mark.usefixtures("made")
def test_a_rate_that_stamps_cannot_be_brought_to_is_refused() -> None:
    with pytest.raises(DataError, match="stamps of made must be brought to every='1 week', got: "):
        read_at_rate(of(every="1 week"))


@pytest.mark.parametrize("change", [{"horizon": 60}, {"n_windows": 30}])
def test_a_series_that_windows_leave_nothing_of_is_refused(change) -> None:
    series = [np.arange(99.0), np.arange(60.0)]
    with pytest.raises(DataError, match=r"series of a/h must be longer than .* got one of 60; "):
        cut_windows("a/h", of(**change), series, 1)


@pytest.mark.parametrize(
    ("length", "times", "n_windows"), [(60, 1, 3), (60, 10, 1), (10_000, 1, 20), (10_000, 15, 20)]
)
def test_windows_are_of_the_last_tenth_and_at_most_twenty(length, times, n_windows) -> None:
    series = [np.arange(float(length)), np.arange(length + 5.0)]
    task = cut_windows("made/h/short", of(), series, times)
    assert task.targets.shape == (2 * n_windows, 2 * times, 1)
    assert task.targets[n_windows - 1, -1, 0] == length - 1
    for item, start in enumerate(task.offsets[:-1]):
        context = task.contexts[start : task.offsets[item + 1], 0]
        assert task.targets[item, 0, 0] == context[-1] + 1
    assert len(cut_windows("made/h/short", of(n_windows=1), series, times)) == 2


@pytest.mark.usefixtures("made")
def test_only_the_tasks_that_were_asked_for_are_read() -> None:
    config = {"protocol": "gift_eval", "models": ()}
    sets = {"made/H": of(terms=("short", "medium")), "made/D": of(every="1d")}
    tasks = list(read_tasks(GiftEvalConfig(**config, sets=sets, tasks=("made/H/medium",))))
    assert [(one.name, one.card) for one in tasks] == [("made/H/medium", "made")]
    assert [one.name for one in read_tasks(GiftEvalConfig(**config, sets=sets))] == [
        "made/H/short",
        "made/H/medium",
        "made/D/short",
    ]
    with pytest.raises(ConfigError, match=r"tasks must be some of .*made/D/short.*, got"):
        list(read_tasks(GiftEvalConfig(**config, sets=sets, tasks=("made/D/long",))))


def test_results_of_the_board_say_who_has_seen_the_data(tmp_path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "gift_eval_results.csv").write_text(
        "model,dataset,freq,term,MASE,CRPS,model_type,testdata_leakage\n"
        "one,ett1,H,short,0.8,0.2,zero-shot,No\ntwo,ett1,H,short,0.7,0.1,pretrained,Yes\n"
    )
    found = published_results(tmp_path)
    assert found["dataset"].to_list() == ["ett1/H/short"] * 2
    assert found["evaluation"].to_list() == ["zero-shot", "pretrained, has seen test data"]
    assert found["wql"].to_list() == [0.2, 0.1]
    assert published_results(tmp_path / "nowhere").is_empty()


def test_every_task_of_the_recipe_that_must_match_exists() -> None:
    sections = load_recipe("gift_eval").sections["evaluate"]
    sets = {name: GiftEvalSet(**one) for name, one in sections["sets"].items()}
    every = {f"{name}/{term}" for name, one in sets.items() for term in one.terms}
    assert set(sections["must_match"]) <= every
    assert len(every) == 21
    assert {term for one in sets.values() for term in one.terms} == set(TERMS)


def test_a_window_with_nothing_to_forecast_from_is_named_and_not_scored() -> None:
    late = np.append(np.full(17, NAN), [1.0, 2.0, 3.0])
    with pytest.warns(WindowsLeftOutWarning, match=r"a/h: series 2, window 1 has no .*\(1 such wi"):
        task = cut_windows("a/h", of(n_windows=2), [np.arange(20.0), late], 1)
    assert task.targets[..., 0].tolist() == [[16.0, 17.0], [18.0, 19.0], [2.0, 3.0]]
    assert np.isfinite(task.contexts[task.offsets[1:] - 1]).all()
    with pytest.raises(DataError, match="a/h must have a value before its windows, got only miss"):
        cut_windows("a/h", of(n_windows=2), [np.full(20, NAN)], 1)
