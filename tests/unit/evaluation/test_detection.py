"""The detection protocol: injected anomalies, rivals that look back only, tables."""

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tsfm.evaluation.detection import DetectionConfig, segment_alpha, series_scores, set_scores
from tsfm.evaluation.detection_rivals import PROFILE_WINDOW, RIVALS, season_of
from tsfm.evaluation.detection_sets import DetectionSet, LabelledSeries
from tsfm.evaluation.detection_tables import interval, summarise
from tsfm.evaluation.injected import CHANGES, inject
from tsfm.evaluation.injected_channels import BREAKS, N_CHANGED, inject_channels

NAN = float("nan")
PLAIN = [name for name in RIVALS if name != "matrix profile"]


def config(**changes) -> DetectionConfig:
    settings = {"protocol": "detection", "models": (), "datasets": ("skab",)}
    return DetectionConfig(**{**settings, **changes})


def jump(n_rows: int = 400, n_channels: int = 1) -> LabelledSeries:
    generator = np.random.default_rng(0)
    wave = np.sin(np.arange(n_rows) * 2 * np.pi / 24)[:, None]
    values = wave + generator.normal(0, 0.05, (n_rows, n_channels))
    labels = np.zeros(n_rows, bool)
    labels[300:305] = True
    values[300] += 4.0
    return LabelledSeries("jump", values, labels, 100)


def test_a_series_shorter_than_a_window_of_the_forest_has_no_score():
    series = LabelledSeries("short", np.zeros((3, 1)), np.zeros(3, bool), 0)
    assert np.isnan(RIVALS["isolation forest"](series, np.random.default_rng(0))).all()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_rival_scores_every_row_and_looks_back_only(name, n_channels):
    series = jump(n_channels=n_channels)
    found = RIVALS[name](series, np.random.default_rng(1))
    assert found.shape == series.labels.shape
    assert np.isfinite(found[100:]).all()
    later = LabelledSeries("jump", series.values.copy(), series.labels, 100)
    later.values[330:] = 1e6
    again = RIVALS[name](later, np.random.default_rng(1))
    np.testing.assert_array_equal(again[:330], found[:330])


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "random"])
def test_a_rival_finds_a_jump(name):
    found = RIVALS[name](jump(), np.random.default_rng(1))
    assert found[300] > np.quantile(found[100:], 0.97)


def test_a_flat_series_with_missing_values_breaks_no_rival():
    values = np.ones((300, 1))
    values[50:60] = NAN
    values[200] = 5.0
    series = LabelledSeries("flat", values, np.zeros(300, bool), 100)
    for name in PLAIN:
        found = RIVALS[name](series, np.random.default_rng(0))
        assert not np.isinf(found).any(), name


def test_the_season_is_read_off_the_training_rows():
    step, noise = np.arange(600), np.random.default_rng(0).normal(0, 0.3, 600)
    assert season_of(np.sin(step * 2 * np.pi / 48) + noise) == pytest.approx(48, abs=2)
    assert season_of(np.ones(600)) == 1
    assert season_of(np.arange(8.0)) == 1


@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_an_injected_anomaly_is_where_the_labels_are(kind):
    generator = np.random.default_rng(3)
    values = np.sin(np.arange(900) / 5) + generator.normal(0, 0.1, 900)
    changed, labels = inject(values, kind, generator)
    np.testing.assert_array_equal(changed[~labels], values[~labels])
    assert (changed[labels] != values[labels]).any()
    assert labels[:300].sum() == 0
    starts = np.flatnonzero(np.diff(labels.astype(int), prepend=0) == 1)
    assert len(starts) == 1
    assert labels.sum() == 1 if kind == "spike" else labels.sum() >= 20


def test_alpha_tiles_the_rows_and_drops_none():
    labels, scores = np.zeros(25, bool), np.arange(25.0)
    labels[24] = True
    # Segments 0 to 9, 10 to 19 and 20 to 24; the last has the highest mean.
    assert segment_alpha(labels, scores, 10) == 1 / 3
    assert segment_alpha(labels, -scores, 10) == 1.0
    assert np.isnan(segment_alpha(np.zeros(25, bool), scores, 10))


def test_segments_without_a_score_are_looked_at_last():
    labels, scores = np.zeros(30, bool), np.arange(30.0)
    scores[:10] = NAN
    labels[25] = True
    assert segment_alpha(labels, scores, 10) == 1 / 3
    labels[25], labels[5] = False, True
    assert segment_alpha(labels, scores, 10) == 1.0


