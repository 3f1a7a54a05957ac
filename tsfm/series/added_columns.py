"""Columns that a task adds to the rows that came in, which otherwise stay as they are."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.convert import to_polars
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Int, ndarray

ROW = "__row__"


def read_with_rows(data: Any, **options: Any) -> tuple[Any, SeriesFrame, Int[ndarray, " row"]]:
    """Return the data, its series, and for every row in the order it came the step it became.

    Step `t` of all items together is ``series.values[t]``; steps between rows are gaps.

    Parameters
    ----------
    data
        As `SeriesFrame.from_any` takes it; a lazy frame is collected, once.
    options
        The keywords of `SeriesFrame.from_any`.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": [5, 1, 2], "target": [50.0, 10.0, 20.0]})
    >>> _, series, steps = read_with_rows(frame)
    >>> series.values[steps, 0].tolist()
    [50.0, 10.0, 20.0]
    """
    if isinstance(data, pl.LazyFrame):
        data = data.collect()
    series = SeriesFrame.from_any(data, **options)
    frame, _ = to_polars(data, series.columns.timestamp, series.columns.id)
    numbered = frame.with_columns(pl.Series(ROW, np.arange(frame.height, dtype=np.float64)))
    names = {"id_column": series.columns.id} if series.columns.has_id else {}
    names |= {"timestamp_column": series.columns.timestamp, "target": ROW}
    again = SeriesFrame.from_any(numbered, **{**options, **names})
    row = again.values[:, 0]
    step = np.flatnonzero(np.isfinite(row))
    steps = np.empty(frame.height, np.int64)
    steps[row[step].astype(np.int64)] = step
    return data, series, steps


def refuse_present(data: Any, names: tuple[str, ...]) -> None:
    """Raise when the data already have a column that is to be added."""
    if isinstance(data, pl.LazyFrame):
        present = set(data.collect_schema().names())
    else:
        # pyarrow has its names elsewhere, and whatever is no frame is refused later.
        own = getattr(data, "column_names", getattr(data, "columns", None))
        present = set(() if own is None else own)
    taken = [name for name in names if name in present]
    if taken:
        raise DataError(
            f"columns must not have the name of one that is added, got {taken}; rename or drop them"
        )


def with_columns(data: Any, columns: Mapping[str, ndarray], *, is_lazy: bool = False) -> Any:
    """Return the data with more columns: the same rows, order, types and kind of frame.

    Parameters
    ----------
    columns
        One value per row; NaN is missing, null where the kind of frame has it.
    """
    pandas, pyarrow = sys.modules.get("pandas"), sys.modules.get("pyarrow")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return data.assign(**columns)
    added = [pl.Series(name, one) for name, one in columns.items()]
    if pyarrow is not None and isinstance(data, pyarrow.RecordBatch):
        data = pyarrow.Table.from_batches([data])
    added = [one.fill_nan(None) if one.dtype.is_float() else one for one in added]
    if pyarrow is not None and isinstance(data, pyarrow.Table):
        for one in added:
            data = data.append_column(one.name, one.to_arrow())
        return data
    frame = data if isinstance(data, pl.DataFrame) else to_polars(data, "")[0]
    frame = frame.with_columns(added)
    return frame.lazy() if is_lazy else frame
