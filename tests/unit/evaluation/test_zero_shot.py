"""The zero-shot protocol: labels, ratios and the check against the published baseline."""

import math

import numpy as np
import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.evaluation.benchmark_sets import (
    BenchmarkSet,
    WindowsLeftOutWarning,
    filled_series,
    read_benchmark_set,
)
from tsfm.evaluation.beside_published import _add_ratios, check_harness, last_steps, score
from tsfm.evaluation.published import published_results
from tsfm.evaluation.rivals import Rival
from tsfm.evaluation.zero_shot import ZeroShotConfig
from tsfm.evaluation.zero_shot_tables import render, summarise
from tsfm.tasks.forecasting.baselines import SeasonalNaive

NAN = float("nan")
PUBLISHED = """dataset,model,MASE,WQL,evaluation,source,our_dataset
theirs,amazon/chronos-t5-tiny,9.0,9.0,zero-shot,amazon-science/chronos-forecasting,toy
theirs,chronos_tiny,0.5,0.1,zero-shot,autogluon/fev chronos_zeroshot,toy
theirs,seasonal-naive,2.0,0.4,zero-shot,amazon-science/chronos-forecasting,toy
theirs,ttm-r2,1.5,0.3,zero-shot,autogluon/fev chronos_zeroshot,toy
"""


def toy_set(name: str = "toy", published_name: str | None = "theirs") -> BenchmarkSet:
    """Two series; Seasonal Naive is wrong by 2 and by 1, and both contexts move by 1 a season."""
    return BenchmarkSet(
        name=name,
        published_name=published_name,
        seasonality=2,
        contexts=np.array([1.0, 2, 2, 3, 5, 5, 6, 6])[:, None],
        offsets=np.array([0, 4, 8]),
        targets=np.array([[4.0, 5.0], [7.0, NAN]])[..., None],
    )


def config(**changes) -> ZeroShotConfig:
    return ZeroShotConfig(**{"protocol": "zero_shot", "models": (), **changes})


@pytest.fixture
def published(tmp_path) -> pl.DataFrame:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "chronos_results.csv").write_text(PUBLISHED)
    return published_results(tmp_path)


def test_score_of_a_set_worked_out_by_hand():
    row = score(toy_set(), Rival("naive", "baseline", SeasonalNaive(2)), None)
    assert row["mase"] == pytest.approx((2 + 2 + 1) / 3)
    assert row["wql"] == pytest.approx((2 + 2 + 1) / (4 + 5 + 7))
    assert row["mase_standard_error"] == pytest.approx(np.std([2, 1], ddof=1) / math.sqrt(2))
    assert row["coverage_80"] == 0.0
    assert row["n_items"] == 2


@pytest.mark.parametrize(
    ("trained_on", "label"), [((), "zero-shot"), (("other", "toy"), "seen"), (("to",), "zero-shot")]
)
def test_a_model_that_was_trained_on_the_set_is_never_zero_shot(trained_on, label):
    rival = Rival("model", "model", SeasonalNaive(2), trained_on)
    assert score(toy_set(), rival, None)["label"] == label


def test_context_length_cuts_the_models_and_not_the_scale():
    # The last two steps are all that a season of two needs; the scale still uses everything.
    whole = score(toy_set(), Rival("model", "model", SeasonalNaive(2)), None)
    cut = score(toy_set(), Rival("model", "model", SeasonalNaive(2)), 2)
    one = score(toy_set(), Rival("model", "model", SeasonalNaive(2)), 1)
    assert cut["mase"] == whole["mase"]
    # With one step left, the last value is repeated: errors 1, 2 and 1 over a scale of 1.
    assert one["mase"] == pytest.approx((1 + 2 + 1) / 3)


def test_last_steps_keeps_the_end_of_every_item():
    values = np.arange(7.0)[:, None]
    kept, offsets = last_steps(values, np.array([0, 4, 5, 7]), 2)
    np.testing.assert_array_equal(kept[:, 0], [2, 3, 4, 5, 6])
    np.testing.assert_array_equal(offsets, [0, 2, 3, 5])


