"""SingleSeriesPool: every variate of every data set as one univariate series, end to end.

This is the single-series sequence format (S3) of Timer (arXiv 2402.02368, section 3.1): series are
split in time, scaled by the mean and deviation of their training part, and merged into one pool
from which windows of fixed length are cut.

On disk a pool is a folder of raw little-endian arrays, the item names as JSON, and `index.json`,
which is written last. The values are memory-mapped, so a pool may be larger than memory.
"""

import json
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.series.scaling import SeriesScaler
from tsfm.shapes import Bool, Float32, Float64, Int, ndarray

FORMAT = 1
INDEX_FILE = "index.json"
ITEMS_FILE = "item_ids.json"
ARRAYS = {
    "values": "<f4",
    "observed": "|b1",
    "offsets": "<i8",
    "dataset": "<i4",
    "train_lengths": "<i8",
    "loc": "<f8",
    "scale": "<f8",
}
MAPPED = ("values", "observed")


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
    item_ids
        Names of the series, as in their data set; ``item/channel`` where that has channels.

    Examples
    --------
    >>> pool = SingleSeriesPool.from_series([np.arange(10.0), np.array([1.0, np.nan, 3.0])])
    >>> len(pool), pool.n_points, pool.observed.sum().item()
    (2, 13, 12)
    """

    values: Float32[ndarray, " total_time"]
    observed: Bool[ndarray, " total_time"]
    offsets: Int[ndarray, " item_and_end"]
    dataset: Int[ndarray, " item"]
    train_lengths: Int[ndarray, " item"]
    scaler: SeriesScaler
    datasets: tuple[str, ...]
    item_ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_points(self) -> int:
        """Steps of all series together."""
        return int(self.offsets[-1])

    @property
    def lengths(self) -> Int[ndarray, " item"]:
        """Steps of every series."""
        return np.diff(self.offsets)

    @staticmethod
    def from_series(
        series: list[np.ndarray], *, train_share: float = 0.9, name: str = "memory"
    ) -> "SingleSeriesPool":
        """Build a pool in memory from univariate series, NaN where missing."""
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
        values = np.concatenate([np.zeros(0), *series]).astype(np.float64)
        item_ids = tuple(str(number) for number in range(len(series)))
        dataset = np.zeros(len(series), np.int32)
        return pool_of(values, offsets, dataset, (name,), item_ids, train_share)

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
        arrays: dict[str, Any] = {
            name: _read(folder / f"{name}.bin", kind, index["lengths"][name], name in MAPPED)
            for name, kind in ARRAYS.items()
        }
        item_ids = tuple(json.loads(_text(folder / ITEMS_FILE)))
        scaler = SeriesScaler(arrays.pop("loc"), arrays.pop("scale"))
        datasets = tuple(index["datasets"])
        return SingleSeriesPool(scaler=scaler, datasets=datasets, item_ids=item_ids, **arrays)

    def release(self) -> None:
        """Give back the memory of values that were read from disk; they are read again on demand.

        The system does so by itself when memory runs short; this keeps the resident size of a
        process low where only that is looked at. Does nothing for a pool in memory.
        """
        for array in (self.values, self.observed):
            pages = getattr(array.base, "obj", None)
            if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)


def pool_of(
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    dataset: Int[ndarray, " item"],
    datasets: tuple[str, ...],
    item_ids: tuple[str, ...],
    train_share: float,
) -> SingleSeriesPool:
    """Scale series that lie end to end and make a pool of them; what is not finite is missing."""
    observed = np.isfinite(values)
    train_lengths = train_lengths_of(np.diff(offsets), train_share)
    scaler = SeriesScaler.fit(values, offsets, train_lengths)
    scaled = np.where(observed, scaler.transform(values, offsets), np.float32(0))
    return SingleSeriesPool(
        scaled, observed, offsets, dataset, train_lengths, scaler, datasets, item_ids
    )


def train_lengths_of(lengths: Int[ndarray, " item"], train_share: float) -> Int[ndarray, " item"]:
    """Return the steps of every series that training may use, one at least; the rest validates.

    Raises
    ------
    ConfigError
        When the share is not above 0 and at most 1.

    Examples
    --------
    >>> train_lengths_of(np.array([10, 1, 0]), 0.7).tolist()
    [7, 1, 0]
    """
    if not 0 < train_share <= 1:
        raise ConfigError(f"train_share must be above 0 and at most 1, got {train_share}")
    # 0.57 * 100 is 56.999...: a share that is whole in decimals must stay whole.
    whole = np.floor(lengths * train_share + 1e-6).astype(np.int64)
    return np.maximum(whole, np.minimum(lengths, 1))


def read_index(folder: Path) -> dict[str, Any]:
    """Read `index.json`, which is written last: without it there is no pool."""
    try:
        index: dict[str, Any] = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
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


def _read(file: Path, kind: str, length: int, mapped: bool) -> np.ndarray:
    size = length * np.dtype(kind).itemsize
    if not file.is_file() or file.stat().st_size != size:
        raise DataError(
            f"{file} must hold {length} numbers of type {kind}, got a file of another size; build "
            "the pool again"
        )
    if not mapped or not length:
        return np.fromfile(file, kind)
    with file.open("rb") as opened:
        pages = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    # Windows lie anywhere: reading ahead would fill memory with what nobody asked for.
    if hasattr(mmap, "MADV_RANDOM"):
        pages.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(pages, kind)


def _text(file: Path) -> str:
    if not file.is_file():
        raise DataError(f"{file} must name the series, got no such file; build the pool again")
    return file.read_text(encoding="utf-8")
