"""Frames of any library to polars and back, once each."""

import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, Literal
from uuid import UUID

import polars as pl

from tsfm.errors import DataError
from tsfm.series.offsets import named_in_arrow, named_in_pandas

Origin = Literal["pandas", "polars", "polars_lazy", "pyarrow"]


# What stands in for a default name, when that is absent.
STAND_INS = {"unique_id": "item_id", "ds": "timestamp"}


def to_polars(
    data: Any, timestamp_column: str, id_column: str = "item_id"
) -> tuple[pl.DataFrame, Origin]:
    """Return a polars frame and where it came from.

    A pandas frame whose ids or stamps (or periods) are its index gets them as columns.
    """
    if isinstance(data, pl.DataFrame):
        return data, "polars"
    if isinstance(data, pl.LazyFrame):
        return data.collect(), "polars_lazy"
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(data, pyarrow.RecordBatch):
        data = pyarrow.Table.from_batches([data])
    if pyarrow is not None and isinstance(data, pyarrow.Table):
        return _from_arrow(data, timestamp_column), "pyarrow"
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _from_pandas(data, timestamp_column, id_column), "pandas"
    return _through_narwhals(data), "polars"


def _from_arrow(table: Any, timestamp_column: str) -> pl.DataFrame:
    refuse_twice(table.column_names)
    # Who reads a file does not know yet which of its columns are stamps.
    stamps = (timestamp_column, "ds") if timestamp_column else table.column_names
    table = named_in_arrow(_known(table), stamps)
    try:
        return pl.DataFrame(pl.from_arrow(table))
    except pl.exceptions.PolarsError:
        return pl.DataFrame({name: _arrow_series(table, name) for name in table.column_names})


def _arrow_series(table: Any, name: str) -> pl.Series:
    """Return a column; one of a type that polars does not know goes on as text, as in pandas."""
    try:
        return pl.Series(pl.from_arrow(table.column(name)))
    except pl.exceptions.PolarsError:
        try:
            values = table.column(name).to_pylist()
        except (ArithmeticError, LookupError, TypeError, ValueError):
            kind = table.schema.field(name).type
            raise DataError(
                f"column {name!r} must be of a type that can be read, got {kind}; cast or drop it"
            ) from None
        return pl.Series([None if one is None else str(one) for one in values], dtype=pl.String)


def refuse_twice(names: Sequence[str]) -> None:
    """Raise when two columns have one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"columns must have names of their own, got {twice} twice; rename them")


def _known(table: Any) -> Any:
    """Return a table of types that polars knows: decimals of 256 bits become numbers."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_decimal256(field.type):
            numbers = table.column(place).cast(pa.float64())
            table = table.set_column(place, field.name, numbers)
    return table


def _through_narwhals(data: Any) -> pl.DataFrame:
    import narwhals as nw

    try:
        frame = nw.from_native(data)
    except TypeError:
        raise DataError(
            f"data must be a pandas, polars or pyarrow frame, got {type(data).__name__}; "
            "wrap arrays in a frame with a timestamp and a target column"
        ) from None
    return (frame.collect() if isinstance(frame, nw.LazyFrame) else frame).to_polars()


def _from_pandas(data: Any, timestamp_column: str, id_column: str) -> pl.DataFrame:
    import pandas as pd

    if data.columns.nlevels > 1:
        raise DataError(
            f"columns must have names of one level, got {data.columns.nlevels} levels, such as "
            f"{data.columns[-1]}; select one of the first level or join the names"
        )
    keys = _keys_in_index(data, timestamp_column, id_column)
    data = data.reset_index(level=keys) if keys else data
    if timestamp_column not in data.columns and isinstance(
        data.index, pd.DatetimeIndex | pd.PeriodIndex
    ):
        index = data.index
        stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
        data = data.assign(**{timestamp_column: stamps})
    refuse_twice([str(name) for name in data.columns])
    columns = {}
    for name in data.columns:
        column = data[name]
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        if isinstance(column.dtype, pd.DatetimeTZDtype) and name in (timestamp_column, "ds"):
            column = named_in_pandas(column)
        columns[str(name)] = _series(column.reset_index(drop=True))
    return pl.DataFrame(columns)


def _keys_in_index(data: Any, timestamp_column: str, id_column: str) -> list[str]:
    """Name the levels of a pandas index that are to be columns: another one may be anything."""
    import pandas as pd

    levels = [name for name in data.index.names if name is not None and name not in data.columns]
    if isinstance(data.index, pd.RangeIndex):  # row numbers are no ids, whatever they are called
        return [name for name in levels if name == timestamp_column]
    if timestamp_column in levels:
        return levels
    known = {*data.columns, *levels}
    # An index of stamps alone takes the name that is asked for, whatever it is called.
    is_dated = isinstance(data.index, pd.DatetimeIndex | pd.PeriodIndex)
    stand_ins = [] if is_dated else [one for one in STAND_INS if STAND_INS[one] not in known]
    return [name for name in levels if name == id_column or name in stand_ins]


def _series(column: Any) -> pl.Series:
    if column.dtype == object:
        first = next(iter(column.dropna()), None)
        # Of UUIDs arrow would make bytes, which nobody can read.
        if isinstance(first, UUID) or (isinstance(first, date) and _mixes_zones(column)):
            return _texts(column)
    if str(column.dtype).startswith("decimal256"):
        column = column.astype("double[pyarrow]")
    try:
        with warnings.catch_warnings():
            # pandas 3.1 deprecates how pyarrow reads stamps with a time zone.
            warnings.simplefilter("ignore", DeprecationWarning)
            return pl.from_pandas(column)
    except (TypeError, ValueError, NotImplementedError, OverflowError, pl.exceptions.PolarsError):
        # A mixture of types goes on as text, so that the check of frames can name the item and
        # the stamp of a value that it cannot use.
        return _texts(column)


def _mixes_zones(column: Any) -> bool:
    """Say whether some stamps have a time zone and others not, which arrow would take as UTC."""
    stamps = (one for one in column.dropna() if isinstance(one, date))
    return len({getattr(one, "tzinfo", None) is None for one in stamps}) > 1


def _texts(column: Any) -> pl.Series:
    texts = column.map(str, na_action="ignore")
    values = [text if isinstance(text, str) else None for text in texts]
    return pl.Series(values, dtype=pl.String)


def from_polars(frame: pl.DataFrame, origin: Origin) -> Any:
    """Return `frame` as the kind of frame that came in."""
    if origin == "pandas":
        return frame.to_pandas()
    if origin == "pyarrow":
        return frame.to_arrow()
    return frame.lazy() if origin == "polars_lazy" else frame
