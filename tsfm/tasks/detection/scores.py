"""Scores of rows: how far a row lies from what was forecast for it, in units of the past.

The unit is half the width of the forecast's 80 % interval plus a multiple of the typical error of
the rows before the patch. The interval knows the season and the level; the past error does not
grow with an anomaly that has just begun, while the interval does, since the model sees it. Every
number comes from earlier rows, so no anomaly shrinks its own score.

A surprise weighs more where the value also lies outside of what the series has been: forecasts
follow a new level or a wild stretch within a window, while the range of the past does not.

Forecasts follow a series that has changed its state and stays there, and are surprised no more. Two
slow parts remember it: a long trailing mean of the surprise, and how far the mean of as many values
lies outside of the range that such means had (a moving-average control chart whose limits come from
the past of the series).

References
----------
Montgomery (2009), "Introduction to Statistical Quality Control", chapter 9, on charts of moving
averages.
"""

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.detection.score_rule import ScoreRule

NORMAL = NormalDist()
FEWEST_FOR_A_HABIT = 100
FEWEST_FOR_A_RANGE = 64
RANGE_LEVELS = (0.1, 0.5, 0.9)
FARTHEST = 50.0
"""Half ranges, beyond which a value is not told from one still farther."""
ROUNDING = 1e-12
"""Half a range below this share of the median is that of a constant."""
LARGEST_SCORE = 1e6
"""Of a step away from a series that has been constant, for which there is no unit."""


def score_rows(
    values: Float64[ndarray, " time"],
    quantiles: Float64[ndarray, "time quantile"],
    levels: Sequence[float],
    *,
    first: int,
    patch_length: int,
    rule: ScoreRule,
) -> Float64[ndarray, " time"]:
    """Score the rows of one series; NaN where the value or its forecast is missing.

    Parameters
    ----------
    levels
        Of `quantiles`; without any of them the only quantile is a point forecast.
    first
        Row of the first value, from which patches are counted.

    Examples
    --------
    >>> values, quantiles = np.array([0.0, 0.0, 4.0]), np.array([[-1.0, 0.0, 1.0]] * 3)
    >>> rule = ScoreRule(past_weight=0.0, smoothing_weight=0.0, long_smoothing_weight=0.0)
    >>> score_rows(values, quantiles, (0.1, 0.5, 0.9), first=0, patch_length=1, rule=rule)
    array([0., 0., 4.])
    """
    error, half_width = errors_and_widths(values, quantiles, levels)
    past = past_errors(error, first, patch_length, rule.past_length)
    own = own_scores(error, half_width, past, rule)
    own *= range_factors(values, first, patch_length, rule)
    if rule.habit_level:
        for start in range(first + patch_length, len(own), patch_length)[::-1]:
            # From the end, since a habit is one of scores that were not divided yet.
            before = own[max(first, start - rule.habit_length) : start]
            own[start : start + patch_length] /= 1 + habit(before, rule)
    scores = in_runs(own, rule)
    if rule.level_weight:
        level = trailing_mean(values, rule.long_smoothing)
        excess = range_excesses(level, first, patch_length, rule.range_length)
        scores += rule.level_weight * excess
    return scores


def errors_and_widths(
    values: Float64[ndarray, " time"],
    quantiles: Float64[ndarray, "time quantile"],
    levels: Sequence[float],
) -> tuple[Float64[ndarray, " time"], Float64[ndarray, " time"]]:
    """Return the distance to the median forecast and half the width of the 80 % interval.

    A point forecast has no width: 0. Other outermost levels are brought to 80 % as if errors were
    normal.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(values - quantiles[:, quantiles.shape[1] // 2])
        width = quantiles[:, -1] - quantiles[:, 0]
    if len(levels) < 2:
        return error, 0.0 * error
    return error, width / 2 * (NORMAL.inv_cdf(0.9) / NORMAL.inv_cdf(levels[-1]))


def own_scores(
    error: Float64[ndarray, " time"],
    half_width: Float64[ndarray, " time"],
    past: Float64[ndarray, " time"],
    rule: ScoreRule,
) -> Float64[ndarray, " time"]:
    """Return errors in units of the interval and the past, before any smoothing."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        unit = half_width + rule.past_weight * np.nan_to_num(past)
        scores = np.minimum(error / unit, LARGEST_SCORE)
    return np.where(error == 0, 0.0, scores)


def range_factors(
    values: Float64[ndarray, " time"], first: int, patch_length: int, rule: ScoreRule
) -> Float64[ndarray, " time"]:
    """Return by how much the score of every row is multiplied; see `ScoreRule.range_weight`."""
    if not rule.range_weight:
        return np.ones(len(values))
    return 1 + rule.range_weight * range_excesses(values, first, patch_length, rule.range_length)


