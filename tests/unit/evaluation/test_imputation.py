"""Scores count only when all fill the very same gaps and see nothing of what is hidden."""

from dataclasses import replace

import numpy as np
import pytest

from tsfm.errors import DataError
from tsfm.evaluation import imputation
from tsfm.evaluation.imputation import hidden_values, scored_windows, scores
from tsfm.evaluation.imputation_config import ImputationConfig
from tsfm.evaluation.imputation_fillers import Filler, filler_of, load_filler
from tsfm.series.ltsf_set import LtsfSet, cut_set
from tsfm.tasks.imputation import interpolation


def config(**changes) -> ImputationConfig:
    values = {"protocol": "imputation", "models": (), "datasets": ("toy",), "segment_lengths": (4,)}
    return ImputationConfig(**{**values, **changes})


def toy_set(generator: np.random.Generator) -> LtsfSet:
    values = generator.normal(size=(90, 2)).cumsum(0)
    return LtsfSet(name="toy", values=values, train_end=30, test_start=60, seasonality=4)


def test_windows_lie_within_the_rows_that_are_scored(generator) -> None:
    data = toy_set(generator)
    for part, first in (("validation", 30), ("test", 60)):
        windows = scored_windows(data, 16, config(part=part, stride=7))
        assert windows.shape == (3 * 2, 16)
        np.testing.assert_array_equal(windows[3], data.values[first + 7 : first + 23, 1])
    with pytest.raises(
        DataError, match="toy must have a window of 31 steps in its test rows, got 30"
    ):
        scored_windows(data, 31, config())


@pytest.mark.parametrize("kind", ["points", "segments"])
def test_masks_depend_on_the_seed_alone(generator, kind) -> None:
    windows = generator.normal(size=(500, 16))
    first, second = (hidden_values(kind, 0.25, one, 4, 7) for one in (windows, windows * 9))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, hidden_values(kind, 0.25, windows, 4, 8))
    share = first.mean() if kind == "points" else first[:, 4:].mean()
    assert abs(share - 0.25) < 0.03
    if kind == "segments":
        assert not first[:, :4].any()


def test_scores_are_errors_of_what_was_hidden_and_nothing_of_it_is_seen(generator) -> None:
    windows = generator.normal(size=(40, 16))
    shown = []

    def fill(given: np.ndarray) -> np.ndarray:
        shown.append(given)
        return interpolation.linear(given)

    settings = config(kinds=("points",), hidden_shares=(0.25,), mask_seeds=(0, 1))
    first, second = scores(Filler("watch", "baseline", fill), windows, settings)
    for row, given in zip((first, second), shown, strict=True):
        hidden = np.isnan(given)
        assert np.array_equal(given[~hidden], windows[~hidden])
        error = interpolation.linear(given)[hidden] - windows[hidden]
        assert row["mse"] == pytest.approx(np.mean(error**2))
        assert row["mae"] == pytest.approx(np.mean(np.abs(error)))
        assert row["n_hidden"] == hidden.sum()
    assert first["mask_digest"] != second["mask_digest"]


def test_gaps_of_the_set_itself_stay_and_are_not_counted(generator) -> None:
    windows = generator.normal(size=(40, 16))
    own = generator.random(windows.shape) < 0.3
    windows[own] = np.nan
    shown = []

    def fill(given: np.ndarray) -> np.ndarray:
        shown.append(given)
        return interpolation.linear(given)

    settings = config(hidden_shares=(0.5,), segment_lengths=(2, 8), mask_seeds=(0,))
    rows = list(scores(Filler("watch", "baseline", fill), windows, settings))
    assert [(row["gaps"], row["segment_length"]) for row in rows] == [
        ("points", 1),
        ("segments", 2),
        ("segments", 8),
    ]
    for row, given in zip(rows, shown, strict=True):
        assert np.isnan(given[own]).all()
        assert row["n_hidden"] == np.isnan(given).sum() - own.sum() > 0
        assert np.isfinite(row["mae"])


def test_masks_that_hide_nothing_have_no_score(generator) -> None:
    settings = config(kinds=("segments",), segment_lengths=(16,), mask_seeds=(0,))
    filler = Filler("line", "baseline", interpolation.linear)
    for row in scores(filler, generator.normal(size=(2, 16)), settings):
        assert row["n_hidden"] == 0
        assert row["mse"] is None


def test_a_set_that_a_model_was_trained_on_is_never_zero_shot(generator, monkeypatch) -> None:
    data = toy_set(generator)
    monkeypatch.setattr(imputation, "read_ltsf_set", lambda *_, **__: data)
    settings = config(window_lengths=(16,), stride=2, hidden_shares=(0.25, 0.5))
    filler = Filler("ours", "zero-shot", interpolation.linear, 5, ("toy",))
    rows = imputation.evaluate(settings, [filler])
    labels = dict(rows.select("model", "label").unique().iter_rows())
    assert labels["ours"] == "seen"
    assert labels["linear"] == "baseline"
    assert rows.filter(model="ours")["mse"].equals(rows.filter(model="linear")["mse"])
    page = imputation.render(rows, settings)
    assert "## toy, windows of 16: segments of 4" in page
    assert page.count("| ours  ") == 2
    assert page.count("| ours (seen) ") == 2
    assert "±" in page
    seasonal = rows.filter(model="seasonal linear, 4")
    assert len(seasonal) == 2 * 2 * 3


@pytest.mark.parametrize(("freq", "told"), [("15min", 96), ("step", 1)])
def test_models_are_told_the_season_of_the_frequency_and_no_other(
    generator, monkeypatch, freq: str, told: int
) -> None:
    """As a frame would; the season of the card is for the rival that is told everything."""
    data = replace(toy_set(generator), freq=freq)
    monkeypatch.setattr(imputation, "read_ltsf_set", lambda *_, **__: data)
    seen = []

    def fill(windows: np.ndarray, seasonality: int) -> np.ndarray:
        seen.append(seasonality)
        return interpolation.linear(windows)

    filler = Filler("ours", "zero-shot", interpolation.last_value, fill_seasonal=fill)
    rows = imputation.evaluate(config(window_lengths=(16,), mask_seeds=(0,)), [filler])
    assert set(seen) == {told}
    assert rows.filter(model="ours")["mae"].equals(rows.filter(model="linear")["mae"])


def test_both_kinds_of_models_fill_windows(generator) -> None:
    from tsfm.models.model import Provenance, TimeSeriesModel
    from tsfm.models.timer import Timer, TimerConfig

    options = {"patch_length": 4, "d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 8}
    released = Timer(TimerConfig(normalization="window", quantile_levels=(), **options))
    windows = generator.normal(size=(5, 16))
    windows[:, 6:9] = np.nan
    for filler in (
        load_filler("tsfm-fill"),
        filler_of(TimeSeriesModel("timer", released, 16, Provenance()), "released"),
    ):
        filled = filler.fill(windows)
        seen = np.isfinite(windows)
        assert np.array_equal(filled[seen], windows[seen])
        assert np.isfinite(filled).all()
        assert filler.facts()["n_parameters"] > 0


def test_missing_values_are_not_blamed_for_series_of_several_lengths() -> None:
    series = [np.arange(40.0), np.arange(41.0)]
    with pytest.raises(
        DataError, match=r"made must have series of one length, got lengths \[40, 41"
    ):
        cut_set("made", series, None, seasonality=1, missing="keep")
