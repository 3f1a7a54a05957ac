"""Frames of any library to polars and back, once each."""

import sys
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
        return pl.DataFrame(pl.from_arrow(data)), "pyarrow"
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _from_pandas(data, timestamp_column), "pandas"
    return _through_narwhals(data), "polars"


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

    if timestamp_column not in data.columns and isinstance(
        data.index, pd.DatetimeIndex | pd.PeriodIndex
    ):
        index = data.index
        stamps = index.to_timestamp() if isinstance(index, pd.PeriodIndex) else index
        data = data.assign(**{timestamp_column: stamps})
    columns = {}
    for name in data.columns:
        column = data[name]
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        try:
            columns[str(name)] = pl.from_pandas(column.reset_index(drop=True))
        except Exception as error:
            bad = column[[isinstance(value, str) for value in column]]
            shown = f", for example {bad.iloc[0]!r} in row {bad.index[0]!r}" if len(bad) else ""
            raise DataError(
                f"column {name!r} must hold values of one type, got a mixture{shown}; cast it "
                f"({type(error).__name__})"
            ) from None
    return pl.DataFrame(columns)


def from_polars(frame: pl.DataFrame, origin: Origin) -> Any:
    """Return `frame` as the kind of frame that came in."""
    if origin == "pandas":
        return frame.to_pandas()
    if origin == "pyarrow":
        return frame.to_arrow()
    return frame.lazy() if origin == "polars_lazy" else frame
