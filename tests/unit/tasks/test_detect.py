"""Detector: the same rows out, scored; thresholds and folders; messages."""

import copy
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import tsfm
from tsfm.errors import CheckpointError, ConfigError, DataError, UnsupportedError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tasks.detect import Detector
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.samples.series_model import new_tst


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.from_pretrained("tsfm-small")


def waves(n_rows: int = 400) -> pl.DataFrame:
    """Two noisy waves; the second item jumps in one row and is silent in another."""
    generator, step = np.random.default_rng(0), np.arange(n_rows)
    wave = np.sin(step * 2 * np.pi / 24) + generator.normal(0, 0.05, (2, n_rows))
    wave[1, 350:351] += 3.0
    frame = pl.DataFrame(
        {
            "item_id": np.repeat(["a", "b"], n_rows),
            "timestamp": np.tile(step, 2),
            "target": wave.ravel(),
            "note": ["kept"] * (2 * n_rows),
        }
    )
    return frame.with_columns(
        pl.when((pl.col("item_id") == "b") & (pl.col("timestamp") == 320))
        .then(None)
        .otherwise(pl.col("target"))
        .alias("target")
    )


def test_the_jump_has_the_highest_score(detector):
    found = detector.score(waves())
    worst = found.row(found["anomaly_score"].arg_max(), named=True)
    assert (worst["item_id"], worst["timestamp"]) == ("b", 350)
    assert worst["anomaly_score"] > 3 * found["anomaly_score"].quantile(0.99)


def test_rows_order_and_columns_stay(detector):
    frame = waves().sample(fraction=1.0, shuffle=True, seed=1)
    found = detector.score(frame)
    assert found.drop("anomaly_score").equals(frame)
    tidy = frame.sort("item_id", "timestamp")
    again = found.sort("item_id", "timestamp")["anomaly_score"]
    assert again.equals(detector.score(tidy)["anomaly_score"])


def test_rows_without_value_or_forecast_have_no_score(detector):
    found = detector.score(waves())
    missing = found.filter(pl.col("anomaly_score").is_null())
    first_patch = missing.filter(pl.col("timestamp") < detector.model.patch_length)
    assert first_patch.height == 2 * detector.model.patch_length
    assert missing.filter(pl.col("timestamp") >= 16)["timestamp"].to_list() == [320]


def test_no_row_is_dropped_at_the_tail(detector):
    whole = detector.score(waves(400))
    for n_rows in (399, 389, 385):
        found = detector.score(waves(400).filter(pl.col("timestamp") < n_rows))
        assert found.height == 2 * n_rows
        assert found.filter(pl.col("timestamp") == n_rows - 1)["anomaly_score"].null_count() == 0
    assert whole["anomaly_score"].tail(3).null_count() == 0


def test_items_are_scored_by_themselves(detector):
    both, alone = detector.score(waves()), detector.score(waves().filter(item_id="b"))
    np.testing.assert_allclose(
        both.filter(item_id="b")["anomaly_score"].to_numpy(),
        alone["anomaly_score"].to_numpy(),
        rtol=1e-3,
        atol=1e-4,
    )


def test_short_and_empty_series_are_all_without_a_score(detector):
    frame = pl.DataFrame({"timestamp": range(10), "target": [1.0] * 10})
    assert detector.score(frame)["anomaly_score"].null_count() == 10
    silent = pl.DataFrame({"timestamp": range(40), "target": [None] * 40})
    assert detector.score(silent)["anomaly_score"].null_count() == 40


def test_of_several_targets_the_mean_is_the_score(detector):
    frame = waves().filter(item_id="b").rename({"target": "x"})
    frame = frame.with_columns((pl.col("timestamp") % 24).cast(pl.Float64).alias("y"))
    both, x, y = (
        detector.score(frame, target=target)["anomaly_score"].to_numpy()[16:]
        for target in (["x", "y"], "x", "y")
    )
    np.testing.assert_allclose(both, np.nanmean([x, y], axis=0), rtol=1e-4, atol=1e-6)