def test_training_rows_are_not_scored():
    series = jump()
    scores = np.where(np.arange(400) < 100, 1e9, 0.0)
    scores[300:305] = 1.0
    assert series_scores(series, scores, config())["auc_pr"] == 1.0
    found = set_scores(DetectionSet("toy", (series,), ""), [scores], config())
    assert found["pooled_auc_pr"] == 1.0
    assert found["nab_standard"] == 100.0


def test_the_threshold_without_hindsight_comes_from_the_training_rows():
    series = jump()
    scores = np.random.default_rng(0).random(400)
    scores[300] = 5.0
    found = set_scores(DetectionSet("toy", (series,), ""), [scores], config(false_alarm_rate=0.02))
    assert found["f1"] > 0
    assert found["point_adjusted_f1"] > found["f1"]
    assert found["false_alarms"] < 0.06
    assert found["nab_train_threshold"] <= found["nab_standard"]


def test_means_have_an_interval_over_series_with_an_anomaly():
    rows = pl.DataFrame(
        [
            {
                "dataset": "toy",
                "model": "m",
                "auc_pr": one,
                "vus_pr": one,
                "auc_roc": one,
                "alpha": a,
            }
            for one, a in ((0.2, 0.02), (0.4, 0.5), (NAN, NAN))
        ]
    )
    found = summarise(
        rows, [{"dataset": "toy", "model": "m"}], resamples=200, generator=np.random.default_rng(0)
    ).row(0, named=True)
    assert found["n_items"] == 2
    assert found["auc_pr"] == pytest.approx(0.3)
    assert 0.2 <= found["auc_pr_low"] <= 0.3 <= found["auc_pr_high"] <= 0.4
    assert (found["found_3"], found["found_10"]) == (1, 1)
    assert interval(np.array([0.5]), np.zeros((3, 1), int)) == (0.5, None, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rivals": ("oracle",)}, r"rivals must be some of .*got \['oracle'\]"),
        ({"datasets": ("injected",)}, "injected_cards must name cards when datasets has"),
        ({"datasets": ("injected channels",)}, "channel_cards must name cards when datasets has"),
        (
            {"datasets": ("injected states",), "injected_cards": ("m4_hourly",)},
            "channel_cards must name cards when datasets has 'injected states'",
        ),
    ],
)
def test_a_config_without_sense_is_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        config(**changes)


@pytest.mark.slow
def test_the_matrix_profile_is_that_of_a_double_loop():
    pytest.importorskip("stumpy")
    series, length = jump(), PROFILE_WINDOW
    found = RIVALS["matrix profile"](series, np.random.default_rng(0))
    windows = np.lib.stride_tricks.sliding_window_view(series.values[:, 0], length)
    units = (windows - windows.mean(1, keepdims=True)) / windows.std(1, keepdims=True)
    apart = -(-length // 4)  # nearer windows overlap too much to tell anything
    for row in (150, 303, 399):
        end = row - length + 1
        distances = [np.linalg.norm(units[end] - one) for one in units[: end - apart]]
        assert found[row] == pytest.approx(min(distances), rel=1e-4)


@pytest.mark.parametrize("kind", [*BREAKS, *CHANGES])
def test_an_anomaly_of_several_channels_is_where_the_labels_are(kind):
    generator = np.random.default_rng(4)
    walk = np.cumsum(generator.normal(0, 1, (1000, 5)), axis=0)
    walk[:, 4] = 7.0  # nothing can be seen in a channel that stands still
    changed, labels = inject_channels(walk, kind, generator)
    np.testing.assert_array_equal(changed[~labels], walk[~labels])
    moved = (changed[labels] != walk[labels]).any(axis=0)
    assert moved.sum() in ((N_CHANGED[kind],) if kind in BREAKS else (1, 2))
    assert not moved[4]
    assert labels[:333].sum() == 0
    assert labels.sum() == 1 if kind == "spike" else labels.sum() >= 20


def test_a_break_leaves_the_channel_in_its_own_range():
    generator = np.random.default_rng(5)
    wave = np.sin(np.arange(1000) / 9)[:, None] * [1.0, 10.0, 100.0]
    for kind in ("delayed", "elsewhere", "flipped", "exchanged"):
        changed, _ = inject_channels(wave, kind, generator)
        assert (np.abs(changed).max(axis=0) < 1.3 * np.abs(wave).max(axis=0)).all(), kind
