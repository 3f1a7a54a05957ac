"""Similar: which windows of the past look like the present, whatever their level and scale."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.series.cutoffs import read_cutoffs, steps_until
from tsfm.series.frame import SeriesFrame
from tsfm.series.stamps import as_integers
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.arguments import at_least_one
from tsfm.tasks.embed import Embedder, has_values
from tsfm.tasks.progress import progress_bar


@dataclass(frozen=True)
class Windows:
    """Windows of a frame: their item, steps, and stamps in whole numbers.

    Parameters
    ----------
    begin, stop
        Steps of the item, counted from its first; `stop` is the one after the window.
    known
        Stamp by which the window, and what is to follow it, has happened.
    """

    item: Int[ndarray, " window"]
    begin: Int[ndarray, " window"]
    stop: Int[ndarray, " window"]
    known: Int[ndarray, " window"]

    def __len__(self) -> int:
        return len(self.item)


def similar(
    data: Any,
    *,
    query: Any = None,
    window_length: int = 96,
    step_size: int | None = None,
    n_neighbors: int = 5,
    horizon: int = 0,
    cutoff: Any = None,
    model: str | Path | Embedder = "tsfm-small",
    pooling: str = "mean",
    metric: str = "euclidean",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    context_length: int | None = None,
    batch_size: int = 256,
    device: str = "auto",
    progress: bool | None = None,
) -> Any:
    """Find the windows of a frame that are most like the last window of every item.

    Only windows that ended by the cutoff take part, and of the same item only those that ended
    before the query began.

    Parameters
    ----------
    query
        Another frame whose items are looked up in `data`; by default the items of `data`.
    window_length
        Steps of a window. A shorter query is taken whole.
    step_size
        Windows begin at every such step of an item, counted from its first; by default a quarter
        of their length.
    n_neighbors
        Windows per query, at most.
    horizon
        Steps after a window that must have happened by the cutoff too, for those who want to know
        how it went on.
    cutoff
        Queries end at this stamp; by default at the end of every item.
    model
        What `Embedder.from_pretrained` takes, or an embedder.
    pooling
        See `Embedder.embed`.
    metric
        Of scikit-learn's `NearestNeighbors`, for example ``"cosine"``.
    context_length
        Of a window, the last so many steps are read; by default as many as the model can read.
    device
        Where a model that is loaded here goes, and an embedder is moved to.
    progress
        None shows a bar only where standard error is a terminal.

    Returns
    -------
    frame
        Columns: id, `cutoff` (the last stamp of the query), `rank` from 1, `similar_item_id`,
        `similar_start`, `similar_end` and `distance`; the kind of frame that came in.

    Raises
    ------
    ConfigError
        When an argument is wrong.
    DataError
        When a frame breaks a rule, a query has no value, or no series is as long as a window.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(64), "target": [1.0, 3.0, 2.0, 5.0] * 16})
    >>> found = similar(frame, window_length=16, step_size=1, n_neighbors=1)
    >>> found.select("cutoff", "rank").row(0), found["similar_end"][0] < 48
    ((63, 1), True)
    """
    at_least_one("n_neighbors", n_neighbors)
    _check_metric(metric)
    length = at_least_one("window_length", window_length)
    step = max(1, length // 4) if step_size is None else at_least_one("step_size", step_size)
    columns: dict[str, Any] = {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
    }
    library = SeriesFrame.from_any(data, **columns)
    asked = library if query is None else SeriesFrame.from_any(query, **columns)
    _check_kinds(library, asked)
    embedder = (
        model if isinstance(model, Embedder) else Embedder.from_pretrained(model, device=device)
    )
    embedder.move_to(device)
    queries = _last_windows(asked, cutoff, length)
    candidates = _all_windows(library, length, step, horizon, queries)
    n_vectors = (len(queries) + len(candidates)) * len(library.targets)
    with progress_bar(progress, n_vectors, doing="embedding") as advance:
        asking, known = (
            embedder.embed_windows(
                series,
                windows.item,
                windows.begin,
                windows.stop,
                pooling=pooling,
                context_length=context_length,
                batch_size=batch_size,
                advance=advance,
            )
            for series, windows in ((asked, queries), (library, candidates))
        )
    search = _Search(n_neighbors, metric, n_overlapping=length // step + 2)
    rows = search(queries, candidates, asking, known, _same_item(library, asked))
    return asked.to_origin(_frame(rows, queries, candidates, asked, library))


def _check_metric(metric: str) -> None:
    from sklearn.neighbors import VALID_METRICS

    known = sorted(VALID_METRICS["brute"])
    if metric not in known:
        near = difflib.get_close_matches(metric, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "for example 'euclidean' or 'cosine'"
        raise ConfigError(f"metric must be one of scikit-learn's, got {metric!r}; {hint}")


def _check_kinds(library: SeriesFrame, asked: SeriesFrame) -> None:
    kinds = [one.frame[one.columns.timestamp].dtype.is_integer() for one in (library, asked)]
    if kinds[0] != kinds[1] or library.targets != asked.targets:
        raise DataError(
            "a query must have stamps of the same kind and the targets "
            f"{list(library.targets)}, got {asked.frame.schema}; convert it"
        )


def _same_item(library: SeriesFrame, asked: SeriesFrame) -> Int[ndarray, " item"]:
    """Return for every item that is asked its place in the library, -1 where it is not there."""
    places = {item: place for place, item in enumerate(library.items.to_list())}
    return np.array([places.get(item, -1) for item in asked.items.to_list()])


def _last_windows(series: SeriesFrame, cutoff: Any, length: int) -> Windows:
    """Return one window per item, up to the cutoff; items that begin later have none."""
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
    stamps = as_integers(series.frame[series.columns.timestamp])[1]
    return Windows(item, begin, stop, stamps[series.offsets[item] + stop - 1])


def _all_windows(
    series: SeriesFrame, length: int, step: int, horizon: int, queries: Windows
) -> Windows:
    """Return the windows that any query may know; those without a value are left out."""
    longest = int(series.lengths.max())
    if longest < length + horizon:
        raise DataError(
            f"a series must have window_length + horizon = {length + horizon} steps, got at most "
            f"{longest}; choose a shorter window_length"
        )
    starts = [np.arange(0, max(0, n - length - horizon + 1), step) for n in series.lengths]
    item = np.repeat(np.arange(series.n_items), [len(one) for one in starts])
    begin = np.concatenate(starts)
    stop = begin + length
    stamps = as_integers(series.frame[series.columns.timestamp])[1]
    known = stamps[series.offsets[item] + stop - 1 + horizon]
    is_known = known <= queries.known.max()
    kept = np.flatnonzero(has_values(series, item, begin, stop).all(1) & is_known)
    return Windows(item[kept], begin[kept], stop[kept], known[kept])


@dataclass(frozen=True)
class _Search:
    """The nearest candidates of every query, among those that it may know.

    Parameters
    ----------
    n_overlapping
        Candidates that can overlap the query itself, at most.
    """

    n_neighbors: int
    metric: str
    n_overlapping: int

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
        for limit in np.unique(queries.known):
            allowed = np.flatnonzero(candidates.known <= limit)
            asking = np.flatnonzero(queries.known == limit)
            most = min(len(allowed), self.n_neighbors + self.n_overlapping)
            if not most:
                continue
            search = NearestNeighbors(n_neighbors=most, metric=self.metric, algorithm="brute")
            search.fit(vectors[allowed])
            distances, places = search.kneighbors(asked[asking])
            for number, far, near in zip(asking, distances, allowed[places], strict=True):
                is_same = candidates.item[near] == same[queries.item[number]]
                kept = ~(is_same & (candidates.stop[near] > queries.begin[number]))
                chosen = zip(near[kept][: self.n_neighbors], far[kept], strict=False)
                rows += [
                    (int(number), rank, int(place), float(distance))
                    for rank, (place, distance) in enumerate(chosen, 1)
                ]
        return sorted(rows)


def _frame(
    rows: list[tuple[int, int, int, float]],
    queries: Windows,
    candidates: Windows,
    asked: SeriesFrame,
    library: SeriesFrame,
) -> pl.DataFrame:
    query, rank, place = np.array([row[:3] for row in rows], np.int64).reshape(-1, 3).T
    item = candidates.item[place]
    stamps = library.frame[library.columns.timestamp]
    last = asked.frame[asked.columns.timestamp]
    content = {
        asked.columns.id: asked.items.gather(queries.item[query]),
        "cutoff": last.gather(asked.offsets[queries.item[query]] + queries.stop[query] - 1),
        "rank": pl.Series(rank, dtype=pl.Int64),
        "similar_item_id": library.items.gather(item),
        "similar_start": stamps.gather(library.offsets[item] + candidates.begin[place]),
        "similar_end": stamps.gather(library.offsets[item] + candidates.stop[place] - 1),
        "distance": pl.Series([row[3] for row in rows], dtype=pl.Float64),
    }
    return pl.DataFrame(content)
