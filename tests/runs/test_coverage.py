"""Coverage from recipe to report, and that no margin knows what came after its cutoff."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError, DataError
from tsfm.evaluation import coverage
from tsfm.evaluation.coverage import CoverageConfig, Forecasts, past_cutoffs, read_filled, score
from tsfm.jobs import evaluate
from tsfm.tracking import ListTracker


def config(**changes) -> CoverageConfig:
    return CoverageConfig(**{"protocol": "coverage", "models": (), "datasets": ("toy",), **changes})


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Toy values under the name of a card: monthly, horizon and season of 12."""
    months = pl.datetime_range(
        pl.datetime(1990, 1, 1), pl.datetime(1997, 12, 1), "1mo", time_unit="ms", eager=True
    )
    generator = np.random.default_rng(0)
    parts = [
        pl.DataFrame(
            {"series_id": f"{n}", "timestamp": months, "target": generator.normal(20, 3, 96)}
        )
        for n in range(12)
    ]
    pl.concat(parts).write_parquet(tmp_path / "hospital.parquet")
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    return tmp_path


def test_cutoffs_lie_one_horizon_apart_and_short_series_have_fewer():
    series = [np.arange(30.0), np.arange(100.0, 118.0)]
    found = past_cutoffs(series, 5, config(fewest_steps=10, max_cutoffs=4))
    assert [len(one.truth) for one in found] == [2, 1, 1, 1]
    assert [one.age for one in found] == [0, 5, 10, 15]
    np.testing.assert_array_equal(found[0].truth[:, 0], [25, 113])
    np.testing.assert_array_equal(found[3].truth[0], np.arange(10.0, 15))
    for one in found:
        # What is forecast follows on the last step that is known.
        np.testing.assert_array_equal(one.truth[:, 0], one.contexts[one.offsets[1:] - 1, 0] + 1)
    assert len(past_cutoffs(series, 5, config(fewest_steps=10, max_cutoffs=2))) == 2


def test_a_set_with_few_cutoffs_has_more_between_them():
    series = [np.arange(30.0), np.arange(100.0, 118.0)]
    found = past_cutoffs(series, 5, config(fewest_steps=10, max_cutoffs=10))
    # Four are a horizon apart; three times as many reach ten, but the last has too short a past.
    assert [one.age for one in found] == [0, 1, 3, 5, 6, 8, 10, 11, 13, 15]
    assert [len(one.truth) for one in found] == [2, 2, 2, 1, 1, 1, 1, 1, 1, 1]
    np.testing.assert_array_equal(found[2].truth[0], np.arange(22.0, 27))
    for one in found:
        np.testing.assert_array_equal(one.truth[:, 0], one.contexts[one.offsets[1:] - 1, 0] + 1)
    # Never more than four to a horizon, nor closer than a step.
    many = past_cutoffs(series, 5, config(fewest_steps=10, max_cutoffs=40))
    assert [one.age for one in many][:5] == [0, 1, 2, 3, 5]
    assert [one.age for one in past_cutoffs(series, 2, config(max_cutoffs=40))][:3] == [0, 1, 2]


def test_a_set_with_nothing_to_test_is_refused(data):
    frame = pl.read_parquet(data / "hospital.parquet")
    early = pl.when(pl.col("timestamp").dt.year() > 1996).then(pl.col("target"))
    frame.with_columns(early.alias("target")).write_parquet(data / "hospital.parquet")
    with pytest.raises(DataError, match="hospital must have values around its cutoffs, got none"):
        coverage.evaluate(config(datasets=("hospital",)), [])


def forecasts(generator: np.random.Generator) -> list[Forecasts]:
    """Intervals that are too narrow, twelve cutoffs of four series, the newest first."""
    quantiles = np.broadcast_to(np.array([-1.0, 0.0, 1.0])[:, None], (4, 3, 2))
    return [
        Forecasts(2 * number, quantiles.copy(), generator.normal(size=(4, 2)) * 3)
        for number in range(24)
    ]


@pytest.mark.parametrize("method", ["split", "block", "adaptive"])
def test_what_came_after_a_cutoff_moves_no_margin_of_it(generator, method):
    found = forecasts(generator)
    before = coverage._calibrated(found[3], found[4:], method, config())
    for later in found[:4]:
        later.truth[:] = 1e6
    after = coverage._calibrated(found[3], found[4:], method, config())
    np.testing.assert_array_equal(before, after)
    moved = coverage._calibrated(found[2], found[3:], method, config())
    assert (moved[:, -1] > before[:, -1]).all()


