"""From the rows of some items to what is filled in every part: nothing is written here."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.lake.gap_counts import GapCounts, count_gaps
from tsfm.lake.options import FillOptions
from tsfm.lake.parts import Part, read_rows_of
from tsfm.series.validation import Columns
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.forecasting.quantiles import MEDIAN
from tsfm.tasks.imputation.rows import (
    IrregularStampsWarning,
    LeftMissing,
    RowFrame,
    describe_left,
    find_left,
    read_rows,
)
from tsfm.tasks.impute import Imputer

ROW, IS_NEW, STAMP, ITEM = "row", "is_new", "stamp", "item"
MOST_LISTED = 100
"""Series that a report lists by name because they keep gaps."""


@dataclass(frozen=True)
class Fills:
    """What is filled in one part.

    Parameters
    ----------
    table
        One row per row of the part that gets a value, in order: `row`, and `level_target` for every
        level. With rows to add, also `is_new`, `item` and `stamp`; a new row stands after `row`.
    counts
        Gaps, by target.
    left
        Series that keep gaps, the first of them.
    notes
        What a user should know.
    message
        What keeps gaps, in a line.
    """

    table: pl.DataFrame
    counts: dict[str, GapCounts]
    left: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    message: str | None = None


@dataclass(frozen=True)
class _Rows:
    """Rows of several parts as one frame, and where every row came from."""

    frame: RowFrame
    part: Int[ndarray, " row"]
    row: Int[ndarray, " row"]
    notes: tuple[str, ...]


def level_column(target: str, level: float) -> str:
    """Name a column of `Fills.table`."""
    return f"{level}_{target}"


def solve(
    parts: Sequence[Part],
    items: Sequence[str] | None,
    options: FillOptions,
    imputer: Imputer,
) -> list[Fills]:
    """Fill the gaps of some items, or of all that these parts hold; one `Fills` per part.

    Raises
    ------
    DataError
        When a row breaks a rule; it names the file.
    """
    if not any(part.n_rows for part in parts):
        return [Fills(_no_fills(part, options), {}) for part in parts]
    rows = _read(parts, items, options)
    series = rows.frame.series
    has_row = np.zeros(len(series.values), bool)
    has_row[rows.frame.place] = True
    wanted = np.ones_like(has_row) if options.fill_rows else has_row
    levels = (MEDIAN, *options.quantile_levels)
    found = imputer.impute_arrays(
        series.values,
        series.offsets,
        levels,
        mode=options.mode,
        max_gap=options.max_gap,
        seasonality=rows.frame.seasonality,
        wanted=wanted,
    )
    anchor = _anchors(rows, has_row)
    table = _table(rows, found, levels, options, anchor, has_row)
    left = _left(rows, found[0], len(parts))
    of_part = []
    for number in range(len(parts)):
        own = rows.part[anchor] == number
        of_part.append(
            Fills(
                table.filter(pl.col("part") == number).drop("part").sort(ROW, *_order(options)),
                _counts(rows, found[0], wanted, own, options),
                tuple(_plain(one) for one in left[number][:MOST_LISTED]),
                rows.notes,
                describe_left(left[number]) if left[number] else None,
            )
        )
    return of_part


def _counts(
    rows: _Rows,
    filled: Float64[ndarray, "step channel"],
    wanted: Bool[ndarray, " step"],
    own: Bool[ndarray, " step"],
    options: FillOptions,
) -> dict[str, GapCounts]:
    series = rows.frame.series
    return {
        target: count_gaps(
            series.values[:, channel],
            filled[:, channel],
            series.offsets,
            wanted,
            max_gap=options.max_gap,
            mode=options.mode,
            own=own,
        )
        for channel, target in enumerate(series.targets)
    }


def _read(parts: Sequence[Part], items: Sequence[str] | None, options: FillOptions) -> _Rows:
    frames, part, row = [], [], []
    for number, one in enumerate(parts):
        frame, places = read_rows_of(one, items)
        frames.append(frame)
        part.append(np.full(len(places), number))
        row.append(places)
    (first, *_) = (one.columns for one in parts if one.columns is not None)
    sources = [(one.source, frame.height) for one, frame in zip(parts, frames, strict=True)]
    frame = pl.concat(_of_one_kind(frames, parts, first), how="vertical_relaxed")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read = read_rows(
            frame,
            id_column=first.id,
            timestamp_column=first.timestamp,
            target=list(first.targets),
            freq=options.freq,
            calendar=options.calendar,
            sources=sources,
        )
    irregular = [one for one in caught if issubclass(one.category, IrregularStampsWarning)]
    if irregular and options.fill_rows:
        raise DataError(
            f"{parts[0].source}: rows can be added to regular stamps only; {irregular[0].message}"
        )
    notes = tuple(f"{parts[0].source}: {one.message}" for one in irregular)
    return _Rows(read, np.concatenate(part), np.concatenate(row), notes)


def _of_one_kind(
    frames: Sequence[pl.DataFrame], parts: Sequence[Part], columns: Columns
) -> Sequence[pl.DataFrame]:
    """Return the frames if ids and stamps have one type each; numbers may be of several."""
    keys = [*([columns.id] if columns.has_id else []), columns.timestamp]
    for part, frame in zip(parts, frames, strict=True):
        for name in keys:
            types = frames[0].schema.get(name), frame.schema.get(name)
            if None in types:
                raise DataError(
                    f"{part.source}: files that share items must have columns of the same names, "
                    f"got {frame.columns} against {frames[0].columns} in {parts[0].source}; "
                    "rename them"
                )
            if types[0] != types[1]:
                raise DataError(
                    f"{part.source}, column {name!r}: files that share items must have columns of "
                    f"the same types, got {types[1]} against {types[0]} in {parts[0].source}; "
                    "cast it"
                )
    return frames


def _anchors(rows: _Rows, has_row: Bool[ndarray, " step"]) -> Int[ndarray, " step"]:
    """Return for every step its row, or the last row before it: every item begins with one."""
    place = rows.frame.place
    row_at = np.full(len(has_row), -1)
    row_at[place] = np.arange(len(place))
    latest = np.maximum.accumulate(np.where(has_row, np.arange(len(has_row)), -1))
    found: ndarray = row_at[latest]
    return found


def _table(
    rows: _Rows,
    found: Float64[ndarray, "level step channel"],
    levels: Sequence[float],
    options: FillOptions,
    anchor: Int[ndarray, " step"],
    has_row: Bool[ndarray, " step"],
) -> pl.DataFrame:
    """Return part, row and values of every step that was filled, and of every row to add."""
    series = rows.frame.series
    filled = ~np.isfinite(series.values) & np.isfinite(found[0])
    chosen = filled.any(1) & has_row
    if options.fill_rows:
        chosen |= ~has_row
    steps = np.flatnonzero(chosen)
    at = anchor[steps]
    content: dict[str, Any] = {"part": rows.part[at], ROW: rows.row[at]}
    if options.fill_rows:
        item = np.searchsorted(series.offsets, steps, "right") - 1
        content[IS_NEW] = ~has_row[steps]
        content[ITEM] = series.items.gather(item)
        content[STAMP] = series.timestamps(steps)
    for number, level in enumerate(levels):
        for channel, target in enumerate(series.targets):
            values = np.where(filled[steps, channel], found[number, steps, channel], np.nan)
            content[level_column(target, level)] = pl.Series(values).fill_nan(None)
    return pl.DataFrame(content)


def _order(options: FillOptions) -> tuple[str, ...]:
    return (IS_NEW, STAMP) if options.fill_rows else ()


def _no_fills(part: Part, options: FillOptions) -> pl.DataFrame:
    targets = part.columns.targets if part.columns else ()
    names = [
        level_column(t, level) for level in (MEDIAN, *options.quantile_levels) for t in targets
    ]
    return pl.DataFrame(schema={ROW: pl.Int64} | dict.fromkeys(names, pl.Float64))


def _left(
    rows: _Rows, filled: Float64[ndarray, "step channel"], n_parts: int
) -> list[list[LeftMissing]]:
    """Return the series that keep gaps, at the part where the item begins."""
    series = rows.frame.series
    found: list[list[LeftMissing]] = [[] for _ in range(n_parts)]
    left = find_left(series, filled, rows.frame.place)
    if left:
        row_at = np.empty(len(filled), np.int64)
        row_at[rows.frame.place] = np.arange(len(rows.frame.place))
        start = dict(zip(series.items.to_list(), series.offsets[:-1], strict=True))
        for one in left:
            found[int(rows.part[row_at[start[one.item]]])].append(one)
    return found


def _plain(one: LeftMissing) -> dict[str, Any]:
    return {**one._asdict(), "item": str(one.item)}
