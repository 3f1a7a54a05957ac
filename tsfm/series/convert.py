"""Frames of any library to polars and back, once each."""

import sys
import warnings
from typing import Any, Literal

import polars as pl

from tsfm.errors import DataError

Origin = Literal["pandas", "polars", "polars_lazy", "pyarrow"]


def to_polars(data: Any, timestamp_column: str) -> tuple[pl.DataFrame, Origin]:
    """Return a polars frame and where it came from.

    A pandas frame whose stamps are its index (stamps or periods) gets them as a column.
    """
    if isinstance(data, pl.DataFrame):
        return data, "polars"
    if isinstance(data, pl.LazyFrame):
        return data.collect(), "polars_lazy"
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(data, pyarrow.Table):
        return pl.DataFrame(pl.from_arrow(_known(data))), "pyarrow"
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _from_pandas(data, timestamp_column), "pandas"
    return _through_narwhals(data), "polars"


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


def _from_pandas(data: Any, timestamp_column: str) -> pl.DataFrame:
    import pandas as pd

    if timestamp_column not in data.columns and timestamp_column in data.index.names:
        data = data.reset_index()
    if timestamp_column not in data.columns and isinstance(
        data.index, pd.DatetimeIndex | pd.PeriodIndex
    ):
        index = data.index
        stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
        data = data.assign(**{timestamp_column: stamps})
    if data.columns.nlevels > 1:
        raise DataError(
            f"columns must have names of one level, got {data.columns.nlevels} levels, such as "
            f"{data.columns[-1]}; select one of the first level or join the names"
        )
    names = data.columns.astype(str)
    if not names.is_unique:
        twice = names[names.duplicated()].unique().tolist()
        raise DataError(f"columns must have names of their own, got {twice} twice; rename them")
    columns = {}
    for name in data.columns:
        column = data[name]
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        columns[str(name)] = _series(column.reset_index(drop=True))
    return pl.DataFrame(columns)


def _series(column: Any) -> pl.Series:
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