@pytest.mark.parametrize("method", ["split", "block", "adaptive"])
def test_what_an_earlier_forecast_had_not_seen_by_a_cutoff_moves_no_margin_of_it(generator, method):
    found = [one._replace(age=number) for number, one in enumerate(forecasts(generator))]
    before = coverage._calibrated(found[0], found[1:], method, config())
    found[1].truth[:, 1] = 1e6  # made a step before, its second step came later
    np.testing.assert_array_equal(
        coverage._calibrated(found[0], found[1:], method, config()), before
    )
    found[1].truth[:, 0] = 1e6
    after = coverage._calibrated(found[0], found[1:], method, config())
    assert (after[:, -1, 0] > before[:, -1, 0]).all()


def test_cutoffs_in_between_are_not_tested(generator):
    close = [one._replace(age=number) for number, one in enumerate(forecasts(generator))]
    apart = [one for one in close if one.age % 2 == 0]
    rows = {row["method"]: row for row in score(close, config())}
    assert rows["none"]["coverage"] == next(score(apart, config()))["coverage"]
    assert (rows["none"]["n_tested"], rows["none"]["n_cutoffs"]) == (6, 24)
    assert rows["split"]["width_ratio"] > 3


def test_the_newest_half_is_scored_with_and_without_calibration(generator):
    rows = {row["method"]: row for row in score(forecasts(generator), config())}
    assert list(rows) == ["none", "split", "block", "adaptive"]
    assert rows["none"]["coverage"] < 0.4
    assert rows["none"]["width_ratio"] == 1
    assert rows["split"]["n_truths"] == 12 * 8
    assert 0.8 < rows["split"]["coverage"] <= rows["block"]["coverage"]
    assert rows["split"]["width_ratio"] > 3


def test_too_few_cutoffs_leave_a_note_and_no_number(generator):
    rows = {row["method"]: row for row in score(forecasts(generator)[:4], config())}
    assert "coverage" in rows["split"] or "note" in rows["split"]
    assert "at least 9 windows or blocks, got 3" in rows["block"]["note"]
    alone = list(score(forecasts(generator)[:1], config(methods=("split",))))
    assert "margins must be fitted on earlier cutoffs, got none" in alone[1]["note"]


def test_a_set_is_thinned_out_or_refused(data):
    assert len(read_filled("hospital", 12, config())) == 12
    # Twelve series with seven cutoffs, and three times as many between them.
    assert len(read_filled("hospital", 12, config(most_forecasts=4 * 7 * 4))) == 4
    with pytest.raises(DataError, match="hospital must have series of 112 steps, got none"):
        read_filled("hospital", 12, config(fewest_steps=100))
    with pytest.raises(ConfigError, match=r"must have a \[zero_shot\] section .* got 'uk_grid'"):
        coverage.evaluate(config(datasets=("uk_grid",)), [])


def test_a_set_that_is_thinned_out_keeps_all_its_channels(write_card):
    folder = write_card(("up", "down"), "[zero_shot]\nprediction_length = 5\nseasonality = 1\n")
    steps = pl.DataFrame({"timestamp": np.arange(20), "up": 1.0, "down": -1.0})
    items = [steps.with_columns(item_id=pl.lit(str(item))) for item in range(6)]
    pl.concat(items).write_parquet(folder / "made.parquet")
    # Twelve series with two cutoffs each.
    kept = read_filled("made", 5, config(max_cutoffs=2, most_forecasts=12))
    assert {one[0] for one in kept} == {1.0, -1.0}
    assert len(kept) == 4


def test_coverage_from_recipe_to_report(data, tmp_path):
    recipe = load_recipe("coverage", ['evaluate.datasets=["hospital"]', "evaluate.models=[]"])
    report = evaluate.run(recipe, output=tmp_path / "out", tracker=ListTracker())
    rows = pl.read_parquet(tmp_path / "out" / "results.parquet")
    assert rows["model"].unique().to_list() == ["seasonal naive, normal bands"]
    (split,) = rows.filter(method="split").to_dicts()
    # 7 cutoffs a horizon apart, of which 3 are tested with 144 truths each, and 19 between them.
    assert (split["n_cutoffs"], split["n_truths"]) == (26, 3 * 144)
    assert 0.85 < split["coverage"] < 0.95
    assert "| hospital | block" in report["message"]
    assert "kept on" in report["message"]
