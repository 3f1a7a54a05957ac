"""SeriesFrame: the only door for user data.

Whatever comes in leaves as float64 values that lie end to end on a regular grid, with missing
values where a stamp was missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError, OffGridError
from tsfm.series.bad_rows import count_rows
from tsfm.series.convert import Origin, from_polars, to_polars
from tsfm.series.frequency import grid_of, infer_grid, infer_steps, session_grid
from tsfm.series.grids import OFF_GRID, FixedGrid, Grid, rule_and_remedy
from tsfm.series.mixed import warn_of_mixed
from tsfm.series.stamps import to_stamps, uses_utc
from tsfm.series.validation import Columns, Rows, check_rows, pick_columns
from tsfm.shapes import Float64, Int, ndarray

# More rows than this after filling gaps is a wrong frequency, not a series.
MOST_ROWS = 500_000_000
MOST_STRETCH = 1000
# So many stamps without neighbours are no accident.
FEWEST_STEPS = 10


@dataclass(frozen=True)
class SeriesFrame:
    """Series on a regular grid, sorted by item and time.

    Parameters
    ----------
    values
        One row per step, NaN where missing; item i is ``values[offsets[i]:offsets[i + 1]]``.
    items
        One id per item, in the type it came in.
    first
        Ordinal of the first stamp of every item on `grid`.
    origin_stamps
        The first stamp of every item, from which the grid counts.
    grid
        None when no item has two stamps, so that no frequency can be known.
    """

    values: Float64[ndarray, "total_time channel"]
    offsets: Int[ndarray, " item_and_end"]
    items: pl.Series
    first: Int[ndarray, " item"]
    origin_stamps: Int[ndarray, " item"]
    grid: Grid | None
    columns: Columns
    stamp_type: Any
    origin: Origin

    @staticmethod
    def from_any(
        data: Any,
        *,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        sparse: bool = False,
        sources: Sequence[tuple[str, int]] = (),
    ) -> "SeriesFrame":
        """Validate a frame of any kind.

        Parameters
        ----------
        data
            pandas, polars (eager or lazy) or pyarrow; long, one row per item and stamp. Without an
            id column it is one item.
        freq
            A pandas alias, for stamps that are days or times; inferred when None.
        calendar
            An exchange code: the grid is its sessions or, when stamps are less than a day apart,
            steps within its trading hours; stamps without a time zone are then the exchange's.
        sparse
            Whether `freq` may be so fine that no two stamps are neighbours, for those who fill in
            what lies between.
        sources
            File names and row counts, for error messages.

        Raises
        ------
        DataError
            Naming file, item, column, first bad stamp and remedy.

        Examples
        --------
        >>> frame = pl.DataFrame({"timestamp": [3, 1, 2], "target": [30.0, 10.0, 20.0]})
        >>> SeriesFrame.from_any(frame).values[:, 0].tolist()
        [10.0, 20.0, 30.0]
        """
        frame, origin = to_polars(data, timestamp_column, id_column)
        columns = pick_columns(frame, id_column, timestamp_column, target, sources)
        rows = check_rows(frame, columns, sources)
        grid = _choose_grid(rows, freq, calendar)
        series = _on_grid(rows, grid, columns, origin, is_true=freq is not None and not sparse)
        if freq is None and calendar is None and not sparse:
            warn_of_mixed(rows, grid, series.lengths)
        return series

    @property
    def n_items(self) -> int:
        """Number of items."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int[ndarray, " item"]:
        """Steps of every item, gaps included."""
        return np.diff(self.offsets)

    @property
    def freq(self) -> str | None:
        """Alias of the frequency; ``"step"`` for integer stamps."""
        return self.grid.freq if self.grid else None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the value columns."""
        return self.columns.targets

    @cached_property
    def frame(self) -> pl.DataFrame:
        """The series as a long polars frame, gaps as rows with null."""
        item = np.repeat(np.arange(self.n_items), self.lengths)
        step = np.arange(self.offsets[-1]) - self.offsets[item]
        content = {
            self.columns.id: self.items.gather(item),
            self.columns.timestamp: self._stamps(step, item),
        }
        for number, name in enumerate(self.targets):
            content[name] = pl.Series(self.values[:, number]).fill_nan(None)
        return pl.DataFrame(content)

    def timestamps(self, steps: Int[ndarray, " step"]) -> pl.Series:
        """Return the stamps of some steps; step `t` of all items together is ``values[t]``."""
        item = np.searchsorted(self.offsets, steps, "right") - 1
        return self._stamps(steps - self.offsets[item], item)

    def last_timestamps(self) -> pl.Series:
        """Return the last stamp of every item."""
        item = np.arange(self.n_items)
        return self._stamps(self.lengths - 1, item)

    def future_timestamps(self, prediction_length: int) -> pl.Series:
        """Return the `prediction_length` stamps after the end of every item, items end to end.

        Raises
        ------
        DataError
            When no item has two stamps and no freq was given.
        """
        item = np.repeat(np.arange(self.n_items), prediction_length)
        ahead = np.tile(np.arange(prediction_length), self.n_items)
        return self._stamps(self.lengths[item] + ahead, item)

    def before(self, n_steps: int) -> "SeriesFrame":
        """Return the frame without the last `n_steps` steps of every item."""
        lengths = self.lengths - n_steps
        if (lengths < 1).any():
            bad = self.items[int(np.argmin(lengths))]
            raise DataError(
                f"item {bad!r} must have more than {n_steps} steps, got {lengths.min() + n_steps} "
                f"({(lengths < 1).sum()} of {self.n_items} items are so short); drop such items "
                "or lower n_windows, step_size or prediction_length"
            )
        item = np.repeat(np.arange(self.n_items), self.lengths)
        step = np.arange(self.offsets[-1]) - self.offsets[item]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return replace(self, values=self.values[step < lengths[item]], offsets=offsets)

    def to_origin(self, frame: pl.DataFrame) -> Any:
        """Return `frame` as the kind of frame that came in."""
        return from_polars(frame, self.origin)

    def _stamps(self, step: np.ndarray, item: np.ndarray) -> pl.Series:
        if self.grid is None:
            if step.max(initial=0) > 0:
                raise DataError(
                    f"item {self.items[0]!r} must have two stamps for a frequency to be inferred, "
                    "got one; pass freq="
                )
            numbers = self.origin_stamps[item]
        else:
            numbers = self.grid.stamps(self.first[item] + step, self.origin_stamps[item])
        return to_stamps(numbers, self.stamp_type, self.grid, self.columns.timestamp)


def _choose_grid(rows: Rows, freq: str | None, calendar: str | None) -> Grid | None:
    is_first = np.zeros(len(rows.item), bool)
    is_first[rows.starts] = True
    if rows.is_steps:
        # Steps have no duration, so what is given would be of no effect; "step" is what they are.
        for name, given in (("calendar", calendar), ("freq", None if freq == "step" else freq)):
            if given is not None:
                raise DataError(
                    f"{rows.where(0)}: stamps must be days or times with {name} {given!r}, got "
                    f"integer steps such as {rows.stamp_text(0)}; convert them or leave {name}= out"
                )
        return infer_steps(rows.wall, is_first)
    if calendar is not None:
        return session_grid(calendar, freq, rows.utc, is_first, is_local=not rows.is_zoned)
    if freq is not None:
        grid: Grid | None = grid_of(freq, rows.wall, is_first)
    else:
        grid = infer_grid(rows.wall, is_first)
        if rows.is_zoned and (grid is None or uses_utc(grid)):
            grid = infer_grid(rows.utc, is_first)
    return grid


def _on_grid(
    rows: Rows, grid: Grid | None, columns: Columns, origin: Origin, *, is_true: bool
) -> SeriesFrame:
    """Place every row at its ordinal and leave missing values between."""
    stamps = rows.utc if uses_utc(grid) else rows.wall
    origin_stamps = stamps[rows.starts]
    lengths = np.diff(np.append(rows.starts, len(rows.item)))
    of_row = np.repeat(np.arange(len(rows.starts)), lengths)
    if grid is None:
        place = np.zeros(len(rows.item), np.int64)
    else:
        place = grid.ordinals(stamps, origin_stamps[of_row])
        off = np.flatnonzero(place == OFF_GRID)
        if len(off):
            rule, remedy = rule_and_remedy(grid)
            bad = int(off[0])
            raise OffGridError(
                f"{rows.where(bad)}: stamps must be {rule}, got {rows.stamp_text(bad)} "
                f"({count_rows(len(off))}); {remedy}"
            )
    first = place[rows.starts]
    last_rows = np.append(rows.starts[1:], len(rows.item)) - 1
    filled = place[last_rows] - first + 1
    _check_expansion(rows, place, filled, lengths, grid)
    if is_true and isinstance(grid, FixedGrid):
        _check_spacing(rows, place, of_row, grid)
    offsets = np.concatenate([[0], np.cumsum(filled)]).astype(np.int64)
    if offsets[-1] == len(rows.item):
        values = rows.values
    else:
        values = np.full((offsets[-1], rows.values.shape[1]), np.nan)
        values[offsets[of_row] + place - first[of_row]] = rows.values
    return SeriesFrame(
        values, offsets, rows.items, first, origin_stamps, grid, columns, rows.stamp_type, origin
    )


def _check_spacing(
    rows: Rows, place: np.ndarray, of_row: Int[ndarray, " row"], grid: FixedGrid
) -> None:
    """Refuse a frequency so fine that no two stamps of a frame are neighbours."""
    steps = np.diff(place)[np.diff(of_row) == 0]
    if len(steps) >= FEWEST_STEPS and steps.min() > 1:
        raise DataError(
            f"{rows.where(0)}: some stamps must be one step of freq={grid.freq!r} apart, got at "
            f"least {steps.min()} steps between any two; pass the true freq= or leave it out"
        )


def _check_expansion(
    rows: Rows, place: np.ndarray, filled: np.ndarray, lengths: np.ndarray, grid: Grid | None
) -> None:
    worst = int(np.argmax(filled / lengths))
    stretched = filled[worst] > MOST_STRETCH * lengths[worst] and filled[worst] > 1_000_000
    if stretched or filled.sum() > MOST_ROWS:
        start = int(rows.starts[worst])
        after = start + int(np.argmax(np.diff(place[start : start + lengths[worst]], append=0)))
        remedy = "pass the true freq=, split the item or resample"
        if rows.is_steps:
            remedy = "split the item, or number its rows"
        raise OffGridError(
            f"{rows.where(after)}: stamps must not be mostly gaps, got {lengths[worst]} rows on "
            f"{filled[worst]} steps of freq={grid.freq if grid else None!r}, the longest gap after "
            f"{rows.stamp_text(after)}; {remedy}"
        )
