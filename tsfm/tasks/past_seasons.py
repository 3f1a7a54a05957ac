"""What a series had at the same phase of its past seasons, as quantiles.

Where a season is strong but noisy (radiation, load, traffic), the last two weeks say how a coming
day may look; beyond the reach of a network's head they say it better than the network does. How
much of the variance a season explains is asked of the context alone, every season by the others.
"""

from typing import NamedTuple

import numpy as np
from einops import rearrange

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.season import PERIODS

FEWEST_SEASONS, MOST_SEASONS = 5, 14
SMALLEST_VARIANCE = 1e-20


class PastSeasons(NamedTuple):
    """The season of every row that explains most, and the quantiles of its phases.

    Parameters
    ----------
    share
        Of the variance that the other seasons explain, from 0 (there is no season) to 1.
    quantiles
        Of the steps after the context; zero where there is no season.
    """

    share: Float64[ndarray, " batch"]
    quantiles: Float64[ndarray, "batch quantile horizon"]


def past_seasons(
    values: Float64[ndarray, "batch time"],
    observed: Bool[ndarray, "batch time"],
    horizon: int,
    levels: Float64[ndarray, " quantile"],
) -> PastSeasons:
    """Return the past seasons of every row.

    Examples
    --------
    >>> wave = np.tile([1.0, 2.0, 4.0, 3.0], (1, 9))
    >>> found = past_seasons(wave, np.ones_like(wave, bool), 5, np.array([0.1, 0.5]))
    >>> found.share.tolist(), found.quantiles[0, 1].tolist()
    ([1.0], [1.0, 2.0, 4.0, 3.0, 1.0])
    """
    batch, time = values.shape
    share, period = np.zeros(batch), np.ones(batch, int)
    for one in (one for one in PERIODS if FEWEST_SEASONS * one <= time):
        explained = _explained(*_seasons(values, observed, one))
        better = explained > share
        share[better], period[better] = explained[better], one
    quantiles = np.zeros((batch, len(levels), horizon))
    for one in np.unique(period[share > 0]):
        rows = np.flatnonzero((period == one) & (share > 0))
        of_phase = _quantiles(*_seasons(values[rows], observed[rows], int(one)), levels)
        quantiles[rows] = of_phase[:, :, np.arange(horizon) % one]
    return PastSeasons(share, quantiles)


def _seasons(
    values: Float64[ndarray, "row time"], observed: Bool[ndarray, "row time"], period: int
) -> tuple[Float64[ndarray, "row season phase"], Bool[ndarray, "row season phase"]]:
    count = min(values.shape[1] // period, MOST_SEASONS)
    cut = "row (season phase) -> row season phase"
    return (
        rearrange(values[:, -count * period :], cut, phase=period),
        rearrange(observed[:, -count * period :], cut, phase=period),
    )


def _explained(
    values: Float64[ndarray, "row season phase"], observed: Bool[ndarray, "row season phase"]
) -> Float64[ndarray, " row"]:
    """Return the share of the variance that the mean of the other seasons explains."""
    count = observed.sum(1, keepdims=True)
    known = np.where(observed, values, 0.0)
    others = (known.sum(1, keepdims=True) - known) / np.maximum(count - 1, 1)
    usable = observed & (count >= FEWEST_SEASONS)
    n_usable = np.maximum(usable.sum((1, 2)), 1)

    def variance(x: ndarray) -> ndarray:
        mean = (x * usable).sum((1, 2)) / n_usable
        found: ndarray = ((x - mean[:, None, None]) ** 2 * usable).sum((1, 2)) / n_usable
        return found

    total = variance(known)
    is_flat = total <= SMALLEST_VARIANCE
    left = variance(known - others) / np.where(is_flat, 1.0, total)
    # Half of the phases must be known that well.
    is_known = 2 * (count >= FEWEST_SEASONS).sum((1, 2)) >= values.shape[2]
    return np.where(is_flat | ~is_known, 0.0, 1 - left)


def _quantiles(
    values: Float64[ndarray, "row season phase"],
    observed: Bool[ndarray, "row season phase"],
    levels: Float64[ndarray, " quantile"],
) -> Float64[ndarray, "row quantile phase"]:
    """Return the quantiles of what is observed of each phase; of all phases where nothing is."""
    ordered = np.sort(np.where(observed, values, np.inf), 1)
    count = observed.sum(1)
    place = levels[None, :, None] * (np.maximum(count, 1) - 1)[:, None]
    below = place.astype(int)
    above = np.minimum(below + 1, np.maximum(count, 1)[:, None] - 1)
    low, high = _at(ordered, below), _at(ordered, above)
    with np.errstate(invalid="ignore"):
        found = low + (place - below) * (high - low)
    overall = np.nanquantile(np.where(observed, values, np.nan), levels, axis=(1, 2)).T
    return np.where(count[:, None] > 0, found, overall[:, :, None])


def _at(
    ordered: Float64[ndarray, "row season phase"], place: Int[ndarray, "row quantile phase"]
) -> Float64[ndarray, "row quantile phase"]:
    found: ndarray = np.take_along_axis(ordered, place, 1)
    return found
