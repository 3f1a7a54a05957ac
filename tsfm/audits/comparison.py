"""Two frames with the same past, compared: nothing at or before the cutoff may differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.audits.perturbation import Keys
from tsfm.errors import DataError
from tsfm.shapes import Bool, Float64, ndarray

ROWS = "(rows)"
"""Stands for a column where rows came or went."""


@dataclass(frozen=True)
class Move:
    """What moved in one column.

    Parameters
    ----------
    first
        Earliest stamp whose value moved.
    size
        Largest change, in standard deviations of the column; infinite where a value came, went or
        is no number. For rows that came or went: how many.
    n_moved
        Values that moved.
    """

    column: str
    first: Any
    size: float
    n_moved: int


def canonical(frame: pl.DataFrame, keys: Keys, stamp_type: Any) -> pl.DataFrame:
    """Return what a function made of a frame, sorted by key, with one kind of missing value.

    Raises
    ------
    DataError
        When the keys are not there, are missing, or are in several rows.
    """
    if keys.timestamp not in frame.columns:
        raise DataError(
            f"fn must return the column {keys.timestamp!r}, got {frame.columns}; keep the stamps "
            "of its input"
        )
    names = [name for name in keys.names if name in frame.columns]
    try:
        frame = frame.with_columns(pl.col(keys.timestamp).cast(stamp_type))
    except pl.exceptions.PolarsError:
        raise DataError(
            f"fn must return stamps of type {stamp_type}, as it was given, got "
            f"{frame[keys.timestamp].dtype}; keep the stamps of its input"
        ) from None
    if frame.select(pl.any_horizontal(pl.col(names).is_null().any())).item():
        raise DataError(
            f"fn must return a stamp and an item in every row, got none in some {names}"
        )
    twice = frame.select(names).is_duplicated()
    if twice.any():
        row = frame.filter(twice).select(names).row(0)
        raise DataError(
            f"fn must return one row per {' and '.join(names)}, got several for "
            f"{', '.join(map(str, row))} and {int(twice.sum())} such rows; make them columns"
        )
    floats = pl.selectors.float()
    return frame.sort(names).with_columns(floats.fill_nan(None))


def spreads(frame: pl.DataFrame, keys: Keys) -> dict[str, float]:
    """Return the standard deviation of every column of numbers, 1 where there is none."""
    found = {}
    for name in frame.columns:
        if name not in keys.names and _is_number(frame[name]):
            values = _floats(frame[name])
            values = values[np.isfinite(values)]
            with np.errstate(over="ignore", invalid="ignore"):
                spread = float(values.std()) if len(values) else 0.0
            found[name] = spread if 0 < spread < np.inf else 1.0
    return found


def compare(
    before: pl.DataFrame,
    after: pl.DataFrame,
    keys: Keys,
    spread: Mapping[str, float],
    *,
    tolerance: float = 0.0,
) -> list[Move]:
    """Say what differs; both frames are canonical and end with the cutoff.

    Parameters
    ----------
    spread
        Unit of every column.
    tolerance
        Largest change that is none, in units of the column; 0 compares bit by bit.
    """
    names = [name for name in keys.names if name in before.columns]
    moves = []
    if not before.select(names).equals(after.select(names)):
        gone = before.join(after, on=names, how="anti")
        come = after.join(before, on=names, how="anti")
        stamps = pl.concat([gone[keys.timestamp], come[keys.timestamp]])
        if len(stamps):
            moves.append(Move(ROWS, stamps.min(), float(len(stamps)), len(stamps)))
        kept = before.select(names).join(after.select(names), on=names, how="inner")
        before = kept.join(before, on=names).sort(names)
        after = kept.join(after, on=names).sort(names)
    stamps = before[keys.timestamp]
    for name in dict.fromkeys((*before.columns, *after.columns)):
        if name in names:
            continue
        if name not in before.columns or name not in after.columns:
            if len(stamps):
                moves.append(Move(name, stamps.min(), float("inf"), len(stamps)))
            continue
        size = _changes(before[name], after[name], spread.get(name, 1.0))
        moved = size > tolerance
        if moved.any():
            first = stamps.filter(pl.Series(moved)).min()
            moves.append(Move(name, first, float(size[moved].max()), int(moved.sum())))
    return moves


def _changes(before: pl.Series, after: pl.Series, unit: float) -> Float64[ndarray, " row"]:
    """Return the size of every change, 0 for none."""
    if _is_number(before) and _is_number(after):
        if before.dtype.is_integer() and after.dtype.is_integer():
            differs = before.ne_missing(after).to_numpy()
        else:
            differs = _differ(_floats(before), _floats(after))
        if not differs.any():
            return np.zeros(len(before))
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.abs(_floats(after) - _floats(before)) / unit
        # A value that came or went, or became infinite, has no finite change.
        size = np.where(np.isnan(size), np.inf, np.maximum(size, np.finfo(np.float64).tiny))
        return np.where(differs, size, 0.0)
    if before.dtype != after.dtype:
        return np.full(len(before), np.inf)
    return np.where(before.ne_missing(after).to_numpy(), np.inf, 0.0)


def _differ(
    before: Float64[ndarray, " row"], after: Float64[ndarray, " row"]
) -> Bool[ndarray, " row"]:
    same: Bool[ndarray, " row"] = (before == after) | (np.isnan(before) & np.isnan(after))
    return ~same


def _is_number(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)


def _floats(column: pl.Series) -> Float64[ndarray, " row"]:
    values: Float64[ndarray, " row"] = (
        column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
    )
    return values
