"""Builds a pool folder from frames, one chunk of series at a time, at constant memory."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.pool import ARRAYS, FORMAT, INDEX_FILE, SingleSeriesPool, pool_of

ID_COLUMNS = ("item_id", "unique_id", "series_id", "ticker")
TIME_COLUMNS = ("timestamp", "ds", "date")
# Points of a channel that are scaled and written at once.
CHUNK_POINTS = 4_000_000


class PoolWriter:
    """Appends chunks of series to a folder that appears under its name only when whole."""

    def __init__(self, folder: str | Path, *, train_share: float = 0.9) -> None:
        self.folder = Path(folder)
        self.train_share = train_share
        self._partial = self.folder.with_name(self.folder.name + ".partial")
        self._datasets: list[dict[str, Any]] = []
        self._offset = 0

    def __enter__(self) -> "PoolWriter":
        if self.folder.exists():
            raise DataError(
                f"the pool folder must not exist yet, got {self.folder}; delete it or choose "
                "another output"
            )
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._files = {name: (self._partial / f"{name}.bin").open("wb") for name in ARRAYS}
        np.zeros(1, "<i8").tofile(self._files["offsets"])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()
        if kind is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            return
        lengths = {
            name: (self._partial / f"{name}.bin").stat().st_size // np.dtype(form).itemsize
            for name, form in ARRAYS.items()
        }
        index = {
            "format": FORMAT,
            "datasets": [entry["name"] for entry in self._datasets],
            "statistics": self._datasets,
            "train_share": self.train_share,
            "lengths": lengths,
        }
        (self._partial / INDEX_FILE).write_text(json.dumps(index, indent=1) + "\n")
        self._partial.rename(self.folder)

    def start_dataset(self, name: str) -> None:
        """Name the data set of the chunks that follow."""
        self._datasets.append(
            {"name": name, "series": 0, "points": 0, "missing": 0, "dropped_constant": 0}
        )

    def append(self, values: np.ndarray, offsets: np.ndarray) -> None:
        """Append univariate series that lie end to end; constant ones teach nothing: dropped."""
        entry = self._datasets[-1]
        lengths = np.diff(offsets)
        varies = _varies(values, offsets)
        entry["dropped_constant"] += int((~varies).sum())
        values = values[np.repeat(varies, lengths)]
        lengths = lengths[varies]
        if not len(lengths):
            return
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        dataset = np.full(len(lengths), len(self._datasets) - 1, np.int32)
        pool = pool_of(values, offsets, dataset, (entry["name"],), self.train_share)
        entry["series"] += len(pool)
        entry["points"] += pool.n_points
        entry["missing"] += int((~pool.observed).sum())
        self._write(pool)

    def _write(self, pool: SingleSeriesPool) -> None:
        for name in ("values", "observed", "dataset", "train_lengths"):
            np.asarray(getattr(pool, name)).astype(ARRAYS[name]).tofile(self._files[name])
        (pool.offsets[1:] + self._offset).astype("<i8").tofile(self._files["offsets"])
        pool.scaler.loc.astype("<f8").tofile(self._files["loc"])
        pool.scaler.scale.astype("<f8").tofile(self._files["scale"])
        self._offset += pool.n_points


def _varies(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Say for every series whether two observed values differ."""
    low = np.minimum.reduceat(np.where(np.isnan(values), np.inf, values), offsets[:-1])
    high = np.maximum.reduceat(np.where(np.isnan(values), -np.inf, values), offsets[:-1])
    return high > low


def series_chunks(frame: pl.LazyFrame, source: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the univariate series of a long frame, one value column and chunk of items at a time.

    Every numeric column is a series of its own per item; a column of one constant for all rows is
    left to the writer to drop. Stamps order the rows and are then forgotten, as S3 has none.
    """
    schema = frame.collect_schema()
    id_column = next((name for name in ID_COLUMNS if name in schema), None)
    time_column = next((name for name in TIME_COLUMNS if name in schema), None)
    targets = [
        name
        for name, kind in schema.items()
        if (kind.is_numeric() or kind == pl.Boolean) and name not in (id_column, time_column)
    ]
    if not targets:
        raise DataError(
            f"{source} must have a numeric column, got {list(schema)}; name or cast one"
        )
    item = pl.lit("item").alias("item") if id_column is None else pl.col(id_column).alias("item")
    for target in targets:
        columns = [item, pl.col(target).cast(pl.Float64).alias("value")]
        order = ["item"] + (["time"] if time_column else [])
        if time_column:
            columns.append(pl.col(time_column).alias("time"))
        sorted_frame = (
            frame.select(columns).sort(order, maintain_order=True).collect(engine="streaming")
        )
        values = sorted_frame["value"].fill_null(np.nan).to_numpy()
        lengths = sorted_frame["item"].rle().struct.field("len").to_numpy().astype(np.int64)
        yield from _chunks(np.where(np.isinf(values), np.nan, values), lengths)


def _chunks(values: np.ndarray, lengths: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    ends = np.cumsum(lengths)
    chunk = (ends - lengths) // CHUNK_POINTS
    for number in np.unique(chunk):
        inside = lengths[chunk == number]
        offsets = np.concatenate([[0], np.cumsum(inside)])
        start = int(ends[chunk < number][-1]) if (chunk < number).any() else 0
        yield values[start : start + offsets[-1]], offsets
