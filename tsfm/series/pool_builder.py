"""Builds a pool folder from files, one chunk of series at a time, at constant memory."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.series.pool import (
    ARRAYS,
    FORMAT,
    INDEX_FILE,
    ITEMS_FILE,
    SingleSeriesPool,
    pool_of,
    train_lengths_of,
)
from tsfm.series.pool_sources import PoolSource, SeriesChunk, find_sources, series_chunks
from tsfm.shapes import Bool, Float64, Int, ndarray

COUNTS = (
    "series",
    "points",
    "missing",
    "dropped_constant",
    "dropped_missing",
    "dropped_shared",
)
# Chunk -> the series that must stay out of the pool.
Shared = Callable[[SeriesChunk], Bool[ndarray, " item"]]


class PoolWriter:
    """Appends chunks of series to a folder that appears under its name only when whole."""

    def __init__(self, folder: str | Path, *, train_share: float = 0.9) -> None:
        self.folder = Path(folder)
        self.train_share = train_share
        self.scratch = self.folder.with_name(self.folder.name + ".partial")
        self.datasets: list[dict[str, Any]] = []
        self._item_ids: list[str] = []
        self._offset = 0

    def __enter__(self) -> "PoolWriter":
        if self.folder.exists():
            raise DataError(
                f"the pool folder must not exist yet, got {self.folder}; delete it or choose "
                "another output"
            )
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self._files = {name: (self.scratch / f"{name}.bin").open("wb") for name in ARRAYS}
        self._digests = {name: hashlib.sha256() for name in ARRAYS}
        self._write("offsets", np.zeros(1))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lengths = {
            name: file.tell() // np.dtype(ARRAYS[name]).itemsize
            for name, file in self._files.items()
        }
        for file in self._files.values():
            file.close()
        if kind is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            return
        index = {
            "format": FORMAT,
            "datasets": [entry["name"] for entry in self.datasets],
            "statistics": self.datasets,
            "train_share": self.train_share,
            "lengths": lengths,
            "sha256": {name: digest.hexdigest() for name, digest in self._digests.items()},
        }
        (self.scratch / ITEMS_FILE).write_text(json.dumps(self._item_ids), encoding="utf-8")
        (self.scratch / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")
        self.scratch.rename(self.folder)

    def start_dataset(self, name: str, **details: Any) -> None:
        """Name the data set of the chunks that follow; details are kept in the index."""
        self.datasets.append({"name": name, **details, **dict.fromkeys(COUNTS, 0)})

    def append(
        self,
        values: Float64[ndarray, " total_time"],
        offsets: Int[ndarray, " item_and_end"],
        item_ids: Sequence[str],
        shared: Bool[ndarray, " item"] | None = None,
    ) -> None:
        """Append univariate series that lie end to end, NaN where missing.

        Series without a value, and those whose training part is constant, teach nothing: they are
        dropped and counted, as are those that are `shared` with a set that must stay unseen.
        """
        entry = self.datasets[-1]
        lengths = np.diff(offsets)
        values = np.where(np.isfinite(values), values, np.nan)
        train_lengths = train_lengths_of(lengths, self.train_share)
        varies, is_missing = _varies(values, offsets, train_lengths)
        entry["dropped_missing"] += int(is_missing.sum())
        entry["dropped_constant"] += int((~varies & ~is_missing).sum())
        if shared is not None:
            entry["dropped_shared"] += int((varies & shared).sum())
            varies &= ~shared
        if not varies.any():
            return
        kept = np.concatenate([[0], np.cumsum(lengths[varies])])
        pool = pool_of(
            values[np.repeat(varies, lengths)],
            kept,
            np.full(len(kept) - 1, len(self.datasets) - 1, np.int32),
            tuple(one["name"] for one in self.datasets),
            tuple(name for name, keep in zip(item_ids, varies, strict=True) if keep),
            self.train_share,
        )
        self.append_scaled(pool)

    def append_scaled(self, pool: SingleSeriesPool) -> None:
        """Append series as they are; `dataset` counts the data sets that were started here."""
        missing = np.add.reduceat(~pool.observed, pool.offsets[:-1], dtype=np.int64)
        counts = {"series": np.ones(len(pool)), "points": pool.lengths, "missing": missing}
        for name, count in counts.items():
            sums = np.bincount(pool.dataset, count, len(self.datasets))
            for entry, total in zip(self.datasets, sums, strict=True):
                entry[name] += int(total)
        for name in ("values", "observed", "train_lengths", "dataset"):
            self._write(name, getattr(pool, name))
        self._write("offsets", pool.offsets[1:] + self._offset)
        self._write("loc", pool.scaler.loc)
        self._write("scale", pool.scaler.scale)
        self._item_ids += pool.item_ids
        self._offset += pool.n_points

    def _write(self, name: str, array: np.ndarray) -> None:
        content = np.ascontiguousarray(array, ARRAYS[name])
        self._files[name].write(content.data)
        self._digests[name].update(content.data)


def build_pool(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    train_share: float = 0.9,
    shared: Shared | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Build the pool folder `output` and return its index.

    Parameters
    ----------
    inputs
        See `find_sources`.
    train_share
        Leading share of every series that training may use, and that its scale is fitted on.
    shared
        Chunk -> the series that a set which must stay unseen has too; they are left out.
    progress
        Called with the name of a data set before it is read.

    Raises
    ------
    DataError
        When an input cannot be read, nothing is left of it, or `output` exists.
    """
    sources = find_sources(inputs)
    with PoolWriter(output, train_share=train_share) as writer:
        for source in sources:
            if progress:
                progress(source.name)
            _append_source(writer, source, shared)
    index: dict[str, Any] = json.loads((Path(output) / INDEX_FILE).read_text())
    return index


def _append_source(writer: PoolWriter, source: PoolSource, shared: Shared | None) -> None:
    writer.start_dataset(source.name, file=source.file.name)
    chunk: SeriesChunk | None = None
    for chunk in series_chunks(source, writer.scratch):
        writer.append(*chunk, shared=shared(chunk) if shared else None)
    entry = writer.datasets[-1]
    if not entry["series"]:
        raise DataError(
            f"{source.file} must have a series that varies, got "
            f"{entry['dropped_constant']} constant, {entry['dropped_missing']} without values and "
            f"{entry['dropped_shared']} that a set to stay apart from has too; "
            "leave it out"
        )


def save_pool(pool: SingleSeriesPool, folder: str | Path) -> None:
    """Write a pool that is in memory, whole and as it is, to a folder that must not exist yet."""
    with PoolWriter(folder) as writer:
        for name in pool.datasets:
            writer.start_dataset(name)
        writer.append_scaled(pool)


def _varies(
    values: np.ndarray, offsets: np.ndarray, train_lengths: np.ndarray
) -> tuple[Bool[ndarray, " item"], Bool[ndarray, " item"]]:
    """Say for every series whether its training part varies, and whether it has no value at all."""
    starts = offsets[:-1]
    # Training part, rest, training part, rest ...: one NaN more, so that the last rest has a start.
    borders = np.stack([starts, starts + train_lengths], axis=1).ravel()
    padded = np.append(values, np.nan)
    low, high = (reduce.reduceat(padded, borders)[::2] for reduce in (np.fmin, np.fmax))
    return high > low, np.isnan(np.fmin.reduceat(values, starts))
