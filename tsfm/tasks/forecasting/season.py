"""A season that repeats almost exactly is taken out before a model reads, and put back after.

A decoder over patches continues a noiseless season with some error, and a wave on a steep trend
with more. Where each season of a context is foretold by those before it, up to a few percent of its
variance, a classical decomposition knows better, and the model is left with what remains: level,
trend and noise. How well the past seasons foretold the next one decides, from the context alone.
"""

from typing import NamedTuple

import numpy as np

from tsfm.shapes import Bool, Float64, ndarray

# Common seasons, in steps: of quarters, months, weeks, hours, minutes and business days.
PERIODS = (4, 6, 7, 12, 13, 24, 26, 48, 52, 60, 96, 144, 168, 288, 336, 365, 672)
FEWEST_SEASONS, MOST_SEASONS = 3, 8
# Share of variance foretold from which on the decomposition gains weight, up to all at 1.
# Chosen on the sets that the recipe of tsfm-small leaves out: benchmarks/peers/side_by_side.py.
NO_WEIGHT = 0.9
SMALLEST_VARIANCE = 1e-20


class Season(NamedTuple):
    """The season of every row, over the context and over the steps after it.

    Parameters
    ----------
    weight
        From 0 (leave the row as it is) to 1.
    """

    weight: Float64[ndarray, " batch"]
    context: Float64[ndarray, "batch time"]
    future: Float64[ndarray, "batch horizon"]


def find_season(
    values: Float64[ndarray, "batch time"],
    observed: Bool[ndarray, "batch time"],
    inside: Bool[ndarray, "batch time"],
    horizon: int,
) -> Season:
    """Return the best foretold season of every row; rows may differ in length, on the left.

    Parameters
    ----------
    values
        Zero where not observed, on any scale.

    Examples
    --------
    >>> step = np.arange(60)
    >>> wave = (step % 12 == 0) + 0.1 * step
    >>> full = np.ones((1, 60), bool)
    >>> found = find_season(wave[None], full, full, 13)
    >>> found.weight.tolist(), int(found.future[0].argmax())
    ([1.0], 0)
    """
    batch, time = values.shape
    season = Season(np.zeros(batch), np.zeros((batch, time)), np.zeros((batch, horizon)))
    lengths = inside.sum(1)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        _of_one_length(season, rows, _bridged(values[rows], observed[rows])[:, time - length :])
    return season


def _of_one_length(season: Season, rows: ndarray, values: Float64[ndarray, "row time"]) -> None:
    time, horizon = season.context.shape[1], season.future.shape[1]
    length = values.shape[1]
    best = np.full(len(rows), NO_WEIGHT)
    for period in (one for one in PERIODS if FEWEST_SEASONS * one <= length):
        foretold, profile = _decomposed(values, period)
        better = np.flatnonzero(foretold > best)
        best[better] = foretold[better]
        if len(better):
            chosen = rows[better]
            back = np.arange(-length, 0) % period
            season.context[chosen, time - length :] = profile[better][:, back]
            season.future[chosen] = profile[better][:, np.arange(horizon) % period]
    season.weight[rows] = (best - NO_WEIGHT) / (1 - NO_WEIGHT)


def _decomposed(
    values: Float64[ndarray, "row time"], period: int
) -> tuple[Float64[ndarray, " row"], Float64[ndarray, "row period"]]:
    """Return how well the mean of earlier seasons foretold each, and the mean of the last ones."""
    count = min(values.shape[1] // period, MOST_SEASONS)
    away = (values - _level(values, period))[:, -count * period :]
    seasons = away.reshape(len(values), count, period)
    seasons = seasons - seasons.mean(2, keepdims=True)
    before = np.cumsum(seasons, 1)[:, :-1] / np.arange(1, count)[:, None]
    error = ((seasons[:, 1:] - before) ** 2).reshape(len(values), -1).sum(1)
    variance = (seasons[:, 1:] ** 2).reshape(len(values), -1).sum(1)
    is_flat = variance <= SMALLEST_VARIANCE
    foretold = np.where(is_flat, 0.0, 1 - error / np.where(is_flat, 1.0, variance))
    return foretold, seasons.mean(1)


def _level(values: Float64[ndarray, "row time"], period: int) -> Float64[ndarray, "row time"]:
    """Return the moving average over one season, with its own slope beyond its ends."""
    total = np.cumsum(values, 1)
    total = np.concatenate([np.zeros((len(values), 1)), total], 1)
    if period % 2:
        level = (total[:, period:] - total[:, :-period]) / period
    else:  # The first and the last step of a window count half.
        window = total[:, period + 1 :] - total[:, : -period - 1]
        level = (window - 0.5 * (values[:, :-period] + values[:, period:])) / period
    span = max(1, min(period, level.shape[1] - 1))
    step = np.arange(1, period // 2 + 1)
    slopes = (level[:, [span]] - level[:, [0]], level[:, [-1]] - level[:, [-1 - span]])
    left = level[:, :1] - slopes[0] / span * step[::-1]
    right = level[:, -1:] + slopes[1] / span * step
    return np.concatenate([left, level, right], 1)


def _bridged(
    values: Float64[ndarray, "row time"], observed: Bool[ndarray, "row time"]
) -> Float64[ndarray, "row time"]:
    """Fill gaps by lines; rows without one are as they were."""
    gappy = np.flatnonzero(~observed.all(1) & observed.any(1))
    if len(gappy):
        values = values.copy()
        step = np.arange(values.shape[1])
        for row in gappy:
            known = observed[row]
            values[row] = np.interp(step, step[known], values[row, known])
    return values
