"""Covariates of a frame as arrays: what is known of every step, past and future, and item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.series.convert import to_polars
from tsfm.series.frame import SeriesFrame
from tsfm.series.stamps import as_integers, parse_text, to_stamps
from tsfm.shapes import Float64, ndarray


@dataclass(frozen=True)
class CovariateTable:
    """Covariates beside the series that they belong to.

    Parameters
    ----------
    past
        One row per step of all items, NaN where missing; first those known ahead.
    future
        Of those known ahead, at every step that is forecast; nothing is missing.
    names
        Of the columns of `past`.
    static
        Numbers, and one column of zeros and ones per value of a text.
    """

    past: Float64[ndarray, "total_time covariate"]
    future: Float64[ndarray, "item horizon known"]
    names: tuple[str, ...]
    static: Float64[ndarray, "item fact"]

    @property
    def n_known(self) -> int:
        """Covariates whose future is known."""
        return self.future.shape[2]

    def check_values(self) -> None:
        """Raise when a covariate has no value in the past, from which nothing is learnt."""
        seen = np.isfinite(self.past).any(0)
        never = [name for name, has_value in zip(self.names, seen, strict=True) if not has_value]
        if never:
            raise DataError(
                f"covariates must have values in the data, got none in {never}; drop them"
            )


def read_covariates(
    data: Any,
    series: SeriesFrame,
    future: Any,
    prediction_length: int,
    *,
    covariates: Sequence[str] | None,
    static_covariates: Sequence[str],
    options: dict[str, Any],
) -> CovariateTable:
    """Read and check covariates.

    Parameters
    ----------
    future
        Rows after the end of every item, at least `prediction_length` of them, with the covariates
        that are known ahead; None when none is.
    covariates
        Columns of `data`; None takes those that `future` has.
    options
        Keywords of `SeriesFrame.from_any` that `series` was read with.

    Raises
    ------
    ConfigError
        When no covariate is left.
    DataError
        Naming column, item and the first stamp at which a known covariate is missing.
    """
    key_names = (series.columns.timestamp, series.columns.id)
    frame, _ = to_polars(data, *key_names)
    ahead = None if future is None else to_polars(future, *key_names)[0]
    keys = {series.columns.id, series.columns.timestamp, *series.targets}
    # Which names were taken has been said when the series were read.
    options = {**options, "timestamp_column": key_names[0], "id_column": key_names[1]}
    if covariates is None:
        candidates = [] if ahead is None else [one for one in ahead.columns if one not in keys]
        covariates = [one for one in candidates if one not in static_covariates]
    names = list(dict.fromkeys(covariates))
    _check_names([*names, *static_covariates], frame, keys)
    if not names and not static_covariates:
        raise ConfigError(
            "covariates must name at least one column, got none; name columns of the data, or pass "
            "future= with them"
        )
    known = [name for name in names if ahead is not None and name in ahead.columns]
    names = [*known, *(name for name in names if name not in known)]
    past = np.empty((len(series.values), 0))
    if names:
        numbers = frame.with_columns(_as_number(frame, name) for name in names)
        past = SeriesFrame.from_any(numbers, **{**options, "target": names}).values
    return CovariateTable(
        past,
        _future_values(series, ahead, known, prediction_length),
        tuple(names),
        _static_facts(frame, series, static_covariates),
    )


def _check_names(names: Sequence[str], frame: pl.DataFrame, keys: set[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(
            f"covariates must be columns of the data, got {missing} and columns {frame.columns}; "
            "add them"
        )
    taken = [name for name in names if name in keys]
    if taken:
        raise ConfigError(
            f"covariates must be other columns than id, timestamp and target, got {taken}; leave "
            "them out"
        )


def _as_number(frame: pl.DataFrame, name: str) -> pl.Expr:
    kind = frame[name].dtype
    if not (kind.is_numeric() or kind == pl.Boolean):
        raise DataError(
            f"column {name!r}: a covariate must be a number at every step, got {kind}; make "
            "columns of zeros and ones of it, or name it in static_covariates if it never changes"
        )
    return pl.col(name).cast(pl.Float64)


def _future_values(
    series: SeriesFrame, ahead: pl.DataFrame | None, known: list[str], prediction_length: int
) -> Float64[ndarray, "item horizon known"]:
    """Return the known covariates at the stamps that are forecast."""
    shape = (series.n_items, prediction_length, len(known))
    if ahead is None or not known:
        return np.empty(shape)
    identity, stamp = series.columns.id, series.columns.timestamp
    stamps = series.future_timestamps(prediction_length)
    wanted = pl.DataFrame(
        {
            identity: series.items.gather(np.repeat(np.arange(shape[0]), prediction_length)),
            stamp: stamps,
        }
    )
    values = _with_keys_of(series, stamps.dtype, ahead, known)
    values = values.unique(maintain_order=True).join(wanted, on=[identity, stamp], how="semi")
    _refuse_two_values(values, identity, stamp)
    joined = wanted.join(values, on=[identity, stamp], how="left", maintain_order="left")
    for name in known:
        lost = np.flatnonzero(~np.isfinite(joined[name].cast(pl.Float64).to_numpy()))
        if len(lost):
            where = joined.row(int(lost[0]), named=True)
            raise DataError(
                f"item {where[identity]!r}, column {name!r}: must be known at every step that is "
                f"forecast, got {_shown(where[name])} in future= at {where[stamp]} ({len(lost)} "
                "such rows); add or correct the rows, or leave the column out of future="
            )
    found: ndarray = joined.select(known).to_numpy().astype(np.float64).reshape(shape)
    return found


def _with_keys_of(
    series: SeriesFrame, kind: Any, ahead: pl.DataFrame, known: list[str]
) -> pl.DataFrame:
    """Return `known` of `future` with ids and stamps in the types of the data."""
    identity, stamp = series.columns.id, series.columns.timestamp
    values = ahead.with_columns(_as_number(ahead, name) for name in known)
    if identity not in values.columns and series.n_items == 1:
        values = values.with_columns(pl.lit(series.items[0]).alias(identity))
    for key in (identity, stamp):
        if key not in values.columns:
            raise DataError(f"future must have the column {key!r}, got {ahead.columns}; add it")
    if values[stamp].dtype == pl.String and kind != pl.String:
        values = values.with_columns(parse_text(values[stamp]).alias(stamp))
    values = values.drop_nulls(stamp)
    values = values.with_columns(_in_zone(values[stamp], kind))
    # An id or a stamp of another kind is none that is wanted.
    return values.select(
        pl.col(identity).cast(series.items.dtype, strict=False),
        pl.col(stamp).cast(kind, strict=False),
        *known,
    )


def _in_zone(found: pl.Series, kind: Any) -> pl.Series:
    """Return the stamps of `future` in the zone of the data; without one they are in that."""
    zone, own = (getattr(one, "time_zone", None) for one in (kind, found.dtype))
    is_time = found.dtype == pl.Date or isinstance(found.dtype, pl.Datetime)
    if own and kind.is_temporal() and not zone:
        raise DataError(
            f"column {found.name!r}: future must have stamps without a time zone, as the data "
            f"have, got them in {own}; convert them"
        )
    if not zone or own or not is_time:
        return found
    return to_stamps(as_integers(found)[0], kind, None, found.name)


def _refuse_two_values(values: pl.DataFrame, identity: str, stamp: str) -> None:
    """Raise when a step of an item has rows that differ."""
    twice = values.filter(pl.struct(identity, stamp).is_duplicated())
    if len(twice):
        where = twice.row(0, named=True)
        raise DataError(
            f"item {where[identity]!r}: future must have one row per step, got rows that differ at "
            f"{where[stamp]} ({len(twice)} such rows); keep one of them"
        )


def _shown(value: float | None) -> str:
    return "nothing" if value is None or np.isnan(value) else str(value)


def _static_facts(
    frame: pl.DataFrame, series: SeriesFrame, names: Sequence[str]
) -> Float64[ndarray, "item fact"]:
    """Return one row of numbers per item."""
    columns = [np.empty((series.n_items, 0))]
    identity = series.columns.id
    if identity not in frame.columns:
        frame = frame.with_columns(pl.lit(series.items[0]).alias(identity))
    for name in names:
        numbers = frame[name].dtype.is_float()
        value = pl.col(name).fill_nan(None) if numbers else pl.col(name)
        if numbers and frame[name].is_infinite().any():
            raise DataError(
                f"column {name!r}: a static covariate must be finite, got an infinite value; cap it"
            )
        facts = frame.group_by(identity).agg(
            value.drop_nulls().n_unique().alias("count"), value.drop_nulls().first()
        )
        facts = pl.DataFrame({identity: series.items}).join(
            facts, on=identity, how="left", maintain_order="left"
        )
        bad = facts.filter(pl.col("count") != 1)
        if len(bad):
            raise DataError(
                f"item {bad[identity][0]!r}, column {name!r}: a static covariate must have one "
                f"value, got {bad['count'][0]} ({len(bad)} such items); name it in covariates"
            )
        values = facts[name]
        if values.dtype.is_numeric() or values.dtype == pl.Boolean:
            columns.append(values.cast(pl.Float64).to_numpy()[:, None])
        else:
            columns.append(values.to_dummies().to_numpy().astype(np.float64))
    return np.concatenate(columns, axis=1)
