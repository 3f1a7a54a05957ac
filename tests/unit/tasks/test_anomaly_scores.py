"""Scores by hand: errors over the width of the interval and the errors of the past."""

import numpy as np
import pytest

from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.scores import (
    LARGEST_SCORE,
    channel_mean,
    errors_and_widths,
    item_starts,
    own_scores,
    past_errors,
    range_excesses,
    range_factors,
    score_rows,
    trailing_mean,
)

NAN = float("nan")
LEVELS = (0.1, 0.5, 0.9)
NO_MEMORY = {"long_smoothing_weight": 0.0, "level_weight": 0.0}
PLAIN = ScoreRule(past_weight=0.0, smoothing_weight=0.0, range_weight=0.0, **NO_MEMORY)


def bands(n_rows: int, half: float = 1.0) -> np.ndarray:
    return np.tile([-half, 0.0, half], (n_rows, 1))


def score(values, quantiles, rule=PLAIN, levels=LEVELS, patch=2) -> list[float]:
    found = score_rows(
        np.array(values), np.array(quantiles), levels, first=0, patch_length=patch, rule=rule
    )
    return found.tolist()


def test_a_score_counts_half_widths_of_the_interval():
    assert score([0.0, 1.0, -3.0], bands(3)) == [0, 1, 3]
    assert score([0.0, 1.0, -3.0], bands(3, half=2.0)) == [0, 0.5, 1.5]


def test_the_interval_of_other_levels_is_brought_to_80_percent():
    half = 1.2815515655446004 / 1.6448536269514722  # normal scores of 0.9 and 0.95
    _, found = errors_and_widths(np.zeros(1), bands(1), (0.05, 0.5, 0.95))
    assert found.tolist() == pytest.approx([half])


def test_past_errors_are_medians_of_what_came_before_the_patch():
    errors = np.array([NAN, NAN, 1.0, 5.0, 2.0, 100.0, 7.0])
    found = past_errors(errors, 0, 2, past_length=4)
    np.testing.assert_array_equal(found, [NAN, NAN, NAN, NAN, 3.0, 3.0, 3.5])


def test_past_errors_widen_the_unit():
    rule = ScoreRule(past_weight=2.0, smoothing_weight=0.0, **NO_MEMORY)
    found = score([1.0, 1.0, 1.0, 1.0, 3.0], bands(5), rule)
    # Before the second patch no errors are known; the unit is then the interval alone.
    assert found == pytest.approx([1, 1, 1 / 3, 1 / 3, 1])


def test_an_anomaly_does_not_shrink_its_own_score():
    rule = ScoreRule(past_weight=2.0, smoothing_weight=0.0, **NO_MEMORY)
    quiet, loud = [1.0] * 4 + [3.0, 3.0], [1.0] * 4 + [300.0, 300.0]
    small, large = (np.array(score(values, bands(6), rule)[-2:]) for values in (quiet, loud))
    np.testing.assert_allclose(large, 100 * small)


def test_a_step_off_a_constant_gets_the_largest_score():
    assert score([7.0, 7.0, 8.0], [[7.0] * 3] * 3) == [0, 0, LARGEST_SCORE]


def test_a_point_forecast_is_measured_by_past_errors_alone():
    rule = ScoreRule(past_weight=1.0, smoothing_weight=0.0, **NO_MEMORY)
    point = np.zeros((5, 1))
    found = score([2.0, 2.0, 4.0, 2.0, 6.0], point, rule, levels=())
    assert found == [LARGEST_SCORE, LARGEST_SCORE, 2.0, 1.0, 3.0]


def test_smoothing_adds_the_mean_of_the_last_scores():
    rule = ScoreRule(past_weight=0.0, smoothing=2, smoothing_weight=0.5, **NO_MEMORY)
    assert score([1.0, 3.0, 0.0], bands(3), rule) == [1.5, 3 + 0.5 * 2, 0.5 * 1.5]


