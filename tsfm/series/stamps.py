"""Stamps as whole numbers and back: text, time zones, and days whose clock changes."""

from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.grids import DAY, SECOND, FixedGrid, Grid, StepGrid, TradingGrid
from tsfm.series.offsets import read_offset, zone_of_offset
from tsfm.shapes import Int, ndarray

HOUR = 3600 * SECOND


def parse_text(text: pl.Series) -> pl.Series:
    """Return stamps, dates where no text has a time, null for what is neither.

    Stamps with one offset of whole hours keep it; with other offsets they are times of UTC.
    """
    text = text.str.replace(r"^(\d{4}-\d{2})$", "${1}-01")
    try:
        parsed = text.str.to_datetime(strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return pl.Series([None], dtype=pl.Date).new_from_index(0, len(text))
    if getattr(parsed.dtype, "time_zone", None) is not None:
        offsets = text.str.extract(r"([+-]\d{2}:?\d{2}|Z)$")
        shared = read_offset(offsets[0]) if (offsets == offsets[0]).all() else None
        zone = zone_of_offset(shared) if shared is not None else None
        return parsed if zone is None else parsed.dt.convert_time_zone(zone)
    return parsed if (text.str.len_chars() > 10).any() else parsed.cast(pl.Date)


def as_integers(stamps: pl.Series) -> tuple[Int[ndarray, " row"], Int[ndarray, " row"]]:
    """Return wall-clock and UTC microseconds, or the steps twice."""
    if stamps.dtype.is_integer():
        steps = stamps.cast(pl.Int64).to_numpy()
        return steps, steps
    if stamps.dtype == pl.Date:
        stamps = stamps.cast(pl.Datetime("us"))
    utc = stamps.dt.cast_time_unit("us")
    wall = utc.dt.replace_time_zone(None).to_physical().to_numpy()
    zone = getattr(utc.dtype, "time_zone", None)
    return _before_skips(wall, zone) if zone else wall, utc.to_physical().to_numpy()


def _before_skips(wall: Int[ndarray, " row"], zone: str) -> Int[ndarray, " row"]:
    """Move a daily stamp that a clock change put off by an hour back to the usual hour."""
    times, counts = np.unique(wall % DAY, return_counts=True)
    late = np.flatnonzero(wall % DAY == times[counts.argmax()] + HOUR)
    if not len(late) or 2 * counts.max() <= len(wall):
        return wall
    usual = pl.Series(wall[late] - HOUR).cast(pl.Datetime("us"))
    skipped = usual.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").is_null()
    wall = wall.copy()
    wall[late[skipped.to_numpy()]] -= HOUR
    return wall


def uses_utc(grid: Grid | None) -> bool:
    """Say whether the grid's steps are durations shorter than a day, so that clocks may change."""
    return isinstance(grid, FixedGrid | TradingGrid) and grid.step < DAY


def to_stamps(numbers: Int[ndarray, " row"], kind: Any, grid: Grid | None, name: str) -> pl.Series:
    """Return int64 stamps in the type that came in.

    Raises
    ------
    DataError
        When they go past the last stamp of that type.
    """
    try:
        return _to_kind(numbers, kind, grid, name)
    except pl.exceptions.InvalidOperationError:
        wider = "whole numbers of 64 bits" if kind.is_integer() else "microseconds"
        raise DataError(
            f"column {name!r}: stamps must stay within their type, got a horizon that passes the "
            f"last one of {kind}; ask for a shorter horizon, or cast the stamps to {wider}"
        ) from None


def _to_kind(numbers: Int[ndarray, " row"], kind: Any, grid: Grid | None, name: str) -> pl.Series:
    if kind.is_integer() or isinstance(grid, StepGrid):
        return pl.Series(name, numbers).cast(kind)
    stamps = pl.Series(name, numbers).cast(pl.Datetime("us"))
    if kind == pl.Date:
        return stamps.cast(pl.Date)
    unit: Any = getattr(kind, "time_unit", None) or "us"
    zone = getattr(kind, "time_zone", None)
    if zone is not None:
        if uses_utc(grid):
            stamps = stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        else:
            # A wall time that a clock change skips moves on by an hour; of a double one we take
            # the earlier.
            exact, later = (
                wall.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
                for wall in (stamps, stamps.dt.offset_by("1h"))
            )
            stamps = pl.select(pl.coalesce(exact, later)).to_series()
    return stamps.dt.cast_time_unit(unit).alias(name)
