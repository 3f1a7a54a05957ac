"""The season of a frame's frequency, where what is around a gap cannot say what its season is.

A model that looks for the season of a window needs phases that are seen several times. In two days
of quarters of an hour with a gap of half a day most are seen once, or not at all; what the frame
knows then helps: a day has 96 steps. Where a window holds about two seasons or less, a long gap
moves toward the line through the window less its mean season of that length, which is put back.

Not every series has the season of its stamps. So the window is asked, by its observed values alone:
in a season, values about a season apart are nearer to one another than those half a season apart;
on a random walk they are farther, and without any memory they are as far.
"""

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.imputation.gaps import find_gaps
from tsfm.tasks.imputation.interpolation import linear

# Chosen on held-out sets and sets of the pool: docs/log.md, 2026-11-30.
SHORTEST_SEASON = 12
"""Shorter ones are seen often enough in any window that is worth a season."""
SHORTEST_GAP = 0.4
"""As a share of the season; the model knows shorter gaps better."""
MOST_SEASONS = 2.25
"""Observed steps of a window, in seasons; from more of them the model sees the season itself."""
NO_WEIGHT, FULL_WEIGHT = 0.5, 0.2
"""Distance of values a season apart, over half a season apart: from where to where it counts."""
FULL_SHARE = 0.6
"""Of the way from what the model says to what the season says."""
NEARLY = 1 / 12
"""Lags so near to a season, as a share of it, count as one: of a day that is seen once only its end
and its beginning can be compared."""
FEWEST_PAIRS = 3
TINY = 1e-12


def toward_season(
    correction: Float64[ndarray, "batch time"],
    values: Float64[ndarray, "batch time"],
    observed: Bool[ndarray, "batch time"],
    inside: Bool[ndarray, "batch time"],
    seasonality: int,
) -> Float64[ndarray, "batch time"]:
    """Return by how much every step moves from what a model fills toward the season; mostly 0.

    Parameters
    ----------
    correction
        What the model adds to the line through the gaps, in the units of the values.
    values
        Zero where not observed, on any scale.
    seasonality
        Length of the season in steps, from the frequency alone; 1 for none.

    Examples
    --------
    >>> wave = np.sin(np.arange(48) * np.pi / 12)[None]
    >>> full = np.ones((1, 48), bool)
    >>> gap = full.copy()
    >>> gap[0, 20:32] = False
    >>> move = toward_season(np.zeros((1, 48)), np.where(gap, wave, 0.0), gap, full, 24)
    >>> line = linear(np.where(gap, wave, np.nan))
    >>> bool(np.abs(line + move - wave).sum() < 0.5 * np.abs(line - wave).sum())
    True
    """
    move = np.zeros(values.shape)
    if seasonality < SHORTEST_SEASON:
        return move
    may_move = _hardly_seen(observed, inside, seasonality)
    rows = np.flatnonzero(may_move.any(1))
    if len(rows):
        values, observed = values[rows], observed[rows]
        weight = season_weight(values, observed, seasonality)[:, None]
        away = _season_less_line(values, observed, seasonality) - correction[rows]
        move[rows] = np.where(may_move[rows], weight * away, 0.0)
    return move


def season_weight(
    values: Float64[ndarray, "row time"], observed: Bool[ndarray, "row time"], seasonality: int
) -> Float64[ndarray, " row"]:
    """Return how much the season counts, from 0 to `FULL_SHARE`, by what is observed of every row.

    Examples
    --------
    >>> step = np.arange(48)
    >>> both = np.stack([np.sin(step * np.pi / 12), 0.1 * step])
    >>> season_weight(both, np.ones((2, 48), bool), 24).round(2)
    array([0.58, 0.  ])
    """
    reach = max(1, round(NEARLY * seasonality))
    around = np.arange(seasonality - reach, seasonality + reach + 1)
    between = np.arange(seasonality // 4, 3 * seasonality // 4 + 1, reach)
    near, n_near = _distances(values, observed, around)
    far, _ = _distances(values, observed, between)
    can_tell = (n_near >= FEWEST_PAIRS) & (far > TINY)
    ratio = np.sqrt(near / np.where(can_tell, far, 1.0))
    share = np.clip((NO_WEIGHT - ratio) / (NO_WEIGHT - FULL_WEIGHT), 0.0, 1.0)
    return np.where(can_tell, FULL_SHARE * share, 0.0)


def _distances(
    values: Float64[ndarray, "row time"],
    observed: Bool[ndarray, "row time"],
    lags: Int[ndarray, " lag"],
) -> tuple[Float64[ndarray, " row"], Int[ndarray, " row"]]:
    """Return the mean square of the difference of observed values so far apart, and their count.

    Row by row without frequencies or products of matrices, so that no row depends on its batch.
    """
    total, count = np.zeros(len(values)), np.zeros(len(values), np.int64)
    for lag in lags[lags < values.shape[1]]:
        both = observed[:, lag:] & observed[:, :-lag]
        total += np.where(both, (values[:, lag:] - values[:, :-lag]) ** 2, 0.0).sum(1)
        count += both.sum(1)
    return total / np.maximum(count, 1), count


def _hardly_seen(
    observed: Bool[ndarray, "batch time"], inside: Bool[ndarray, "batch time"], seasonality: int
) -> Bool[ndarray, "batch time"]:
    """Say which steps of long gaps, in windows of few seasons, have a phase that is seen at all."""
    batch, time = observed.shape
    missing = inside & ~observed
    gaps = find_gaps(np.where(missing, np.nan, 0.0).ravel(), np.arange(batch + 1) * time)
    in_long = np.zeros(batch * time, bool)
    in_long[gaps.where(gaps.lengths >= SHORTEST_GAP * seasonality).steps()] = True
    has_few = observed.sum(1, keepdims=True) <= MOST_SEASONS * seasonality
    is_seen = _sums_of_phases(observed.astype(np.float64), seasonality) > 0
    return in_long.reshape(batch, time) & has_few & is_seen


def _season_less_line(
    values: Float64[ndarray, "row time"], observed: Bool[ndarray, "row time"], seasonality: int
) -> Float64[ndarray, "row time"]:
    """Return the mean season less the lines through its gaps, which move it onto their ends."""
    count = _sums_of_phases(observed.astype(np.float64), seasonality)
    season = _sums_of_phases(values, seasonality) / np.maximum(count, 1)
    away: ndarray = season - linear(np.where(observed, season, np.nan))
    return away


def _sums_of_phases(
    x: Float64[ndarray, "row time"], seasonality: int
) -> Float64[ndarray, "row time"]:
    """Return at every step the sum over all steps of its phase."""
    n_rows, time = x.shape
    padded = np.pad(x, ((0, 0), (0, -time % seasonality)))
    sums = padded.reshape(n_rows, -1, seasonality).sum(1)
    return sums[:, np.arange(time) % seasonality]
