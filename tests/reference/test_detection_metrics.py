"""Measures of detection against scikit-learn and against double loops."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from tsfm.metrics.detection import (
    average_precision,
    detection_curve,
    precision_recall_f1,
    range_average_precision,
    roc_area,
    soft_labels,
)
from tsfm.metrics.nab import PROFILES, NabSeries, nab_score, probation_length


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n_rows = draw(st.integers(4, 60))
    labels = np.array(draw(st.lists(st.booleans(), min_size=n_rows, max_size=n_rows)))
    labels[0], labels[-1] = True, False
    # Few distinct scores, so that many rows share one.
    scores = draw(st.lists(st.integers(0, 6), min_size=n_rows, max_size=n_rows))
    return labels, np.array(scores, np.float64)


@settings(max_examples=50, deadline=None)
@given(cases())
def test_areas_are_those_of_scikit_learn(case):
    labels, scores = case
    assert average_precision(labels, scores) == pytest.approx(
        average_precision_score(labels, scores)
    )
    assert roc_area(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    curve = detection_curve(labels, scores)
    for threshold, precision, recall in zip(*curve[:3], strict=True):
        found = precision_recall_f1(labels, scores >= threshold)
        assert (found.precision, found.recall) == pytest.approx((precision, recall))
        assert found.f1 == pytest.approx(f1_score(labels, scores >= threshold))


def slow_soft_labels(labels: np.ndarray, buffer: int) -> np.ndarray:
    soft = np.zeros(len(labels))
    for row in range(len(labels)):
        for other in np.flatnonzero(labels):
            distance = abs(int(other) - row)
            if distance == 0:
                soft[row] = 1.0
            elif distance <= buffer // 2:
                soft[row] = max(soft[row], math.sqrt(1 - distance / buffer))
    return soft


def slow_range_precision(labels: np.ndarray, scores: np.ndarray, buffer: int) -> float:
    soft = slow_soft_labels(labels, buffer)
    segments, inside = [], False
    for row, value in enumerate(soft):
        if value > 0 and not inside:
            segments.append([])
        inside = value > 0
        if inside:
            segments[-1].append(row)
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        flagged = [row for row in range(len(scores)) if scores[row] >= threshold]
        hits = sum(soft[row] for row in flagged)
        exists = sum(any(scores[row] >= threshold for row in one) for one in segments)
        recall = min(1.0, hits / ((soft.sum() + labels.sum()) / 2)) * exists / len(segments)
        area += (recall - before) * hits / len(flagged)
        before = recall
    return area


@settings(max_examples=50, deadline=None)
@given(cases(), st.integers(0, 12))
def test_areas_with_borders_are_those_of_a_double_loop(case, buffer):
    labels, scores = case
    np.testing.assert_allclose(soft_labels(labels, buffer), slow_soft_labels(labels, buffer))
    expected = slow_range_precision(labels, scores, buffer)
    assert range_average_precision(labels, scores, buffer) == pytest.approx(expected)


def slow_nab(series: list[NabSeries], profile, threshold: float) -> float:
    """Row by row, as the benchmark's description has it."""

    def sigmoid(position: float) -> float:
        return -1.0 if position > 3 else 2 / (1 + math.exp(5 * position)) - 1

    raw = null = perfect = 0.0
    for labels, scores in series:
        n_rows, row, last, width = len(labels), 0, None, None
        while row < n_rows:
            if not labels[row]:
                if scores[row] >= threshold and row >= probation_length(n_rows):
                    behind = math.inf if last is None or width == 1 else (row - last) / (width - 1)
                    raw += profile.false_positive * sigmoid(behind)
                row += 1
                continue
            stop = row
            while stop < n_rows and labels[stop]:
                stop += 1
            rows = [one for one in range(row, stop) if one >= probation_length(n_rows)]
            worth = [
                profile.true_positive * sigmoid(-(stop - one) / (stop - row)) / sigmoid(-1.0)
                for one in rows
                if scores[one] >= threshold
            ]
            perfect += profile.true_positive
            if rows:
                null -= profile.false_negative
                raw += max(worth, default=-profile.false_negative)
            row, last, width = stop, stop - 1, stop - row
    return 100 * (raw - null) / (perfect - null)


@settings(max_examples=50, deadline=None)
@given(st.lists(cases(), min_size=1, max_size=3), st.sampled_from(sorted(PROFILES)))
def test_the_nab_score_is_that_of_a_loop_over_rows(found, name):
    series = [NabSeries(*case) for case in found]
    profile = PROFILES[name]
    thresholds = sorted({score for one in series for score in one.scores}, reverse=True)
    slow = {threshold: slow_nab(series, profile, threshold) for threshold in thresholds}
    for threshold, expected in slow.items():
        assert nab_score(series, profile, threshold=threshold).score == pytest.approx(expected)
    assert nab_score(series, profile).score == pytest.approx(max(0.0, *slow.values()), abs=1e-9)