def test_published_models_have_one_spelling_and_one_source(published):
    found = {row["model"]: row["mase"] for row in published.iter_rows(named=True)}
    assert found == {"chronos_tiny": 0.5, "seasonal_naive": 2.0, "ttm_r2": 1.5}


def test_without_the_file_nothing_is_published(tmp_path):
    found = published_results(tmp_path)
    assert found.is_empty()
    assert {"dataset", "model", "mase", "wql", "evaluation"} <= set(found.columns)


def test_the_harness_refuses_data_that_are_not_the_published_ones(published):
    with pytest.raises(DataError, match=r"on toy must be the published 2\.0000, got 1\.6667"):
        check_harness([toy_set()], published, config(must_match=("toy",)))


def test_the_harness_only_tells_the_difference_where_nothing_is_required(published):
    (check,) = check_harness([toy_set()], published, config())
    assert check["difference"] == pytest.approx(5 / 3 - 2)
    assert not check["same"]
    assert not check["required"]


def test_the_harness_accepts_what_is_equal_to_the_tolerance(published):
    (check,) = check_harness([toy_set()], published, config(must_match=("toy",), tolerance=0.34))
    assert check["same"]


@pytest.mark.parametrize(("published_name", "mase"), [("theirs", 2.0), (None, 5 / 3)])
def test_ratios_are_to_the_published_baseline_or_else_to_ours(published, published_name, mase):
    benchmark = toy_set(published_name=published_name)
    rows = [
        score(benchmark, Rival("seasonal naive", "baseline", SeasonalNaive(2)), None),
        score(benchmark, Rival("naive", "baseline", SeasonalNaive(1)), None),
    ]
    _add_ratios(rows, benchmark, published)
    assert rows[1]["mase_ratio"] == pytest.approx(rows[1]["mase"] / mase)
    assert rows[1]["reference"] == ("published" if published_name else "ours")


def test_selection_keeps_the_groups_and_shows_strangers_apart():
    chosen = config(groups={"first": ("a", "b"), "second": ("c",)}, datasets=("c", "x", "b"))
    assert chosen.selected() == [("first", "b"), ("second", "c"), ("other sets", "x")]
    everything = config(groups={"first": ("a", "b"), "second": ("c",)})
    assert everything.selected() == [("first", "a"), ("first", "b"), ("second", "c")]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("keep", [1, NAN, 3, NAN]), ("zero", [1, 0, 3, NAN])],
)
def test_missing_targets_stay_missing_unless_the_set_was_filled(missing, expected):
    series = np.array([1, NAN, 3, NAN])
    np.testing.assert_array_equal(filled_series(series, 2, missing), expected)
    assert np.isnan(series[1])


def test_a_series_without_a_value_before_its_window_is_named_and_not_scored(write_card):
    folder = write_card(more="[zero_shot]\nprediction_length = 2\nseasonality = 1\n")
    values = {"late": [None, None, 1.0, 2.0], "sound": [5.0, 6.0, 7.0, 8.0]}
    rows = [
        {"item_id": item, "timestamp": step, "target": value}
        for item, own in values.items()
        for step, value in enumerate(own)
    ]
    pl.DataFrame(rows).write_parquet(folder / "made.parquet")
    with pytest.warns(WindowsLeftOutWarning, match="made: item 'late' has no value before its win"):
        benchmark = read_benchmark_set("made")
    row = score(benchmark, Rival("naive", "baseline", SeasonalNaive(1)), None)
    assert row["n_items"] == 1
    assert row["wql"] == pytest.approx((1 + 2) / (7 + 8))


def test_weekday_median_fills_context_and_target():
    series = np.arange(28.0)
    series[[3, 10, 24]] = NAN
    found = filled_series(series, 7, "weekday_median")
    np.testing.assert_array_equal(found[[3, 10, 24]], 17.0)
    series[3::7] = NAN
    assert np.isnan(filled_series(series, 7, "weekday_median")[3::7]).all()


