"""Series that tell the same again: revised, rounded otherwise, in logarithms, at another rate.

Hashes of windows (`overlap`) find exact copies, fast. Here changes are correlated, which costs a
product of matrices and is meant for slow series: months, quarters, years.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tsfm.shapes import Float32, Float64, Int, ndarray

STEPS = 36
"""Changes of a window."""
CANDIDATE = 0.96
"""Correlation of two windows of changes from which on the two series are looked at whole."""
LEAST = 0.9
"""Lowest of three correlations that a near copy has: see `likeness`."""
SHORTEST = 48
"""Steps that both must have in common."""
SEASON = 12
"""Steps of a season of months; three of quarters."""
RATES = (1, 3, 4, 12)
"""Steps of the finer series whose mean is one of the coarser."""
BLOCK = 1024


@dataclass(frozen=True)
class NamedSeries:
    """A series of a set."""

    dataset: str
    item_id: str
    values: Float64[ndarray, " time"]


@dataclass(frozen=True)
class NearCopy:
    """Two series that tell the same.

    Parameters
    ----------
    rate
        Steps of the training series whose mean is a step of the benchmark; below one the other way
        round.
    likeness
        The lowest of the three correlations.
    n_steps
        That both have in common.
    """

    benchmark: str
    item_id: str
    training: str
    training_item_id: str
    rate: float
    likeness: float
    n_steps: int


def near_copies(
    benchmarks: Sequence[NamedSeries], training: Iterable[NamedSeries]
) -> list[NearCopy]:
    """Return which series of benchmarks a training series tells again, the likest first.

    Parameters
    ----------
    benchmarks, training
        Series, NaN where missing. Levels and scales do not count, their signs do.

    Examples
    --------
    >>> walk = np.random.default_rng(0).normal(size=1200).cumsum()
    >>> yearly = NamedSeries("benchmark", "a", walk.reshape(100, 12).mean(1).round(1))
    >>> (found,) = near_copies([yearly], [NamedSeries("pool", "b", walk)])
    >>> found.training_item_id, found.rate, found.likeness > 0.9
    ('b', 12.0, True)
    """
    coarse = [_Side(benchmarks, rate) for rate in RATES]
    best: dict[tuple[str, ...], NearCopy] = {}
    for series in training:
        for rate in RATES:
            # Two series that are both coarser than given would be one pair at many rates.
            for found in _found(series, rate, coarse if rate == 1 else coarse[:1]):
                key = (found.benchmark, found.item_id, found.training, found.training_item_id)
                if key not in best or best[key].likeness < found.likeness:
                    best[key] = found
    return sorted(best.values(), key=lambda found: -found.likeness)


class _Side:
    """Benchmarks at one rate, and some windows of their changes."""

    def __init__(self, series: Sequence[NamedSeries], rate: int) -> None:
        self.rate = rate
        self.parts = [
            (one, part)
            for one in series
            for part in coarser(one.values, rate)
            if len(part) >= SHORTEST
        ]
        found = [windows_of_changes(part) for _, part in self.parts]
        # Every window of the other side is looked at, so few of these do.
        kept = [start % (STEPS // 2) == 0 for _, start in found]
        empty = np.zeros((0, STEPS), np.float32)
        self.windows = np.concatenate(
            [empty, *(w[k] for (w, _), k in zip(found, kept, strict=True))]
        )
        self.start = np.concatenate(
            [np.zeros(0, np.int64), *(s[k] for (_, s), k in zip(found, kept, strict=True))]
        )
        self.owner = np.repeat(np.arange(len(kept)), [int(k.sum()) for k in kept])


def coarser(values: Float64[ndarray, " time"], rate: int) -> Iterator[Float64[ndarray, " step"]]:
    """Yield the means of every `rate` steps, from each step that a mean can begin at."""
    for start in range(rate):
        n_steps = (len(values) - start) // rate
        yield values[start : start + n_steps * rate].reshape(n_steps, rate).mean(1)


def windows_of_changes(
    values: Float64[ndarray, " time"],
) -> tuple[Float32[ndarray, "window step"], Int[ndarray, " window"]]:
    """Return windows of changes with mean zero and length one, and where each starts.

    Windows with a missing value, that hardly move, or that are a few jumps, are left out: any two
    of these are alike.
    """
    if len(values) <= STEPS:
        return np.zeros((0, STEPS), np.float32), np.zeros(0, np.int64)
    found = sliding_window_view(np.diff(values), STEPS)
    centred = found - found.mean(1, keepdims=True)
    power = np.sort(centred**2, axis=1)
    total = power.sum(1)
    says = np.isfinite(total) & (total > 0) & ((found != 0).mean(1) > 0.6)
    says &= power[:, -3:].sum(1) < 0.6 * total
    length = np.sqrt(total[says])[:, None]
    return (centred[says] / length).astype(np.float32), np.flatnonzero(says)


def likeness(one: Float64[ndarray, " time"], other: Float64[ndarray, " time"]) -> float:
    """Return the lowest correlation of changes, their changes, and changes since a year before.

    Smooth trends are alike in their changes only, seasons in all but the last. NaN where both know
    too few of the same steps.
    """
    first, second = np.diff(one), np.diff(other)
    found = [
        _correlation(first, second),
        _correlation(np.diff(first), np.diff(second)),
        _correlation(first[SEASON:] - first[:-SEASON], second[SEASON:] - second[:-SEASON]),
    ]
    return float(np.min(found))


def _found(series: NamedSeries, rate: int, sides: Sequence[_Side]) -> Iterator[NearCopy]:
    for part in coarser(series.values, rate):
        if len(part) < SHORTEST:
            continue
        windows, starts = windows_of_changes(part)
        for side in sides:
            shifts = {
                (int(side.owner[column]), int(starts[row] - side.start[column]))
                for row, column in _alike(windows, side.windows)
            }
            for owner, shift in sorted(shifts):
                benchmark, values = side.parts[owner]
                mine, its = part[max(shift, 0) :], values[max(-shift, 0) :]
                n_steps = min(len(mine), len(its))
                like = likeness(mine[:n_steps], its[:n_steps]) if n_steps >= SHORTEST else 0.0
                if like >= LEAST:
                    names = benchmark.dataset, benchmark.item_id, series.dataset, series.item_id
                    yield NearCopy(*names, rate / side.rate, like, n_steps)


def _alike(
    one: Float32[ndarray, "window step"], other: Float32[ndarray, "other_window step"]
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of windows with a correlation of `CANDIDATE` or more."""
    for row in range(0, len(one), BLOCK):
        for column in range(0, len(other), BLOCK):
            product = one[row : row + BLOCK] @ other[column : column + BLOCK].T
            if product.size and product.max() >= CANDIDATE:
                for i, j in np.argwhere(product >= CANDIDATE):
                    yield row + int(i), column + int(j)


def _correlation(one: Float64[ndarray, " step"], other: Float64[ndarray, " step"]) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    if known.sum() < SHORTEST // 2:
        return float("nan")
    one, other = one[known] - one[known].mean(), other[known] - other[known].mean()
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else float("nan")
