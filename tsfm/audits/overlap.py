"""Windows that two collections of series share, however they are shifted or scaled.

A window is known by its steps: each is divided by the usual size of the steps just before it,
rounded, and all of them are hashed. Level and scale, the sign of the scale included, drop out;
nothing of a series but its values counts. A copy is found at any offset. A copy at another rate, or
with noise of more than some percent of its steps, is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray

SCALE_STEPS = 16
"""Steps whose root mean square is the unit of the last of them; a power of two."""
CODES = 32
"""Steps that are hashed; a power of two."""
WINDOW = SCALE_STEPS + CODES
"""Values of a window."""
UNIT = 1 / 8
"""Steps are rounded to eighths of their usual size: in quarters, clean seasons are all alike."""
MOST = 31
"""Larger codes are cut, at four times the usual size, so that all of them are bits of a number."""
DISTINCT = 8
"""A window needs so many different codes, and half of its steps must move: what is constant, mostly
idle or a ramp is like any other."""
FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that it has an inverse among 64-bit numbers."""
TABLE_BITS = 24


def window_hashes(
    values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"]
) -> tuple[ndarray, Bool[ndarray, " window"]]:
    """Return the hash of the window that starts at every value, and whether it says anything.

    A window that reaches into the next series, has a missing value, or has too few different
    steps says nothing.

    Parameters
    ----------
    values
        Series that lie end to end, NaN where missing.

    Examples
    --------
    >>> walk = np.random.default_rng(0).normal(size=100).cumsum()
    >>> one, _ = window_hashes(walk, np.array([0, 100]))
    >>> other, _ = window_hashes(5 - 0.3 * walk[20:], np.array([0, 80]))
    >>> len(one), bool((one[20:] == other).all())
    (53, True)
    """
    n_windows = len(values) - WINDOW + 1
    if n_windows < 1:
        return np.zeros(0, np.uint64), np.zeros(0, bool)
    with np.errstate(all="ignore"):
        steps = np.diff(values)
        steps[offsets[1:-1][(offsets[1:-1] > 0) & (offsets[1:-1] < len(values))] - 1] = np.nan
        usual = np.sqrt(_rolling(np.add, steps * steps, SCALE_STEPS) / SCALE_STEPS)
        ratio = steps[SCALE_STEPS - 1 :] / (usual * UNIT)
    # Nothing moves at all: a code of its own, but no missing value.
    ratio[usual == 0] = 0.0
    is_known = np.isfinite(ratio)
    code = np.clip(np.rint(np.where(is_known, ratio, 0)), -MOST, MOST).astype(np.int64)
    says = _counts(~is_known) == 0
    says &= 2 * _counts(code != 0) >= CODES
    seen = _rolling(np.bitwise_or, np.uint64(1) << (code + MOST).astype(np.uint64), CODES)
    for _ in range(DISTINCT - 1):  # takes one code away
        seen &= seen - (seen > 0).astype(np.uint64)
    return _hashes(code.view(np.uint64)), says & (seen > 0)


def _counts(is_so: Bool[ndarray, " step"]) -> Int[ndarray, " window"]:
    total = np.concatenate([[0], np.cumsum(is_so)])
    counts: Int[ndarray, " window"] = total[CODES:] - total[:-CODES]
    return counts


def _rolling(operation: np.ufunc, values: ndarray, length: int) -> ndarray:
    """Combine `length` neighbours by doubling; running sums would keep the rounding of giants."""
    reach = 1
    while reach < length:
        values = operation(values[:-reach], values[reach:])
        reach *= 2
    return values


