"""Frames of any library in and out, as the audited function knows them."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tsfm.audits.perturbation import Keys
from tsfm.errors import DataError
from tsfm.series.convert import Origin, from_polars, to_polars
from tsfm.series.validation import NIXTLA_NAMES, pick_columns


@dataclass(frozen=True)
class FrameKind:
    """How frames look outside.

    Parameters
    ----------
    index
        Columns that are the index of a pandas frame, with their names there.
    dtypes
        Types of the columns of a pandas frame.
    """

    origin: Origin
    timestamp: str
    index: dict[str, Any]
    dtypes: dict[str, Any]

    def write(self, frame: pl.DataFrame) -> Any:
        """Return a frame for the audited function; it may change it as it likes."""
        result = from_polars(frame, self.origin)
        if self.origin != "pandas":
            return result
        # Types come back where they can: a whole number that was missing is a float for good.
        known = {name: dtype for name, dtype in self.dtypes.items() if name in result.columns}
        for name, dtype in known.items():
            if result[name].dtype != dtype:
                result[name] = result[name].astype(dtype, errors="ignore")
        if self.index:
            result = result.set_index(list(self.index)).rename_axis(index=list(self.index.values()))
        return result

    def read(self, data: Any) -> pl.DataFrame:
        """Return what the audited function made as a polars frame."""
        frame, _ = to_polars(data, self.timestamp)
        return frame

    def plain(self, frame: pl.DataFrame) -> Any:
        """Return a frame of the same library, without an index of its own."""
        return from_polars(frame, self.origin)


def open_frame(
    data: Any, id_column: str, timestamp_column: str, target: str | Sequence[str] | None
) -> tuple[pl.DataFrame, Keys, tuple[str, ...], FrameKind]:
    """Return a frame in polars, its keys, its targets, and how to write such frames again.

    Parameters
    ----------
    target
        None for every column that is no key.

    Raises
    ------
    DataError
        When a key is absent or missing, or stamps are no dates, times or whole numbers.
    """
    index, dtypes = _of_pandas(data, timestamp_column)
    frame, origin = to_polars(data, timestamp_column)
    key_names = {id_column, timestamp_column, NIXTLA_NAMES["item_id"], NIXTLA_NAMES["timestamp"]}
    others = [name for name in frame.columns if name not in key_names]
    columns = pick_columns(frame, id_column, timestamp_column, target or others[:1] or "target", ())
    keys = Keys(columns.id if columns.has_id else None, columns.timestamp)
    every = tuple(name for name in frame.columns if name not in keys.names)
    targets = columns.targets if target else every
    stamps = frame[keys.timestamp]
    if not (stamps.dtype.is_temporal() or stamps.dtype.is_integer()):
        raise DataError(
            f"{keys.timestamp} must hold dates, times or whole numbers, got {stamps.dtype}; parse "
            "it first"
        )
    n_missing = frame.select(pl.any_horizontal(pl.col(keys.names).is_null()).sum()).item()
    if n_missing:
        raise DataError(
            f"{' and '.join(keys.names)} must be in every row, got {n_missing} without; drop them"
        )
    return frame, keys, targets, FrameKind(origin, keys.timestamp, index, dtypes)


def _of_pandas(data: Any, timestamp_column: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the index columns and the types of a pandas frame; nothing for others."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(data, pandas.DataFrame):
        return {}, {}
    dtypes = {str(name): dtype for name, dtype in data.dtypes.items()}
    names = list(data.index.names)
    if timestamp_column in data.columns:
        return {}, dtypes
    if timestamp_column in names:
        return {str(name): name for name in names if name is not None}, dtypes
    is_dated = isinstance(data.index, pandas.DatetimeIndex)
    return {timestamp_column: names[0]} if is_dated else {}, dtypes
