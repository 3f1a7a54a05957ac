"""Cutoffs as users write them, and how much of every series lies at or before them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import ConfigError
from tsfm.series.frame import SeriesFrame
from tsfm.series.stamps import as_integers, parse_text
from tsfm.shapes import Bool, Int, ndarray


def read_cutoffs(series: SeriesFrame, cutoffs: Sequence[Any]) -> pl.Series:
    """Return cutoffs in the type of the frame's stamps.

    Parameters
    ----------
    cutoffs
        Dates, times, texts such as ``"2024-01-31"``, or steps; without a time zone they are in
        that of the frame, and a frame without one takes only such.

    Raises
    ------
    ConfigError
        When there are none, or they are no stamps of the frame's kind.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": ["2024-01-01", "2024-01-02"], "target": [1.0, 2.0]})
    >>> read_cutoffs(SeriesFrame.from_any(frame), ["2024-01-02"]).to_list()
    [datetime.date(2024, 1, 2)]
    """
    stamps = series.frame[series.columns.timestamp]
    found = as_stamps(cutoffs, stamps.dtype)
    if found is None or not len(found):
        raise ConfigError(
            f"cutoffs must be stamps of the frame's type {stamps.dtype}, got {cutoffs!r}; pass for "
            f"example [{stamps[-1]!r}]"
        )
    return found.rename("cutoff")


def as_stamps(given: Any, kind: Any) -> pl.Series | None:
    """Return stamps as users write them in the type `kind`, None where one is none of it.

    Examples
    --------
    >>> as_stamps(["2024-01-31 16:00"], pl.Datetime("us", "Asia/Tokyo")).dt.to_string().to_list()
    ['2024-01-31 16:00:00.000000+09:00']
    """
    try:
        values: Any = list(given)
        if any(isinstance(one, np.datetime64) for one in values):
            values = np.array(values, "M8[us]")
        found = pl.Series(values)
        if found.dtype == pl.String and not kind.is_integer():
            found = parse_text(found)
        zone, own = (getattr(one, "time_zone", None) for one in (kind, found.dtype))
        if zone and not own:
            found = found.cast(pl.Datetime("us")).dt.replace_time_zone(zone)
        # Nobody knows which zone a frame without one is in.
        is_kind = found.dtype.is_integer() == kind.is_integer()
        if is_kind and (zone or not own):
            found = found.cast(kind)
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        return None
    return None if found.null_count() or found.dtype != kind else found


def steps_until(series: SeriesFrame, cutoffs: pl.Series) -> Int[ndarray, "item cutoff"]:
    """Return how many steps of every item have a stamp at or before every cutoff."""
    stamps = as_integers(series.frame[series.columns.timestamp])[1]
    limits = as_integers(cutoffs)[1]
    parts = np.split(stamps, series.offsets[1:-1])
    return np.stack([np.searchsorted(part, limits, side="right") for part in parts])


def has_values(
    series: SeriesFrame,
    item: Int[ndarray, " window"],
    begin: Int[ndarray, " window"],
    stop: Int[ndarray, " window"],
) -> Bool[ndarray, "window channel"]:
    """Say of every window and target whether there is a value; steps are half open."""
    seen = np.isfinite(series.values).cumsum(0)
    until = np.concatenate([np.zeros((1, seen.shape[1]), np.int64), seen])
    start = series.offsets[item]
    found: ndarray = until[start + stop] > until[start + begin]
    return found
