"""The scoring function of NAB, by hand: what a hit is worth, what an alarm costs."""

import math

import numpy as np
import pytest

from tsfm.metrics.nab import (
    PROFILES,
    NabProfile,
    NabSeries,
    nab_score,
    probation_length,
    row_worth,
    scaled_sigmoid,
)

STANDARD = PROFILES["standard"]


def series(n_rows: int, windows: list[tuple[int, int]], flagged: list[int]) -> NabSeries:
    labels, scores = np.zeros(n_rows, bool), np.zeros(n_rows)
    for start, stop in windows:
        labels[start:stop] = True
    scores[flagged] = 1.0
    return NabSeries(labels, scores)


def sigmoid(position: float) -> float:
    return 2 / (1 + math.exp(5 * position)) - 1


def test_the_published_values_of_the_sigmoid():
    found = scaled_sigmoid(np.array([-1.0, -0.5, 0.0, 1.0, 3.5]))
    assert found.tolist() == pytest.approx([0.98661, 0.84828, 0.0, -0.98661, -1.0], abs=1e-5)


def test_the_published_profiles():
    assert PROFILES["standard"] == NabProfile(1.0, 0.11, 1.0)
    assert PROFILES["reward_low_FP"] == NabProfile(1.0, 0.22, 1.0)
    assert PROFILES["reward_low_FN"] == NabProfile(1.0, 0.11, 2.0)


def test_the_first_row_of_a_window_is_worth_a_full_hit():
    worth, window = row_worth(series(10, [(4, 8)], []).labels, STANDARD)
    assert window.tolist() == [-1] * 4 + [0] * 4 + [-1] * 2
    assert worth[4] == 1.0
    assert worth[7] == pytest.approx(sigmoid(-1 / 4) / sigmoid(-1))
    assert worth[:4].tolist() == [-0.11] * 4
    # Behind a window of 4 rows: one step behind is a third of its width less one.
    assert worth[8] == pytest.approx(0.11 * sigmoid(1 / 3))
    assert worth[9] == pytest.approx(0.11 * sigmoid(2 / 3))


def test_a_window_of_one_row_does_not_divide_by_zero():
    worth, _ = row_worth(series(6, [(3, 4)], []).labels, STANDARD)
    assert worth[3] == 1.0
    assert worth[4] == -0.11


def test_a_window_pays_once_by_its_earliest_flag():
    early = nab_score([series(100, [(50, 60)], [50])], STANDARD)
    both = nab_score([series(100, [(50, 60)], [50, 55])], STANDARD)
    late = nab_score([series(100, [(50, 60)], [55])], STANDARD)
    assert early.score == both.score == 100.0
    assert late.score == pytest.approx(100 * (sigmoid(-0.5) / sigmoid(-1) + 1) / 2)


def test_a_detector_that_never_flags_scores_zero():
    quiet = series(100, [(50, 60), (80, 90)], [])
    assert nab_score([quiet], STANDARD, threshold=math.inf).score == 0.0
    nothing = quiet._replace(scores=np.full(100, np.nan))
    assert nab_score([nothing], STANDARD).score == 0.0


def test_a_false_alarm_costs_more_when_few_are_wanted():
    alarm = [series(100, [(50, 60)], [30, 50])]
    found = {name: nab_score(alarm, one, threshold=1.0).score for name, one in PROFILES.items()}
    assert found["standard"] == pytest.approx(100 * (1 - 0.11 + 1) / 2)
    assert found["reward_low_FP"] == pytest.approx(100 * (1 - 0.22 + 1) / 2)
    assert found["reward_low_FN"] == pytest.approx(100 * (1 - 0.11 + 2) / 3)


def test_a_missed_window_costs_twice_when_few_misses_are_wanted():
    missed = [series(200, [(50, 60), (100, 110)], [50])]
    assert nab_score(missed, STANDARD).score == pytest.approx(50.0)
    low_fn = nab_score(missed, PROFILES["reward_low_FN"]).score
    assert low_fn == pytest.approx(100 * (1 - 2 + 4) / (2 + 4))


def test_rows_of_the_probation_are_not_scored():
    assert probation_length(100) == 15
    assert probation_length(22_695) == 750
    with_alarm = nab_score([series(100, [(50, 60)], [14, 50])], STANDARD)
    assert with_alarm.score == 100.0
    assert nab_score([series(100, [(50, 60)], [15, 50])], STANDARD).score < 100.0


def test_one_threshold_holds_for_all_series():
    labels = np.zeros(100, bool)
    labels[50:60] = True
    loud, soft = np.where(labels, 9.0, 5.0), np.where(labels, 2.0, 1.0)
    found = nab_score([NabSeries(labels, loud), NabSeries(labels, soft)], STANDARD)
    # To find the window of the second series, all of the first would have to be flagged.
    assert found.threshold == 9.0
    assert found.score == pytest.approx(50.0)


def test_the_best_threshold_is_never_worse_than_another():
    generator = np.random.default_rng(0)
    rows = [series(300, [(100, 140), (200, 230)], [])._replace(scores=generator.normal(size=300))]
    best = nab_score(rows, STANDARD).score
    for threshold in (-1.0, 0.0, 1.0, 2.0, 5.0):
        assert nab_score(rows, STANDARD, threshold=threshold).score <= best


def test_without_a_window_there_is_no_score():
    assert math.isnan(nab_score([series(50, [], [3])], STANDARD).score)