def range_excesses(
    values: Float64[ndarray, " time"], first: int, patch_length: int, range_length: int
) -> Float64[ndarray, " time"]:
    """Return how far every value lies outside of the range before its patch; see `range_excess`."""
    excesses = np.zeros(len(values))
    for start in range(first + patch_length, len(values), patch_length):
        before = values[max(first, start - range_length) : start]
        patch = slice(start, start + patch_length)
        excesses[patch] = range_excess(values[patch], past_range(before))
    return excesses


def past_range(before: Float64[ndarray, " time"]) -> Float64[ndarray, " 2"]:
    """Return the median and half the 80 % range of earlier values; NaN with too few of them."""
    known = before[~np.isnan(before)]
    if len(known) < FEWEST_FOR_A_RANGE:
        return np.full(2, np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        low, middle, high = np.quantile(known, RANGE_LEVELS)
        return np.array([middle, (high - low) / 2])


def range_excess(
    values: Float64[ndarray, " step"], past: Float64[ndarray, " 2"]
) -> Float64[ndarray, " step"]:
    """Return the distance to the median beyond half a range, in half ranges; 0 where none is known.

    Examples
    --------
    >>> range_excess(np.array([1.0, 6.0, -3.0]), np.array([2.0, 2.0]))
    array([0. , 1. , 1.5])
    """
    middle, half_range = past
    if not ROUNDING * abs(middle) < half_range < np.inf:
        return np.zeros(len(values))
    with np.errstate(over="ignore"):
        distance = np.minimum(np.abs(values - middle) / half_range, FARTHEST)
    return np.maximum(np.nan_to_num(distance, nan=1.0) - 1, 0)


def habit(before: Float64[ndarray, " time"], rule: ScoreRule) -> float:
    """Return the quantile of earlier scores that counts as usual; 0 where there are too few."""
    known = before[~np.isnan(before)]
    enough = rule.habit_level > 0 and len(known) >= FEWEST_FOR_A_HABIT
    return float(np.quantile(known, rule.habit_level)) if enough else 0.0


def past_errors(
    errors: Float64[ndarray, " time"], first: int, patch_length: int, past_length: int
) -> Float64[ndarray, " time"]:
    """Return for every patch the typical error of the steps before it; see `past_error`."""
    found = np.full(len(errors), np.nan)
    for start in range(first + patch_length, len(errors), patch_length):
        past = errors[max(first, start - past_length) : start]
        found[start : start + patch_length] = past_error(past, patch_length)
    return found


def past_error(errors: Float64[ndarray, " time"], n_least: int) -> Float64[ndarray, " one"]:
    """Return the median of the errors that are there; NaN with fewer than `n_least`."""
    errors = errors[~np.isnan(errors)]
    return np.array([np.median(errors) if len(errors) >= n_least else np.nan])


def in_runs(own: Float64[ndarray, " time"], rule: ScoreRule) -> Float64[ndarray, " time"]:
    """Return scores plus multiples of their trailing means, so that runs of surprises count."""
    short = rule.smoothing_weight * trailing_mean(own, rule.smoothing)
    long = rule.long_smoothing_weight * trailing_mean(own, rule.long_smoothing)
    return own + short + long


def trailing_mean(values: Float64[ndarray, " time"], n_steps: int) -> Float64[ndarray, " time"]:
    """Return the mean of a row's value and those of the steps before it; missing ones are skipped.

    Examples
    --------
    >>> trailing_mean(np.array([np.nan, 2.0, 4.0, 6.0]), 2)
    array([nan,  2.,  3.,  5.])
    """
    if not len(values):
        return values
    known, window = ~np.isnan(values), np.ones(n_steps)
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.convolve(np.where(known, values, 0.0), window)[: len(values)]
        mean = total / np.maximum(np.convolve(known, window)[: len(values)], 1)
    return np.where(known, mean, np.nan)


def channel_mean(scores: Float64[ndarray, "time channel"]) -> Float64[ndarray, " time"]:
    """Return one score per row: the mean over the channels that have one."""
    count = (~np.isnan(scores)).sum(1)
    mean = np.nansum(scores, axis=1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def item_starts(
    values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"]
) -> Int[ndarray, " item"]:
    """Return the step of the first value of every item, counted from its own first step."""
    observed = np.append(np.flatnonzero(np.isfinite(values)), len(values))
    starts = np.minimum(observed[np.searchsorted(observed, offsets[:-1])], offsets[1:])
    return starts - offsets[:-1]