def test_what_is_missing_has_no_score_and_does_not_disturb_others():
    rule = ScoreRule(past_weight=0.0, smoothing=2, smoothing_weight=1.0, **NO_MEMORY)
    found = score([1.0, NAN, 3.0], bands(3), rule)
    np.testing.assert_array_equal(found, [2, NAN, 6])
    no_forecast = np.array([[NAN] * 3, [-1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(score([1.0, 1.0], no_forecast), [NAN, 1])


def test_the_score_of_a_row_is_the_mean_over_its_channels():
    found = channel_mean(np.array([[1.0, 3.0], [NAN, 5.0], [NAN, NAN]]))
    np.testing.assert_array_equal(found, [2, 5, NAN])


def test_trailing_mean_against_a_loop():
    scores = np.random.default_rng(0).normal(size=40)
    scores[[0, 7, 8, 9, 30]] = NAN
    for n_steps in (1, 3, 16):
        slow = [
            NAN if np.isnan(one) else np.nanmean(scores[max(0, row - n_steps + 1) : row + 1])
            for row, one in enumerate(scores)
        ]
        np.testing.assert_allclose(trailing_mean(scores, n_steps), slow)


def test_items_start_with_their_first_value():
    values = np.array([NAN, 1.0, 2.0, 3.0, NAN, NAN, NAN])
    assert item_starts(values, np.array([0, 3, 5, 7, 7])).tolist() == [1, 0, 2, 0]


def test_a_series_that_is_often_surprising_scores_lower_from_the_next_patch_on():
    rule = ScoreRule(past_weight=0.0, smoothing_weight=0.0, habit_level=0.5, **NO_MEMORY)
    values = np.append(np.full(100, 3.0), [5.0, 5.0])
    found = score(values, bands(102), rule)
    # A hundred scores of 3 are known before the last patch alone; a habit is one of own scores.
    assert found[:100] == [3.0] * 100
    assert found[100:] == [5 / 4, 5 / 4]
    longer = score(np.append(values, 5.0), bands(103), rule)
    assert longer[102] == 5 / 4


def test_a_surprise_outside_of_the_range_of_the_past_weighs_more():
    # 64 values before the last patch: median 0, 80 % of them from -1 to 1.
    past = np.tile([-1.0, 0.0, 0.0, 1.0], 16)
    values = np.concatenate([past, [3.0, 3.0]])
    quantiles = np.concatenate([bands(64), np.tile([1.0, 2.0, 3.0], (2, 1))])
    plain = score(values, quantiles, PLAIN)
    found = score(values, quantiles, ScoreRule(past_weight=0.0, smoothing_weight=0.0, **NO_MEMORY))
    twice = ScoreRule(past_weight=0.0, smoothing_weight=0.0, range_weight=2.0, **NO_MEMORY)
    assert plain[64:] == [1, 1]
    assert found == [*plain[:64], 3, 3]
    assert score(values, quantiles, twice)[64:] == [5, 5]
    # Within the range, with fewer values before, or as many in a shorter past, nothing changes.
    assert score(np.append(past, 1.0), bands(65), twice)[64] == 1
    assert score(values[2:], quantiles[2:], twice) == plain[2:]
    short = ScoreRule(past_weight=0.0, smoothing_weight=0.0, range_length=63, **NO_MEMORY)
    assert score(values, quantiles, short) == plain


def test_a_past_without_a_range_and_huge_values_leave_finite_scores():
    rule = ScoreRule(past_weight=0.0, smoothing_weight=0.0, **NO_MEMORY)
    assert score([*([0.0] * 64), 5.0], bands(65), rule)[64] == 5
    huge = np.array([*([-1.5e308, 1.5e308] * 32), 1e300, NAN])
    assert range_factors(huge, 0, 64, rule).tolist() == [1] * 66
    far = np.array([*([0.0, 1.0] * 32), 1e300, NAN])
    assert range_factors(far, 0, 64, rule)[64:].tolist() == [50, 1]


def test_a_state_that_forecasts_have_followed_keeps_a_higher_score():
    generator = np.random.default_rng(0)
    level = np.where(np.arange(900) < 500, 0.0, 2.0)
    values = level + generator.normal(0, 1, 900)
    quantiles = level[:, None] + bands(900)  # the forecast knows the new level at once
    plain = score_rows(values, quantiles, LEVELS, first=0, patch_length=16, rule=PLAIN)
    rule = ScoreRule(past_weight=0.0, smoothing_weight=0.0, range_weight=0.0)
    found = score_rows(values, quantiles, LEVELS, first=0, patch_length=16, rule=rule)
    assert plain[564:628].mean() < 1.2 * plain[200:500].mean()
    assert found[564:628].mean() > 2 * found[200:500].mean()
    assert found[564:628].min() > np.quantile(found[200:500], 0.95)


def test_the_level_counts_where_it_leaves_the_range_that_levels_had():
    rule = ScoreRule(
        past_weight=0.0,
        smoothing_weight=0.0,
        range_weight=0.0,
        long_smoothing=2,
        long_smoothing_weight=0.0,
        level_weight=3.0,
    )
    # Means of two values: 0, 1, 1, -1, -1, 1 ...: median 1 or -1, half the 80 % range is 1.
    values = np.array([0.0, *([2.0, 0.0, -2.0, 0.0] * 20), 4.0, 4.0])
    quantiles = values[:, None] + bands(len(values))  # no surprise at all
    found = score_rows(values, quantiles, LEVELS, first=0, patch_length=81, rule=rule)
    means = (values[1:] + values[:-1]) / 2
    middle = np.median(np.append(0.0, means[:80]))
    expected = 3 * np.maximum(np.abs(means[80:] - middle) - 1, 0)
    assert expected.min() > 0
    np.testing.assert_allclose(found[81:], expected)
    np.testing.assert_array_equal(found[:81], np.zeros(81))


def test_a_long_mean_is_added_as_the_short_one_is():
    rule = ScoreRule(
        past_weight=0.0,
        smoothing=1,
        smoothing_weight=0.0,
        long_smoothing=3,
        long_smoothing_weight=2.0,
        level_weight=0.0,
    )
    assert score([3.0, 0.0, 0.0, 6.0], bands(4), rule) == [9, 3, 2, 10]


@pytest.mark.parametrize("constant", [0.1, -1e9 / 3, 1e300])
def test_the_level_of_a_constant_has_no_range_whatever_its_rounding(constant):
    values = np.full(400, constant)
    values[[5, 100, 101, 250]] = NAN
    level = trailing_mean(values, 128)
    np.testing.assert_allclose(level[~np.isnan(values)], constant, rtol=1e-12)
    assert not range_excesses(level, 0, 16, 300).any()


def test_values_that_are_missing_do_not_move_the_level():
    generator = np.random.default_rng(1)
    values = generator.normal(0, 1, 600)
    values[400:] += 5.0
    gone = generator.random(600) < 0.3
    found = range_excesses(trailing_mean(np.where(gone, NAN, values), 64), 0, 16, 300)
    assert (found[gone] == 0).all()
    late = ~gone & (np.arange(600) >= 464) & (np.arange(600) < 520)
    assert found[late].min() > np.quantile(found[~gone][:250], 0.9)


def test_own_scores_of_huge_errors_are_capped():
    found = own_scores(np.array([1e300]), np.array([1e-300]), np.array([NAN]), PLAIN)
    assert found.tolist() == [LARGEST_SCORE]