def rows_of(model: str, ratios: list[float], labels: list[str], kind: str = "model"):
    return [
        {
            "group": "g",
            "dataset": f"d{index}",
            "model": model,
            "kind": kind,
            "label": label,
            "n_items": 1,
            "mase": ratio,
            "wql": ratio,
            "mase_standard_error": None,
            "mase_ratio": ratio,
            "wql_ratio": ratio,
            "coverage_80": 0.5 + 0.1 * index if kind == "model" else None,
            "seconds": 1.0 if kind == "model" else None,
            "reference": "ours",
        }
        for index, (ratio, label) in enumerate(zip(ratios, labels, strict=True))
    ]


def summary_of(*rows, seed: int = 0):
    frame = pl.DataFrame([row for part in rows for row in part], infer_schema_length=None)
    return frame, summarise(frame, resamples=500, generator=np.random.default_rng(seed))


def test_the_summary_is_a_geometric_mean_inside_its_interval():
    _, summary = summary_of(rows_of("m", [0.5, 2.0, 0.8], ["zero-shot"] * 3))
    row = summary.row(0, named=True)
    assert row["mase_ratio"] == pytest.approx(0.8 ** (1 / 3))
    assert 0.5 <= row["mase_ratio_low"] < row["mase_ratio"] < row["mase_ratio_high"] <= 2.0
    assert row["seconds"] == 3.0
    assert row["coverage_80"] == pytest.approx(0.6)
    assert 0.5 <= row["coverage_80_low"] < 0.6 < row["coverage_80_high"] <= 0.7


def test_the_interval_is_the_same_for_the_same_seed():
    ratios = np.random.default_rng(0).uniform(0.3, 1.5, 9).tolist()
    rows = rows_of("m", ratios, ["zero-shot"] * 9)
    assert summary_of(rows, seed=1)[1].equals(summary_of(rows, seed=1)[1])
    assert not summary_of(rows, seed=1)[1].equals(summary_of(rows, seed=2)[1])


def test_one_seen_set_is_enough_for_the_label():
    _, summary = summary_of(
        rows_of("partly", [0.5, 0.6], ["zero-shot", "seen"]),
        rows_of("wholly", [0.5, 0.6], ["seen", "seen"]),
        rows_of("never", [0.5, 0.6], ["zero-shot", "zero-shot"]),
    )
    assert summary["label"].to_list() == ["seen (1 of 2 sets)", "seen", "zero-shot"]


def test_a_model_that_lacks_a_set_has_no_mean():
    rows = rows_of("whole", [0.5, 0.6], ["zero-shot"] * 2)
    _, summary = summary_of(rows, rows_of("part", [0.1], ["published"], kind="published"))
    assert summary["model"].to_list() == ["whole"]


def test_the_text_marks_what_was_seen_and_what_was_not_checked():
    frame, summary = summary_of(
        rows_of("ours", [0.512, 0.613], ["zero-shot", "seen"]),
        rows_of("theirs", [0.7, 0.8], ["published, zero-shot"] * 2, kind="published"),
    )
    text = render(frame, summary, [], ("d0", "absent"))
    assert "Not checked, no published table found: d0." in text
    assert "0.613 (seen)" in text
    assert "0.512 (seen)" not in text
    assert text.index("**ours**") < text.index("theirs")
    assert "| 0.55 [0.50, 0.60] |" in text


def test_without_an_error_of_seasonal_naive_there_is_no_ratio_and_the_set_is_named():
    rows = [
        {"group": "g", "dataset": name, "label": "baseline", "kind": "baseline", "n_items": 1}
        | {"coverage_80": 1.0, "seconds": 0.0, "model": "seasonal naive", "mase": error}
        | {"wql": error, "mase_standard_error": None}
        for name, error in (("flat", 0.0), ("waves", 2.0))
    ]
    for row in rows:
        _add_ratios([row], toy_set(row["dataset"], None), pl.DataFrame())
    assert math.isnan(rows[0]["mase_ratio"])
    assert math.isnan(rows[0]["wql_ratio"])
    assert rows[1]["mase_ratio"] == 1.0
    table = pl.DataFrame(rows)
    summary = summarise(table, resamples=10, generator=np.random.default_rng(0))
    assert "no mean, because of flat: Seasonal Naive" in render(table, summary, [], ())


def test_a_set_that_is_named_twice_is_scored_once():
    assert config(datasets=("a", "b", "a")).selected() == [("other sets", "a"), ("other sets", "b")]
