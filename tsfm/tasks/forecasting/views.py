"""Views of a context: what a network reads beside a series as it is.

A season that hardly changes is taken out first (see `season`). Beyond the reach of the
network's head, steps are forecast across steps that are not known; there a series read at a lower
rate, of which they are few, knows the level better, and how far it may stray. Last, what past
seasons had at the same phase has a say (`tsfm.tasks.forecasting.past_seasons`).
"""

from collections.abc import Callable, Sequence

import numpy as np
from einops import reduce, repeat

from tsfm.shapes import Float64, ndarray
from tsfm.tasks.forecasting.contexts import Contexts
from tsfm.tasks.forecasting.past_seasons import past_seasons
from tsfm.tasks.forecasting.season import find_season

Read = Callable[[Contexts, int], Float64[ndarray, "batch quantile horizon"]]
"""Contexts and horizon -> quantiles that do not cross, in the scale of the contexts."""

# Chosen on the sets that the recipe of tsfm-small leaves out and on sets of its pool.
COARSE_STEPS, COARSE_LEVEL_SHARE, COARSE_SPREAD_SHARE = 4, 0.6, 0.4
FEWEST_COARSE_PATCHES, MOST_COARSE = 2, 2
# Of past seasons that explain all of each other.
PAST_SHARE = 0.4
TINY = 1e-12


def apart_from_season(read: Read) -> Read:
    """Read as it is, without the season, or both, as the weight of the season says."""

    def apart(batch: Contexts, horizon: int) -> Float64[ndarray, "batch quantile horizon"]:
        season = find_season(batch.values, batch.observed, batch.inside, horizon)
        weight = season.weight[:, None, None]
        if not weight.any():
            return read(batch, horizon)
        rest = np.where(batch.observed, batch.values - season.context, 0.0)
        views = (
            (np.flatnonzero(season.weight < 1), batch.values, 1 - weight),
            (np.flatnonzero(season.weight > 0), rest, weight),
        )
        parts = [view for view in views if len(view[0])]
        found = []
        for rows, values, share in parts:
            part = Contexts(*(field[rows] for field in batch._replace(values=values)))
            found.append((rows, share[rows] * read(part, horizon)))
        forecast = weight * season.future[:, None] + np.zeros((1, found[0][1].shape[1], 1))
        for rows, quantiles in found:
            forecast[rows] += quantiles
        return forecast

    return apart


def n_coarse_views(horizon: int, reach: int) -> int:
    """Return how many times the rate is lowered until the horizon is within reach, at most twice.

    Examples
    --------
    >>> [n_coarse_views(horizon, 64) for horizon in (64, 65, 256, 257, 9999)]
    [0, 1, 1, 2, 2]
    """
    views = 0
    while horizon > reach and views < MOST_COARSE:
        horizon, views = -(-horizon // COARSE_STEPS), views + 1
    return views


def with_coarse_level(read: Read, *, reach: int, patch_length: int, context_length: int) -> Read:
    """Beyond `reach`, move level and spread of each few steps toward what the coarse series says.

    The coarse series is itself read so where its own horizon is beyond reach.

    Parameters
    ----------
    context_length
        Steps of a context that are read as they are; the coarse views read all that there are.
    """

    def levelled(
        batch: Contexts, horizon: int, views: int | None = None
    ) -> Float64[ndarray, "batch quantile horizon"]:
        views = n_coarse_views(horizon, reach) if views is None else views
        coarse = at_lower_rate(batch, COARSE_STEPS, patch_length) if views else batch
        batch = _last_steps(batch, -(-context_length // patch_length) * patch_length)
        if not views or coarse.values.shape[1] < FEWEST_COARSE_PATCHES * patch_length:
            return read(batch, horizon)
        n_coarse = -(-horizon // COARSE_STEPS)
        fine = read(batch, n_coarse * COARSE_STEPS)
        middle = fine.shape[1] // 2
        level = reduce(fine[:, middle], "row (block step) -> row block", "mean", step=COARSE_STEPS)
        of_coarse = levelled(coarse, n_coarse, views - 1)
        move = COARSE_LEVEL_SHARE * (of_coarse[:, middle] - level)
        median = fine[:, [middle]] + repeat(
            move, "row block -> row 1 (block step)", step=COARSE_STEPS
        )
        away = repeat(
            of_coarse - of_coarse[:, [middle]],
            "row quantile block -> row quantile (block step)",
            step=COARSE_STEPS,
        )
        spread = fine - fine[:, [middle]]
        moved = median + spread + COARSE_SPREAD_SHARE * (away - spread)
        return np.concatenate([fine[:, :, :reach], moved[:, :, reach:horizon]], 2)

    return levelled


def with_past_seasons(read: Read, *, levels: Sequence[float]) -> Read:
    """Move quantiles toward those of past seasons.

    Their weight grows with the share of the context that a season explains. Where a forecast is
    narrower than its past seasons are, as on a trend, it knows more than they do, and their weight
    falls with the ratio of the variances.

    Parameters
    ----------
    levels
        Of the quantiles that `read` returns.
    """

    def seasoned(batch: Contexts, horizon: int) -> Float64[ndarray, "batch quantile horizon"]:
        forecast = read(batch, horizon)
        known = batch.observed & batch.inside
        past = past_seasons(batch.values, known, horizon, np.asarray(levels))
        narrower = np.minimum(_width(forecast) / np.maximum(_width(past.quantiles), TINY), 1)
        weight = PAST_SHARE * (past.share**2)[:, None, None] * narrower**2
        return forecast + weight * (past.quantiles - forecast)

    return seasoned


def _width(quantiles: Float64[ndarray, "batch quantile horizon"]) -> ndarray:
    return quantiles[:, [-1]] - quantiles[:, [0]]


def _last_steps(batch: Contexts, n_steps: int) -> Contexts:
    start = max(0, batch.values.shape[1] - n_steps)
    parts = (batch.values, batch.observed, batch.inside)
    values, observed, inside = (part[:, start:] for part in parts)
    return batch._replace(values=values, observed=observed, inside=inside)


def at_lower_rate(batch: Contexts, steps: int, patch_length: int) -> Contexts:
    """Return the means of so many observed steps, counted from the end, in whole patches."""
    time = batch.values.shape[1]
    unit = steps * patch_length
    wide = ((0, 0), (-time % unit, 0))
    inside = np.pad(batch.inside, wide)
    observed = np.pad(batch.observed, wide)
    values = np.pad(batch.values, wide)
    blocks = "row (block step) -> row block"
    count = reduce(observed.astype(np.float64), blocks, "sum", step=steps)
    total = reduce(np.where(observed, values, 0.0), blocks, "sum", step=steps)
    return batch._replace(
        values=total / np.maximum(count, 1),
        observed=count > 0,
        inside=reduce(inside, blocks, "max", step=steps),
    )
