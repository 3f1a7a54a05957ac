"""What a series had at the same phase of its past seasons, as quantiles.

Where a season is strong but noisy (radiation, load, traffic), the last two weeks say how a coming
day may look; beyond the reach of a network's head they say it better than the network does. How
much of the variance a season explains is asked of the context alone, every season by the others.
Where none of the common ones explains much, as in steps of opening hours, the lag is asked at which
the series agrees best with itself.
"""

from typing import NamedTuple

import numpy as np
from einops import rearrange

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.forecasting.season import PERIODS

FEWEST_SEASONS, MOST_SEASONS = 5, 14
SMALLEST_VARIANCE = 1e-20
# By so much of the variance must a season be better that is none of the common ones: among so many
# lags one always explains a little. Chosen on sets that `tsfm-small` is not trained on.
PREFER_COMMON = 0.4
SHORTEST_LAG = 4
# Pairs of values that a lag must have to count, as a share of the row's steps; and how much better
# the multiple of a lag must agree than the lag itself.
FEWEST_PAIRS, PREFER_SHORT = 0.05, 0.3


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
    _find_uncommon(values, observed, share, period)
    quantiles = np.zeros((batch, len(levels), horizon))
    for one in np.unique(period[share > 0]):
        rows = np.flatnonzero((period == one) & (share > 0))
        of_phase = _quantiles(*_seasons(values[rows], observed[rows], int(one)), levels)
        quantiles[rows] = of_phase[:, :, np.arange(horizon) % one]
    return PastSeasons(share, quantiles)


def _find_uncommon(
    values: Float64[ndarray, "batch time"],
    observed: Bool[ndarray, "batch time"],
    share: Float64[ndarray, " batch"],
    period: Int[ndarray, " batch"],
) -> None:
    """Put the lag of the best correlation where it explains much more than the common seasons."""
    rows = np.flatnonzero(share < 1 - PREFER_COMMON)
    lag = _best_lag(values[rows], observed[rows])
    for one in np.unique(lag[lag > 0]):
        same = rows[lag == one]
        explained = _explained(*_seasons(values[same], observed[same], int(one)))
        better = explained > share[same] + PREFER_COMMON
        share[same[better]], period[same[better]] = explained[better], one


def _best_lag(
    values: Float64[ndarray, "row time"], observed: Bool[ndarray, "row time"]
) -> Int[ndarray, " row"]:
    """Return the best peak of the autocorrelation among lags that fit in often enough; 0 for none.

    What lies before the first value of a row has no say: rows of a batch differ in length.
    """
    time = values.shape[1]
    most = time // FEWEST_SEASONS
    if most < SHORTEST_LAG or not len(values):
        return np.zeros(len(values), int)
    n_steps = (time - observed.argmax(1))[:, None]
    count = np.maximum(observed.sum(1, keepdims=True), 1)
    mean = np.where(observed, values, 0.0).sum(1, keepdims=True) / count
    centred = np.where(observed, values - mean, 0.0)
    pairs = _pair_sums(observed.astype(np.float64), most + 1)
    agreed = _pair_sums(centred, most + 1) / np.maximum(pairs, 1)
    variance = np.maximum((centred**2).sum(1, keepdims=True) / count, SMALLEST_VARIANCE)
    correlation = np.where(pairs > FEWEST_PAIRS * n_steps, agreed / variance, 0.0)
    before, here, after = correlation[:, :-2], correlation[:, 1:-1], correlation[:, 2:]
    lag = np.arange(1, most + 1)
    fits = (lag >= SHORTEST_LAG) & (FEWEST_SEASONS * lag <= n_steps)
    is_peak = (here > before) & (here >= after) & (here > 0) & fits
    score = np.where(is_peak, here - PREFER_SHORT * lag / n_steps, -1.0)
    return np.where(score.max(1) > -1, lag[score.argmax(1)], 0)


def _pair_sums(x: Float64[ndarray, "row time"], most: int) -> Float64[ndarray, "row lag"]:
    """Return the sums of products of values a lag apart, for lags from 0 on, by frequencies."""
    size = 2 * x.shape[1]
    frequencies = np.fft.rfft(x, n=size, axis=1)
    sums: ndarray = np.fft.irfft(frequencies * frequencies.conj(), n=size, axis=1)
    return sums[:, : most + 1]


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
