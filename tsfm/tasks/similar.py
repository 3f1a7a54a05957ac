"""Similar: which windows of the past look like the present, whatever their level and scale."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import at_least_one, at_least_zero
from tsfm.errors import ConfigError, DataError
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Int, ndarray
from tsfm.tasks.embed import Embedder
from tsfm.tasks.progress import progress_bar
from tsfm.tasks.similar_windows import Search, Windows, all_windows, last_windows

# Of scikit-learn's: they compare truths or places on earth, or need more than two vectors.
UNFIT = {
    "dice", "haversine", "jaccard", "mahalanobis", "precomputed", "rogerstanimoto", "russellrao",
    "seuclidean", "sokalsneath", "yule",
}  # fmt: skip
ADDED = ("cutoff", "rank", "similar_item_id", "similar_start", "similar_end", "distance")


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
        Of scikit-learn's, one that compares two vectors of numbers, for example ``"cosine"``.
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
    at_least_zero("horizon", horizon)
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
    if asked.columns.id in ADDED:
        raise DataError(
            f"column {asked.columns.id!r} must not be the id: the result adds a column of that "
            "name; rename it"
        )
    embedder = (
        model if isinstance(model, Embedder) else Embedder.from_pretrained(model, device=device)
    )
    embedder.move_to(device)
    queries = last_windows(asked, cutoff, length)
    candidates = all_windows(library, length, step, horizon, queries)
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
    rows = Search(n_neighbors, metric)(
        queries, candidates, asking, known, _same_item(library, asked)
    )
    return asked.to_origin(_frame(rows, queries, candidates, asked, library))


def _check_metric(metric: str) -> None:
    from sklearn.neighbors import VALID_METRICS

    known = sorted(set(VALID_METRICS["brute"]) - UNFIT)
    if metric not in known:
        near = difflib.get_close_matches(str(metric), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "for example 'euclidean' or 'cosine'"
        raise ConfigError(
            "metric must be one that compares two vectors of numbers, of scikit-learn's, got "
            f"{metric!r}; {hint}"
        )


def _check_kinds(library: SeriesFrame, asked: SeriesFrame) -> None:
    kinds = [
        (one.stamp_type.is_integer(), getattr(one.stamp_type, "time_zone", None) is None)
        for one in (library, asked)
    ]
    if kinds[0] != kinds[1] or library.targets != asked.targets:
        raise DataError(
            f"a query must have stamps of the same kind and the targets {list(library.targets)}, "
            f"both or neither with a time zone, got {asked.frame.schema} and {library.stamp_type} "
            "in the data; convert it"
        )


def _same_item(library: SeriesFrame, asked: SeriesFrame) -> Int[ndarray, " item"]:
    """Return for every item that is asked its place in the library, -1 where it is not there."""
    places = {item: place for place, item in enumerate(library.items.to_list())}
    return np.array([places.get(item, -1) for item in asked.items.to_list()])


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
