"""How channels go together: how far each lies from what the others say of it.

A forecast is made of one channel at a time, and follows a channel that stands still, lags behind or
turns round as long as its own past allows for that. The other channels do not follow. So every
channel is regressed on the others of the same row (ridge, on the rows before the patch), and what
is left is counted in units of what was left in the past. All regressions come from one matrix:
what is left of channel i is ``(P z)_i / P_ii``, where P is the inverse of the shrunk covariance.

References
----------
Ledoit and Wolf (2004) on shrinking; Cox and Wermuth (1996), chapter 3, on the inverse covariance.
"""

from typing import NamedTuple

import numpy as np

from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.scores import FEWEST_FOR_A_RANGE, channel_mean, item_starts, trailing_mean

FEWEST_PER_CHANNEL = 8
"""Rows of the past; with fewer the regressions fit them too well."""
SHRINKAGE = 0.03
FARTHEST = 10.0
"""Deviations from the mean at which a value is cut, so that one outlier moves no regression."""
ROUNDING = 1e-12
"""A spread below this share of the values is that of a constant."""


class Relation(NamedTuple):
    """What the past says about how channels go together.

    Parameters
    ----------
    centre, spread
        Mean and deviation of every channel; the spread is NaN for one that was constant, or that
        was never there.
    covariance
        Of the channels in those units.
    """

    centre: Float64[ndarray, " channel"]
    spread: Float64[ndarray, " channel"]
    covariance: Float64[ndarray, "channel channel"]


def joined_scores(
    scores: Float64[ndarray, "total_time channel"],
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    patch_length: int,
    rule: ScoreRule,
) -> Float64[ndarray, " total_time"]:
    """Return one score per row from those of its channels and from how they go together.

    Parameters
    ----------
    scores, values
        Of items that lie end to end.
    """
    mean = channel_mean(scores)
    if not has_relation(values.shape[1], rule):
        return mean
    is_there = np.where(np.isfinite(values).any(axis=1), 1.0, np.nan)
    distance = np.full(len(values), np.nan)
    for item, first in enumerate(item_starts(is_there, offsets)):
        rows = slice(int(offsets[item]), int(offsets[item + 1]))
        distance[rows] = relation_distances(values[rows], int(first), patch_length, rule)
        distance[rows] = in_a_run(distance[rows], rule)
    return with_relation(mean, distance, rule)


def has_relation(n_channels: int, rule: ScoreRule) -> bool:
    """Say whether the score has this part at all; one channel goes with none."""
    return n_channels > 1 and rule.relation_weight > 0


def relation_distances(
    values: Float64[ndarray, "time channel"], first: int, patch_length: int, rule: ScoreRule
) -> Float64[ndarray, " time"]:
    """Return how unusual the channels of every row are together, given the rows before its patch.

    Parameters
    ----------
    first
        Row of the first value, from which patches are counted.
    """
    distance = np.full(len(values), np.nan)
    for start in range(first + patch_length, len(values), patch_length):
        relation = past_relation(values[max(first, start - rule.range_length) : start])
        rows = slice(start, start + patch_length)
        if relation is not None:
            distance[rows] = row_distance(values[rows], relation)
    return distance


def past_relation(before: Float64[ndarray, "time channel"]) -> Relation | None:
    """Return how the channels went together; None with too few rows to say.

    A value that is missing there counts as the mean of its channel.
    """
    n_rows, n_channels = before.shape
    if n_rows < max(FEWEST_FOR_A_RANGE, FEWEST_PER_CHANNEL * n_channels):
        return None
    known = ~np.isnan(before)
    count = np.maximum(known.sum(axis=0), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = np.where(known, before, 0.0).sum(axis=0) / count
        apart = np.where(known, before - centre, 0.0)
        spread = np.sqrt((apart**2).sum(axis=0) / count)
    moves = (spread > ROUNDING * np.abs(centre)) & np.isfinite(spread)
    spread = np.where(moves, spread, np.nan)
    rows = np.nan_to_num(_in_units(before, centre, spread))
    return Relation(centre, spread, rows.T @ rows / n_rows)


def row_distance(
    values: Float64[ndarray, "step channel"], relation: Relation
) -> Float64[ndarray, " step"]:
    """Return the root mean square of what is left of the channels, in units of the past.

    About 1 for a usual row. A channel that is missing there, or has never moved, neither counts nor
    explains; NaN where that leaves none.

    Examples
    --------
    >>> past = np.random.default_rng(0).normal(size=(500, 1)) * [1.0, 2.0]
    >>> relation = past_relation(past)
    >>> together, apart = row_distance(np.array([[1.0, 2.0], [1.0, -2.0]]), relation)
    >>> bool(apart > 5 * together)
    True
    """
    rows = _in_units(values, relation.centre, relation.spread)
    known, distance = ~np.isnan(rows), np.full(len(rows), np.nan)
    for pattern in np.unique(known, axis=0):
        if pattern.any():
            alike = (known == pattern).all(axis=1)
            left_over = _left_over(relation.covariance[np.ix_(pattern, pattern)])
            distance[alike] = np.sqrt(((rows[alike][:, pattern] @ left_over) ** 2).mean(axis=1))
    return distance


def _left_over(
    covariance: Float64[ndarray, "channel channel"],
) -> Float64[ndarray, "channel channel"]:
    """Return what takes a row to what the other channels do not explain of each, in past units."""
    n_channels = len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.eye(n_channels)
    inverse = np.linalg.inv(shrunk)
    left_over = inverse / np.diag(inverse)
    past = np.sqrt((left_over * (covariance @ left_over)).sum(axis=0))
    return left_over / np.where(past > 0, past, 1.0)


def in_a_run(distance: Float64[ndarray, " time"], rule: ScoreRule) -> Float64[ndarray, " time"]:
    """Return the distances plus a multiple of their trailing mean."""
    mean = trailing_mean(distance, rule.relation_smoothing)
    return distance + rule.relation_smoothing_weight * mean


def with_relation(
    scores: Float64[ndarray, " time"], distance: Float64[ndarray, " time"], rule: ScoreRule
) -> Float64[ndarray, " time"]:
    """Return both parts as one score; NaN where a row has no score of its own.

    Scores of channels have far longer tails than distances, so their logarithm is taken.
    """
    return np.log1p(scores) + rule.relation_weight * np.nan_to_num(distance)


def _in_units(
    values: Float64[ndarray, "time channel"],
    centre: Float64[ndarray, " channel"],
    spread: Float64[ndarray, " channel"],
) -> Float64[ndarray, "time channel"]:
    """Return distances to the centre in spreads; NaN where there is none."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.clip((values - centre) / spread, -FARTHEST, FARTHEST)
