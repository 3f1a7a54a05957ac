"""Windows that `similar` compares, and the search among those that a query may know."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.series.cutoffs import has_values, read_cutoffs, steps_until
from tsfm.series.frame import SeriesFrame
from tsfm.series.stamps import as_integers
from tsfm.shapes import Float64, Int, ndarray


@dataclass(frozen=True)
class Windows:
    """Windows of a frame, by item and step: their steps, and stamps in whole numbers.

    Parameters
    ----------
    begin, stop
        Steps of the item, counted from its first; `stop` is the one after the window.
    first, last
        Stamps of its first and its last step.
    known
        Stamp by which the window, and what is to follow it, has happened.
    """

    item: Int[ndarray, " window"]
    begin: Int[ndarray, " window"]
    stop: Int[ndarray, " window"]
    first: Int[ndarray, " window"]
    last: Int[ndarray, " window"]
    known: Int[ndarray, " window"]

    @staticmethod
    def of(
        series: SeriesFrame,
        item: Int[ndarray, " window"],
        begin: Int[ndarray, " window"],
        stop: Int[ndarray, " window"],
        horizon: int = 0,
    ) -> "Windows":
        """Return windows with their stamps; `horizon` steps after them are to be known too."""
        stamps = as_integers(series.frame[series.columns.timestamp])[1]
        start, end = series.offsets[item] + begin, series.offsets[item] + stop - 1
        return Windows(item, begin, stop, stamps[start], stamps[end], stamps[end + horizon])

    def __len__(self) -> int:
        return len(self.item)

    def take(self, kept: Int[ndarray, " kept"]) -> "Windows":
        """Return the windows `kept`, in this order."""
        return Windows(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


def last_windows(series: SeriesFrame, cutoff: Any, length: int) -> Windows:
    """Return one window per item, up to the cutoff; items that begin later have none.

    Raises
    ------
    DataError
        When no item has steps by the cutoff, or a window has no value.
    """
    if cutoff is None:
        ends = series.lengths
    else:
        ends = steps_until(series, read_cutoffs(series, [cutoff]))[:, 0]
    item = np.flatnonzero(ends > 0)
    if not len(item):
        raise DataError(
            f"a query must have steps at or before cutoff={cutoff!r}, got none; choose a later one"
        )
    stop = ends[item]
    begin = np.maximum(0, stop - length)
    empty = np.flatnonzero(~has_values(series, item, begin, stop).all(1))
    if len(empty):
        raise DataError(
            f"item {series.items[int(item[empty[0]])]!r}: must have a value in its last {length} "
            f"steps, got only missing ones ({len(empty)} such items); drop the item"
        )
    return Windows.of(series, item, begin, stop)


def all_windows(
    series: SeriesFrame, length: int, step: int, horizon: int, queries: Windows
) -> Windows:
    """Return the windows that any query may know; those without a value are left out.

    Raises
    ------
    DataError
        When no series is as long as a window and what is to follow it.
    """
    longest = int(series.lengths.max())
    if longest < length + horizon:
        raise DataError(
            f"a series must have window_length + horizon = {length + horizon} steps, got at most "
            f"{longest}; choose a shorter window_length"
        )
    starts = [np.arange(0, max(0, n - length - horizon + 1), step) for n in series.lengths]
    item = np.repeat(np.arange(series.n_items), [len(one) for one in starts])
    begin = np.concatenate(starts)
    found = Windows.of(series, item, begin, begin + length, horizon)
    is_known = found.known <= queries.known.max()
    return found.take(np.flatnonzero(has_values(series, item, begin, found.stop).all(1) & is_known))


@dataclass(frozen=True)
class Search:
    """The nearest candidates of every query, among those that it may know."""

    n_neighbors: int
    metric: str

    def __call__(
        self,
        queries: Windows,
        candidates: Windows,
        asked: Float64[ndarray, "query feature"],
        vectors: Float64[ndarray, "candidate feature"],
        same: Int[ndarray, " item"],
    ) -> list[tuple[int, int, int, float]]:
        """Return query, rank, candidate and distance; queries of one cutoff are asked together."""
        from sklearn.neighbors import NearestNeighbors

        rows = []
        own = same[queries.item]
        n_overlapping = _n_overlapping(queries, candidates, own)
        for limit in np.unique(queries.known):
            allowed = np.flatnonzero(candidates.known <= limit)
            asking = np.flatnonzero(queries.known == limit)
            most = min(len(allowed), self.n_neighbors + int(n_overlapping[asking].max()))
            if not most:
                continue
            search = NearestNeighbors(n_neighbors=most, metric=self.metric, algorithm="brute")
            search.fit(vectors[allowed])
            distances, places = search.kneighbors(asked[asking])
            for number, far, near in zip(asking, distances, allowed[places], strict=True):
                is_same = candidates.item[near] == own[number]
                kept = ~(is_same & (candidates.last[near] >= queries.first[number]))
                chosen = zip(near[kept][: self.n_neighbors], far[kept], strict=False)
                rows += [
                    (int(number), rank, int(place), float(distance))
                    for rank, (place, distance) in enumerate(chosen, 1)
                ]
        return sorted(rows)


def _n_overlapping(
    queries: Windows, candidates: Windows, own: Int[ndarray, " query"]
) -> Int[ndarray, " query"]:
    """Count the candidates of a query's own item that it may know, but for its own steps in them.

    Stamps are compared, for the data may begin elsewhere than the query does.
    """
    begin, end = (np.searchsorted(candidates.item, own, side) for side in ("left", "right"))
    counts = np.zeros(len(queries), np.int64)
    for number, (low, high) in enumerate(zip(begin, end, strict=True)):
        known = np.searchsorted(candidates.known[low:high], queries.known[number], "right")
        before = np.searchsorted(candidates.last[low:high], queries.first[number])
        counts[number] = max(0, known - before)
    return counts
