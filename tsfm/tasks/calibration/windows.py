"""Forecasts in a long frame as arrays: one window per item, target and cutoff."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.stamps import as_integers, parse_text
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.calibration.conformal import central_intervals, mean_width

ROW = "__row__"


class ForecastWindows(NamedTuple):
    """The rows of a frame, one window per item, target and cutoff, its steps in order of time.

    Parameters
    ----------
    truth
        NaN where missing, or where the frame has no truth at all.
    last
        The last stamp of every window, in microseconds of UTC or as the step that it is.
    """

    row: Int[ndarray, "window horizon"]
    quantiles: Float64[ndarray, "window level horizon"]
    truth: Float64[ndarray, "window horizon"]
    scale: Float64[ndarray, " window"]
    block: Int[ndarray, " window"]
    last: Int[ndarray, " window"]


def read_windows(
    data: pl.DataFrame,
    quantile_levels: Sequence[float],
    *,
    id_column: str,
    timestamp_column: str,
    target: str | None,
    scale_column: str | None,
) -> ForecastWindows:
    """Return the windows of a long frame of forecasts.

    Raises
    ------
    DataError
        When columns are missing or no numbers, or windows differ in their number of rows, or two
        rows are of one step.
    """
    names = [str(level) for level in quantile_levels]
    require_columns(data, (timestamp_column, *names, *([scale_column] if scale_column else ())))
    keys = [name for name in (id_column, "target_name", "cutoff") if name in data.columns]
    ordered = data.with_row_index(ROW).sort([*keys, timestamp_column])
    _refuse_two_rows(ordered, [*keys, timestamp_column])
    sizes = ordered.group_by(keys, maintain_order=True).len() if keys else None
    lengths = np.array([data.height]) if sizes is None else sizes["len"].to_numpy()
    if not data.height:
        raise DataError("a frame of forecasts must have rows, got none; give forecasts")
    if sizes is not None and (lengths != lengths[0]).any():
        raise DataError(
            f"windows of forecasts must have the same number of rows, got {lengths.min()} of "
            f"{sizes.row(int(lengths.argmin()))[:-1]} and {lengths.max()}; drop the shorter ones"
        )
    shape = (len(lengths), int(lengths[0]))
    quantiles = np.stack([_floats(ordered, name).reshape(shape) for name in names], axis=1)
    truth = np.full(shape, np.nan) if target is None else _floats(ordered, target).reshape(shape)
    if scale_column is None:
        scale = mean_width(quantiles, central_intervals(quantile_levels))
    else:
        scale = _floats(ordered, scale_column).reshape(shape)[:, 0]
    first = ordered.gather_every(shape[1])
    block = first["cutoff"].rank("dense").to_numpy() if "cutoff" in first.columns else None
    stamps = ordered[timestamp_column]
    stamps = parse_text(stamps) if stamps.dtype == pl.String else stamps
    return ForecastWindows(
        ordered[ROW].to_numpy().astype(np.int64).reshape(shape),
        quantiles,
        truth,
        scale,
        np.zeros(len(first), np.int64) if block is None else block.astype(np.int64),
        as_integers(stamps)[1].reshape(shape)[:, -1].astype(np.int64),
    )


def level_columns(data: pl.DataFrame) -> tuple[float, ...]:
    """Return the levels that columns are named by, sorted.

    Raises
    ------
    DataError
        When there is none.
    """
    found = []
    for name in data.columns:
        try:
            level = float(name)
        except ValueError:
            continue
        if str(level) == name and 0 < level < 1:
            found.append(level)
    if not found:
        raise DataError(
            f"a frame of forecasts must have columns named by levels such as '0.05', got "
            f"{data.columns}; rename them"
        )
    return tuple(sorted(found))


def _floats(data: pl.DataFrame, name: str) -> Float64[ndarray, " row"]:
    try:
        values: ndarray = data[name].cast(pl.Float64).to_numpy()
    except pl.exceptions.PolarsError:
        raise DataError(
            f"column {name!r}: a forecast must be numbers, got {data[name].dtype}; correct the text"
        ) from None
    return values


def _refuse_two_rows(data: pl.DataFrame, keys: Sequence[str]) -> None:
    """Raise when two rows are of one step: forecasts of two models would be one long window."""
    twice = data.filter(pl.struct(keys).is_duplicated())
    if len(twice):
        raise DataError(
            f"a frame of forecasts must have one row per {list(keys)}, got several for "
            f"{twice.select(keys).row(0)} ({len(twice)} such rows); keep the forecasts of one "
            "model, or add cutoff"
        )


def require_columns(data: pl.DataFrame, names: Sequence[str]) -> None:
    """Raise when one of the columns is not there."""
    missing = [name for name in names if name not in data.columns]
    if missing:
        raise DataError(
            f"a frame of forecasts must have the columns {missing}, got {data.columns}; see "
            "tsfm.cross_validation"
        )