def test_flags_appear_once_a_threshold_was_fitted(detector):
    frame = waves()
    assert "is_anomaly" not in detector.detect(frame).columns
    fitted = detector.fit_threshold(frame.filter(item_id="a"), false_alarm_rate=0.005)
    found = fitted.detect(frame)
    assert found["is_anomaly"].dtype == pl.Boolean
    assert found["is_anomaly"].null_count() == 0
    flagged = found.filter("is_anomaly")
    assert flagged.filter(pl.col("anomaly_score") < fitted.threshold.value).is_empty()
    assert 350 in flagged["timestamp"].to_list()
    assert found.filter(item_id="a")["is_anomaly"].sum() <= 0.005 * 400
    assert "is_anomaly" not in fitted.score(frame).columns
    assert detector.threshold is None


def test_a_saved_detector_flags_the_same_rows(detector, tmp_path):
    frame = waves()
    rule = ScoreRule(past_weight=1.0, smoothing=4)
    fitted = Detector(detector.model, rule=rule).fit_threshold(
        frame, method="quantile", false_alarm_rate=0.002, context_length=128
    )
    loaded = Detector.from_pretrained(fitted.save_pretrained(tmp_path / "mine"))
    assert (loaded.threshold, loaded.rule) == (fitted.threshold, rule)
    assert loaded.detect(frame).equals(fitted.detect(frame))


def test_a_detector_saved_before_scores_had_all_parts_scores_as_it_did(detector, tmp_path):
    folder = detector.save_pretrained(tmp_path / "mine")
    file = folder / "detector.json"
    settings = json.loads(file.read_text())
    for name in list(settings["rule"]):
        if name.startswith(("range", "relation", "long", "level")):
            del settings["rule"][name]
    file.write_text(json.dumps(settings))
    without = ScoreRule(range_weight=0.0, long_smoothing_weight=0.0, level_weight=0.0)
    assert Detector.from_pretrained(folder).rule == without


def test_a_threshold_of_other_weights_is_refused(detector, tmp_path):
    folder = detector.save_pretrained(tmp_path / "mine")
    other = copy.deepcopy(detector.model)
    next(other.parameters()).data.add_(0.1)
    save_pretrained(other, folder)
    with pytest.raises(CheckpointError, match=r"detector\.json must be of the weights beside it"):
        Detector.from_pretrained(folder)


def test_a_folder_with_a_broken_threshold_is_refused(detector, tmp_path):
    folder = detector.save_pretrained(tmp_path / "mine")
    (folder / "detector.json").write_text(json.dumps({"rule": {}}))
    with pytest.raises(CheckpointError, match=r"detector\.json must hold a rule and a threshold"):
        Detector.from_pretrained(folder)


def test_pandas_and_polars_get_the_same_scores():
    frame = waves(120)
    ours = tsfm.detect(frame)["anomaly_score"].to_numpy()
    theirs = tsfm.detect(frame.to_pandas())
    assert isinstance(theirs, pd.DataFrame)
    np.testing.assert_array_equal(theirs["anomaly_score"].to_numpy(), ours)
    assert isinstance(tsfm.detect(frame.lazy()), pl.LazyFrame)


def test_a_model_with_statistics_of_the_whole_window_does_not_see_the_row_it_scores():
    config = TimerConfig(
        patch_length=8,
        d_model=16,
        n_heads=2,
        n_layers=1,
        d_ff=32,
        normalization="window",
        quantile_levels=(),
        positions="sinusoidal",
    )
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    detector = Detector(TimeSeriesModel("timer", backbone, 64, Provenance()))
    frame = waves(100).filter(item_id="a")
    changed = frame.with_columns(
        pl.when(pl.col("timestamp") >= 60).then(1e6).otherwise(pl.col("target")).alias("target")
    )
    before, after = (detector.score(one)["anomaly_score"].to_numpy() for one in (frame, changed))
    np.testing.assert_allclose(after[:60], before[:60], rtol=1e-4)
    assert after[60] > 1e3
    stream = detector.stream()
    streamed = [stream.update(value).anomaly_score for value in frame["target"]]
    np.testing.assert_allclose(streamed, before, rtol=1e-3)


def test_the_progress_bar_counts_series(detector, capsys):
    detector.score(waves(60), progress=True)
    assert "2/2" in capsys.readouterr().err


