"""What the makers share: long form, counts of events, the regular grid, and writing.

A long frame has the columns `series_id`, `timestamp` and `target`. NaN is missing until it is
written as null.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from tsfm.errors import DataError

MIN_VALUES = 20
MIN_DISTINCT = 3
MIN_SHARE = 0.3
"""A series with fewer values, fewer different ones, or more gaps is of no use to training."""
ROWS = 1 << 18
"""Of a row group of a Parquet file."""


def long_form(
    frame: pd.DataFrame, columns: Sequence[str], keys: Sequence[str] = ()
) -> pd.DataFrame:
    """Put `columns` of a frame with a `timestamp` end to end.

    Parameters
    ----------
    keys
        Columns that tell the items apart; a series is called ``column_key_key``.
    """
    long = frame.melt(["timestamp", *keys], list(columns), "series_id", "target")
    for key in keys:
        long["series_id"] = long["series_id"].astype(str) + "_" + long[key].astype(str)
    long["target"] = pd.to_numeric(long["target"], errors="coerce")
    return long[["series_id", "timestamp", "target"]]


def from_wide(wide: pd.DataFrame) -> pd.DataFrame:
    """Return the long form of a frame whose index holds the stamps and whose columns are series."""
    return long_form(wide.rename_axis(index="timestamp").reset_index(), list(wide.columns))


def count_events(frame: pd.DataFrame, key: str, stamps: pd.Index) -> pd.DataFrame:
    """Count the rows of each value of `key` at each of `stamps`; a stamp without a row is zero."""
    counts = frame.groupby(["timestamp", key], observed=True).size().unstack(fill_value=0)
    return counts.reindex(stamps, fill_value=0)


def on_grid(long: pd.DataFrame, freq: str | None) -> pd.DataFrame:
    """Put every series on a regular grid from its first to its last value.

    Rows with the same stamp become their mean, missing stamps become rows without a value. Series
    that are short, constant or mostly gaps are dropped.

    Parameters
    ----------
    freq
        pandas alias; None for stamps that are whole numbers.

    Raises
    ------
    DataError
        When a stamp is not on the grid.
    """
    kept = []
    for name, rows in long.groupby("series_id"):
        values = rows.groupby("timestamp")["target"].mean()
        values = values.loc[values.first_valid_index() : values.last_valid_index()]
        if values.count() < MIN_VALUES or values.nunique() < MIN_DISTINCT:
            continue
        grid = _grid(values.index[0], values.index[-1], freq)
        off = values.index.difference(grid)
        if len(off):
            raise DataError(
                f"the stamps of {name} must be on a grid of {freq or 'whole numbers'}, got "
                f"{len(off)} that are not, such as {off[0]}; round them"
            )
        if values.count() >= MIN_SHARE * len(grid):
            values = values.reindex(grid)
            kept.append(pd.DataFrame({"series_id": str(name), "timestamp": grid, "target": values}))
    return pd.concat(kept, ignore_index=True)


def _grid(first: pd.Timestamp, last: pd.Timestamp, freq: str | None) -> pd.Index:
    return pd.RangeIndex(first, last + 1) if freq is None else pd.date_range(first, last, freq=freq)


def write(long: pd.DataFrame, file: Path) -> pl.DataFrame:
    """Write a long frame as Parquet and return what was written.

    The same frame gives the same bytes with the same version of polars.
    """
    whole = pd.api.types.is_integer_dtype(long["timestamp"])
    stamps = long["timestamp"].to_numpy()
    frame = pl.DataFrame(
        {
            "series_id": pl.Series(long["series_id"].tolist(), dtype=pl.String),
            "timestamp": stamps.astype("int64" if whole else "datetime64[ms]"),
            "target": pl.Series(long["target"].to_numpy(np.float32)).fill_nan(None),
        }
    ).sort("series_id", "timestamp")
    # In one piece, as sorting leaves one per thread and each would be written apart.
    frame = frame.rechunk()
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(
        file, compression="zstd", compression_level=9, statistics=True, row_group_size=ROWS
    )
    return frame