def _hashes(code: ndarray) -> ndarray:
    """Return sums of code times a power of the factor, all modulo 2^64, the same for both signs."""
    inverse = np.uint64(pow(int(FACTOR), -1, 1 << 64))
    power, back = (
        np.cumprod(np.concatenate([[np.uint64(1)], np.full(len(code), base)]), dtype=np.uint64)
        for base in (FACTOR, inverse)
    )
    total = np.concatenate([[np.uint64(0)], np.cumsum(code * power[:-1], dtype=np.uint64)])
    hashes = (total[CODES:] - total[:-CODES]) * back[: len(code) - CODES + 1]
    found: ndarray = np.minimum(hashes, np.uint64(0) - hashes)
    return found


@dataclass(frozen=True)
class Benchmark:
    """Windows of a set that nothing may be trained on.

    Parameters
    ----------
    name
        Of the set.
    window
        Place of the hash of every compared window in those of the index.
    series
        Which series it is of.
    names
        Of its series.
    n_windows
        Windows at the same stride that could have been compared, had they said anything.
    n_short
        Series shorter than a window.
    """

    name: str
    window: Int[ndarray, " window"]
    series: Int[ndarray, " window"]
    names: tuple[str, ...]
    n_windows: int
    n_short: int


@dataclass(frozen=True)
class OverlapIndex:
    """Hashes of all benchmarks, to be looked up."""

    benchmarks: tuple[Benchmark, ...]
    hashes: ndarray
    _table: Bool[ndarray, " bucket"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        table = np.zeros(1 << TABLE_BITS, bool)
        table[self.hashes >> np.uint64(64 - TABLE_BITS)] = True
        object.__setattr__(self, "_table", table)

    def find(
        self, values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"]
    ) -> tuple[Int[ndarray, " found"], Int[ndarray, " found"]]:
        """Return which hashes occur in series that lie end to end, and in which of them."""
        hashes, says = window_hashes(values, offsets)
        # Most windows are nowhere, which a table of their first bits tells at once.
        place = np.flatnonzero(says)
        place = place[self._table[hashes[place] >> np.uint64(64 - TABLE_BITS)]]
        if not len(place):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        row = np.minimum(np.searchsorted(self.hashes, hashes[place]), len(self.hashes) - 1)
        is_found = self.hashes[row] == hashes[place]
        series = np.searchsorted(offsets, place[is_found], "right") - 1
        return row[is_found], series


class IndexBuilder:
    """Collects the windows of benchmarks.

    Parameters
    ----------
    stride
        Steps from one window of a benchmark to the next; every window of the other side is looked
        at, so a copy is found all the same.
    """

    def __init__(self, *, stride: int = 8) -> None:
        self.stride = stride
        self._parts: list[tuple[str, ndarray, ndarray, tuple[str, ...], int, int]] = []

    def add(self, name: str, chunks: Iterator[tuple[ndarray, ndarray, Sequence[str]]]) -> None:
        """Add a set, chunk by chunk of series that lie end to end."""
        hashes, series = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        names: list[str] = []
        n_windows = n_short = 0
        for values, offsets, item_ids in chunks:
            lengths = np.diff(offsets)
            found, says = window_hashes(values, offsets)
            owner = np.repeat(np.arange(len(lengths)), lengths)[: len(found)]
            says &= (np.arange(len(found)) - offsets[owner]) % self.stride == 0
            hashes.append(found[says])
            series.append(owner[says] + len(names))
            whole = lengths[lengths >= WINDOW]
            n_windows += int(((whole - WINDOW) // self.stride + 1).sum())
            n_short += len(lengths) - len(whole)
            names += item_ids
        self._parts.append(
            (
                name,
                np.concatenate(hashes),
                np.concatenate(series),
                tuple(names),
                n_windows,
                n_short,
            )
        )

    def build(self) -> OverlapIndex:
        """Return the index of all that was added."""
        every = [hashes for _, hashes, *_ in self._parts]
        known = np.unique(np.concatenate([np.zeros(0, np.uint64), *every]))
        benchmarks = tuple(
            Benchmark(name, np.searchsorted(known, hashes), series, names, n_windows, n_short)
            for name, hashes, series, names, n_windows, n_short in self._parts
        )
        return OverlapIndex(benchmarks, known)
