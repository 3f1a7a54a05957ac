"""SingleSeriesPool: every variate of every data set as one univariate series, end to end.

This is the single-series sequence format (S3) of Timer (arXiv 2402.02368, section 3.1): series are
split in time, scaled by the mean and deviation of their training part, and merged into one pool
from which windows of fixed length are cut.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.series.scaling import SeriesScaler
from tsfm.shapes import Bool, Float32, Int, ndarray

FORMAT = 1
INDEX_FILE = "index.json"
ARRAYS = {
    "values": "<f4",
    "observed": "|b1",
    "offsets": "<i8",
    "dataset": "<i4",
    "train_lengths": "<i8",
    "loc": "<f8",
    "scale": "<f8",
}


@dataclass(frozen=True)
class SingleSeriesPool:
    """Scaled series in memory or memory-mapped.

    Parameters
    ----------
    values
        Scaled; zero where missing. Series i is ``values[offsets[i]:offsets[i + 1]]``.
    observed
        True where a value is present.
    dataset
        For every series the index of its data set in `datasets`.
    train_lengths
        Leading steps of every series that training may use.
    datasets
        Names of the data sets.
    """

    values: Float32[ndarray, " total_time"]
    observed: Bool[ndarray, " total_time"]
    offsets: Int[ndarray, " item_and_end"]
    dataset: Int[ndarray, " item"]
    train_lengths: Int[ndarray, " item"]
    scaler: SeriesScaler
    datasets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_points(self) -> int:
        """Steps of all series together."""
        return int(self.offsets[-1])

    @staticmethod
    def from_series(
        series: list[np.ndarray], *, train_share: float = 0.9, name: str = "memory"
    ) -> "SingleSeriesPool":
        """Build a pool in memory from univariate series, NaN where missing."""
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
        values = np.concatenate(series).astype(np.float64)
        return pool_of(values, offsets, np.zeros(len(series), np.int32), (name,), train_share)

    @staticmethod
    def open(folder: str | Path) -> "SingleSeriesPool":
        """Open a pool written by `tsfm data build`; values stay on disk until a window asks.

        Raises
        ------
        DataError
            When the folder is no whole pool.
        """
        folder = Path(folder)
        index = read_index(folder)
        arrays: dict[str, Any] = {}
        for name, kind in ARRAYS.items():
            length = index["lengths"][name]
            file = folder / f"{name}.bin"
            if not file.is_file() or file.stat().st_size != length * np.dtype(kind).itemsize:
                raise DataError(
                    f"{file} must hold {length} numbers of type {kind}, got a file of another "
                    "size; build the pool again"
                )
            mapped = np.memmap(file, kind, "r", shape=(length,))
            arrays[name] = mapped if name in ("values", "observed") else np.array(mapped)
        scaler = SeriesScaler(arrays.pop("loc"), arrays.pop("scale"))
        return SingleSeriesPool(scaler=scaler, datasets=tuple(index["datasets"]), **arrays)


def pool_of(
    values: np.ndarray,
    offsets: np.ndarray,
    dataset: np.ndarray,
    datasets: tuple[str, ...],
    train_share: float,
) -> SingleSeriesPool:
    """Scale series that lie end to end and make a pool of them."""
    lengths = np.diff(offsets)
    train_lengths = np.maximum(1, np.floor(lengths * train_share)).astype(np.int64)
    scaler = SeriesScaler.fit(values, offsets, train_lengths)
    observed = np.isfinite(values)
    scaled = (values - np.repeat(scaler.loc, lengths)) / np.repeat(scaler.scale, lengths)
    scaled = np.where(observed, scaled, 0.0).astype(np.float32)
    return SingleSeriesPool(
        scaled, observed, offsets, dataset, train_lengths, scaler, tuple(datasets)
    )


def read_index(folder: Path) -> dict[str, Any]:
    """Read `index.json`, which is written last: without it there is no pool."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX_FILE).read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(
            f"a pool must have a readable {INDEX_FILE}, got {folder}: {error}; build it with "
            "'tsfm data build'"
        ) from None
    if index.get("format") != FORMAT:
        raise DataError(
            f"pool format must be {FORMAT}, got {index.get('format')} in {folder}; build it again"
        )
    return index
