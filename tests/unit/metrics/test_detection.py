"""Measures of detection, worked out by hand; a wrong one would call the wrong detector better."""

import numpy as np
import pytest

from tsfm.errors import DataError
from tsfm.metrics.detection import (
    average_precision,
    detection_curve,
    first_hit_share,
    point_adjusted_f1,
    precision_recall_f1,
    range_average_precision,
    roc_area,
    runs,
    soft_labels,
    vus_pr,
)

NAN = float("nan")


def flags(text: str) -> np.ndarray:
    return np.array([one == "x" for one in text])


def test_counts_of_a_hand_table():
    found = precision_recall_f1(flags("xxx..x"), flags(".xx.xx"))
    assert found == pytest.approx((3 / 4, 3 / 4, 3 / 4))
    assert precision_recall_f1(flags("...."), flags("....")) == (0, 0, 0)
    assert precision_recall_f1(flags("x..."), flags("....")) == (0, 0, 0)


def test_rows_of_one_score_share_a_threshold():
    curve = detection_curve(flags("x.x."), np.array([1.0, 1.0, 0.0, 0.0]))
    assert curve.threshold.tolist() == [1.0, 0.0]
    assert curve.precision.tolist() == [0.5, 0.5]
    assert curve.recall.tolist() == [0.5, 1.0]
    assert curve.false_alarm_rate.tolist() == [0.5, 1.0]


def test_average_precision_by_hand():
    # Thresholds 4, 3, 2, 1: recall 1/2, 1/2, 1, 1 at precision 1, 1/2, 2/3, 1/2.
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    assert average_precision(flags("x.x."), scores) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)


def test_constant_scores_have_the_precision_of_chance():
    assert average_precision(flags("x..."), np.ones(4)) == 0.25
    assert roc_area(flags("x..."), np.ones(4)) == 0.5


def test_rows_without_a_score_are_left_out():
    scores = np.array([NAN, 3.0, 2.0, 1.0])
    assert average_precision(flags("xx.x"), scores) == average_precision(flags("x.x"), scores[1:])
    assert range_average_precision(flags(".x.x"), scores, 2) > 0


@pytest.mark.parametrize("measure", [average_precision, roc_area, lambda *two: vus_pr(*two, 4)])
@pytest.mark.parametrize("scores", [[1.0, 2.0, 3.0], [NAN, NAN, NAN]])
def test_without_an_anomaly_there_is_nothing_to_measure(measure, scores):
    assert np.isnan(measure(flags("..."), np.array(scores)))


def test_soft_labels_fall_to_half_a_buffer_on_both_sides():
    found = soft_labels(flags("....xx...."), 4)
    near, far = np.sqrt(3 / 4), np.sqrt(2 / 4)
    assert found.tolist() == pytest.approx([0, 0, far, near, 1, 1, near, far, 0, 0])


def test_overlapping_borders_take_the_nearer_anomaly():
    found = soft_labels(flags("x..x"), 8)
    assert found.tolist() == pytest.approx([1, np.sqrt(7 / 8), np.sqrt(7 / 8), 1])


def test_a_negative_buffer_is_refused():
    with pytest.raises(DataError, match="buffer must be at least 0 steps, got -1; use 0"):
        soft_labels(flags("x"), -1)


def test_every_anomaly_must_be_found_for_full_recall():
    labels = flags("xxxxxx..x.")
    found_long = np.where(labels & (np.arange(10) < 6), 1.0, 0.0)
    # All rows of the long one: recall 6/7, one of two anomalies; then every row at precision 7/10.
    expected = 6 / 7 * 1 / 2 + (1 - 6 / 7 / 2) * 7 / 10
    assert range_average_precision(labels, found_long, 0) == pytest.approx(expected)


def test_a_near_miss_counts_with_borders_and_not_without():
    labels, scores = flags("...xx....."), np.array([0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0])
    assert range_average_precision(labels, scores, 4) > range_average_precision(labels, scores, 0)
    assert vus_pr(labels, scores, 4) > average_precision(labels, scores)


def test_the_volume_is_a_mean_over_buffers():
    generator = np.random.default_rng(0)
    labels, scores = flags("....xxx......x......"), generator.normal(size=20)
    areas = [range_average_precision(labels, scores, buffer) for buffer in (0, 2, 4, 6, 8)]
    assert vus_pr(labels, scores, 8, n_buffers=5) == pytest.approx(np.mean(areas))


def test_point_adjustment_flags_the_whole_anomaly_after_one_hit():
    labels, hits = flags("xxx..xx."), flags("..x....x")
    assert point_adjusted_f1(labels, hits) == pytest.approx((3 / 4, 3 / 5, 2 * 3 / 9))
    assert precision_recall_f1(labels, hits).f1 < point_adjusted_f1(labels, hits).f1


def test_one_flag_in_a_long_anomaly_is_why_point_adjustment_never_stands_alone():
    labels = np.zeros(1000, bool)
    labels[200:600] = True
    lucky = np.random.default_rng(0).random(1000) > 0.98
    assert point_adjusted_f1(labels, lucky).f1 > 0.9
    assert precision_recall_f1(labels, lucky).f1 < 0.1


def test_alpha_is_the_rank_of_the_first_hit():
    scores = np.array([5.0, 1.0, 4.0, 3.0])
    assert first_hit_share(flags("..xx"), scores) == 2 / 4
    assert first_hit_share(flags("x..."), scores) == 1 / 4
    assert first_hit_share(flags(".x.."), scores) == 1.0


def test_segments_of_one_score_are_ranked_in_the_worst_order():
    assert first_hit_share(flags("x..."), np.ones(4)) == 1.0


def test_an_anomaly_that_no_scored_segment_reaches_is_a_miss_not_a_perfect_hit():
    assert first_hit_share(flags("...."), np.arange(4.0)) == 1.0
    assert first_hit_share(flags("...."), np.arange(4.0), n_missed=1) == 1.0


def test_runs_at_both_ends():
    starts, stops = runs(flags("xx.x"))
    assert (starts.tolist(), stops.tolist()) == ([0, 3], [2, 4])
    assert len(runs(flags("..."))[0]) == 0
