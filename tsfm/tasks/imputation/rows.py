"""From rows to places on the grid and back: what is filled goes into the rows that came in."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tsfm.errors import DataError, OffGridError
from tsfm.series.convert import Origin, to_polars
from tsfm.series.frame import SeriesFrame
from tsfm.series.frequency import seasonality
from tsfm.series.grids import TradingGrid
from tsfm.series.validation import Columns, check_rows, pick_columns
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.imputation.columns import put_arrow, put_pandas, put_polars

ROW = "the number of the row"


class IrregularStampsWarning(UserWarning):
    """Says that stamps are not regular, so that rows were taken as steps of equal length."""


class StaysMissingWarning(UserWarning):
    """Says which gaps were not filled, and why."""


class LeftMissing(NamedTuple):
    """A series with gaps that were not filled."""

    item: Any
    target: str
    reason: str
    n_steps: int


@dataclass(frozen=True)
class RowFrame:
    """A frame, its series on a regular grid, and which step of the grid every row is.

    Parameters
    ----------
    data
        What came in, untouched.
    frame
        The same in polars.
    place
        Of every row in `series.values`; places without a row are gaps among the stamps.
    """

    data: Any
    frame: pl.DataFrame
    origin: Origin
    series: SeriesFrame
    place: Int[ndarray, " row"]

    @property
    def seasonality(self) -> int:
        """Steps of a season as the frequency has it; 1 for none.

        Steps within trading hours have none: a session is shorter than a day.
        """
        grid = self.series.grid
        return 1 if grid is None or isinstance(grid, TradingGrid) else seasonality(grid.freq)

    def with_columns(
        self,
        filled: Mapping[str, tuple[Bool[ndarray, " row"], Float64[ndarray, " row"]]],
        added: Mapping[str, ndarray],
    ) -> Any:
        """Return the frame in the kind that came in, with some values filled and columns added.

        Parameters
        ----------
        filled
            Column -> which rows get a value, and the values. Other rows keep theirs to the bit, and
            the column its type: whole numbers are rounded, text gets text.
        """
        for name in added:
            if name in self.frame.columns:
                raise DataError(
                    f"column {name!r} must not be there: imputation adds a column of that name; "
                    "rename or drop it"
                )
        if self.origin == "pandas":
            return _pandas_with(self.data, filled, added)
        new = {name: one for name, one in filled.items() if one[0].any()}
        if self.origin == "pyarrow":
            return _arrow_with(self.data, new, added)
        columns = [put_polars(self.frame[name], *one) for name, one in new.items()]
        columns += [pl.Series(name, column) for name, column in added.items()]
        frame = self.frame.with_columns(columns)
        return frame.lazy() if self.origin == "polars_lazy" else frame


def read_rows(
    data: Any,
    *,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    sources: Sequence[tuple[str, int]] = (),
) -> RowFrame:
    """Validate a frame as `SeriesFrame` does, and find the place of every row.

    Without `freq` and `calendar`, stamps that lie on no regular grid are only put in order: every
    row is a step, and a warning says so.

    Raises
    ------
    DataError
        Naming file, item, column, first bad stamp and remedy.
    """
    frame, origin = to_polars(data, timestamp_column, id_column)
    columns = pick_columns(frame, id_column, timestamp_column, target, sources)
    keys = [columns.id] if columns.has_id else []
    rows = frame.select([*keys, columns.timestamp, *columns.targets]).with_columns(
        pl.int_range(pl.len()).alias(ROW)
    )
    options: dict[str, Any] = {
        "id_column": columns.id,
        "timestamp_column": columns.timestamp,
        "target": [*columns.targets, ROW],
        "sparse": True,
        "sources": sources,
    }
    try:
        series = SeriesFrame.from_any(rows, freq=freq, calendar=calendar, **options)
    except OffGridError as error:
        if freq is not None or calendar is not None:
            raise
        warnings.warn(
            f"stamps are not regular, so every row is taken as one step ({error})",
            IrregularStampsWarning,
            stacklevel=4,
        )
        series = SeriesFrame.from_any(_as_steps(rows, columns, sources), **options)
    numbers = series.values[:, -1]
    has_row = np.isfinite(numbers)
    place = np.empty(frame.height, np.int64)
    place[numbers[has_row].astype(np.int64)] = np.flatnonzero(has_row)
    series = replace(series, values=np.ascontiguousarray(series.values[:, :-1]), columns=columns)
    return RowFrame(data, frame, origin, series, place)


def find_left(series: SeriesFrame, filled: np.ndarray, place: np.ndarray) -> list[LeftMissing]:
    """Count, by series, the rows that are still missing."""
    is_row = np.zeros(len(filled), bool)
    is_row[place] = True
    starts = series.offsets[:-1]
    missing = np.add.reduceat(~np.isfinite(filled) & is_row[:, None], starts, axis=0)
    known = np.add.reduceat(np.isfinite(series.values), starts, axis=0)
    found = []
    for item, channel in zip(*np.nonzero(missing), strict=True):
        reason = "in gaps that were not to be filled"
        if not known[item, channel]:
            reason = "since the series has no value at all"
        found.append(
            LeftMissing(
                series.items[int(item)],
                series.targets[int(channel)],
                reason,
                int(missing[item, channel]),
            )
        )
    return found


def describe_left(left: Sequence[LeftMissing]) -> str:
    """Say in one line what stays missing."""
    one = left[0]
    more = f", and {len(left) - 1} more series" if len(left) > 1 else ""
    return (
        f"item {one.item!r}, column {one.target!r}: {one.n_steps} rows stay missing, {one.reason}"
        f"{more}"
    )


def _as_steps(
    frame: pl.DataFrame, columns: Columns, sources: Sequence[tuple[str, int]]
) -> pl.DataFrame:
    """Put the rank of every stamp within its item in the place of the stamp."""
    rows = check_rows(frame, columns, sources)
    lengths = np.diff(np.append(rows.starts, len(rows.item)))
    rank = np.empty(len(rows.item), np.int64)
    rank[rows.source_row] = np.arange(len(rank)) - np.repeat(rows.starts, lengths)
    return frame.with_columns(pl.Series(columns.timestamp, rank))


def _arrow_with(
    table: Any,
    filled: Mapping[str, tuple[np.ndarray, np.ndarray]],
    added: Mapping[str, np.ndarray],
) -> Any:
    import pyarrow as pa

    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    for name, (rows, values) in filled.items():
        place = table.schema.get_field_index(name)
        column = put_arrow(table.column(place), name, rows, values)
        table = table.set_column(place, table.schema.field(place), column)
    for name, column in added.items():
        table = table.append_column(name, pl.Series(name, column).to_arrow())
    return table


def _pandas_with(
    data: Any,
    filled: Mapping[str, tuple[np.ndarray, np.ndarray]],
    added: Mapping[str, np.ndarray],
) -> Any:
    """Work on the frame itself: its index and its types do not survive a way through polars."""
    out = data.copy()
    names = [str(name) for name in data.columns]
    for target, (rows, values) in filled.items():
        if rows.any():
            place = names.index(target)
            out.isetitem(place, put_pandas(data.iloc[:, place], rows, values))
    for name, column in added.items():
        out[name] = column
    return out