def test_the_progress_bar_counts_series_for_a_threshold_too(detector, capsys):
    detector.fit_threshold(waves(60), method="quantile", false_alarm_rate=0.1, progress=True)
    assert "2/2" in capsys.readouterr().err


def test_columns_that_would_be_overwritten_are_refused(detector):
    frame = waves(40).with_columns(anomaly_score=0.0)
    with pytest.raises(DataError, match=r"of one that is added, got \['anomaly_score'\]"):
        detector.detect(frame)


@pytest.mark.parametrize("options", [{"context_length": 0}, {"batch_size": 0}])
def test_a_count_of_nothing_is_refused(detector, options):
    with pytest.raises(ConfigError, match="must be a whole number of at least 1, got 0"):
        detector.detect(waves(40), **options)


def test_a_model_that_does_not_forecast_is_refused():
    model = new_tst(0, n_channels=1, context_length=8, d_model=8, n_heads=2, n_layers=1, d_ff=8)
    with pytest.raises(UnsupportedError, match="predicts the next patch to forecast, got 'tst'"):
        Detector(model)


def test_a_stream_refuses_rows_that_it_cannot_use(detector):
    stream = detector.stream(n_channels=2)
    with pytest.raises(DataError, match="a row must have 2 values, got 1; pass one per channel"):
        stream.update(1.0)
    with pytest.raises(DataError, match="must have finite or missing values"):
        stream.update([1.0, np.inf])
    with pytest.raises(DataError, match=r"must have numbers, got \['a', 2\]; convert it"):
        stream.update(["a", 2])
    with pytest.raises(ConfigError, match="n_channels must be a whole number of at least 1, got 0"):
        detector.stream(n_channels=0)


def test_a_stream_takes_every_kind_of_missing_value_alike(detector):
    values = waves().filter(item_id="b")["target"][:200].to_list()
    streams = [detector.stream() for _ in range(3)]
    found = []
    for place, value in enumerate(values):
        row = [value] * 3 if place % 50 else [np.nan, None, pd.NA]
        found.append(
            [one.update(cell).anomaly_score for one, cell in zip(streams, row, strict=True)]
        )
    scores = np.array(found).T
    assert np.isfinite(scores[0]).any()
    np.testing.assert_array_equal(scores[1:], scores[:2])


def test_a_stream_flags_with_the_threshold(detector):
    frame = waves().filter(item_id="b")
    fitted = detector.fit_threshold(frame, false_alarm_rate=0.01)
    stream = fitted.stream()
    found = [stream.update(np.nan if one is None else one) for one in frame["target"]]
    assert found[350].is_anomaly
    assert found[320] == pytest.approx((np.nan, False), nan_ok=True)
    assert detector.stream().update(1.0).is_anomaly is None


def test_no_later_row_moves_a_score_by_more_than_is_said():
    values = np.random.default_rng(0).normal(size=(2, 300)).cumsum(1)
    frame = pl.DataFrame(
        {
            "item_id": np.repeat(["a", "b"], 300),
            "timestamp": np.tile(np.arange(300), 2),
            "target": values.ravel(),
        }
    )
    assert tsfm.audit(tsfm.detect, frame, n_cutoffs=5, seed=0, tolerance=1e-5).ok


@pytest.mark.parametrize("sentinel", [1e20, 9.96921e36])
def test_a_value_that_stands_for_missing_is_found_and_hides_no_score(detector, sentinel):
    frame = waves().with_columns(
        pl.when(pl.col("timestamp") == 340)
        .then(sentinel)
        .otherwise(pl.col("target"))
        .alias("target")
    )
    before, found = (detector.score(one)["anomaly_score"] for one in (waves(), frame))
    assert found.null_count() == before.null_count()
    first = slice(16, 340)
    np.testing.assert_allclose(found[first], before[first], rtol=1e-5, atol=1e-6)
    assert found[340] > 1000 * before[first].max()


@pytest.mark.parametrize("option", [{"threshold": 3.0}, {"rule": "mean"}])
@pytest.mark.usefixtures("as_users_call")
def test_a_threshold_or_a_rule_of_another_kind_is_refused(detector, option):
    with pytest.raises(ConfigError, match=r"Threshold of fit_threshold and a ScoreRule, got .*; "):
        Detector(detector.model, **option)
