"""Checks of user frames: which columns, and whether every row can be used."""

import difflib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.bad_rows import refuse_rows, where
from tsfm.series.blanks import refuse_blank_twins
from tsfm.series.stamp_column import TEXT, read_stamps
from tsfm.series.stamps import as_integers
from tsfm.shapes import Float64, Int, ndarray

NIXTLA_NAMES = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}
ONLY_ITEM = "0"
# What people and other programs write for a missing number, in lower case.
MISSING_TEXTS = ("", "na", "n/a", "nan", "null", "none")


class ColumnNamesWarning(UserWarning):
    """Says that `unique_id`, `ds` and `y` were used in place of the default names."""


@dataclass(frozen=True)
class Columns:
    """Names of the key and value columns; `has_id` is False for a frame that is one item."""

    id: str
    timestamp: str
    targets: tuple[str, ...]
    has_id: bool


@dataclass(frozen=True)
class Rows:
    """Checked rows, sorted by item and time.

    `wall` and `utc` are microseconds since 1970 of the wall clock and of UTC (the same without a
    time zone), or integer steps.
    """

    items: pl.Series
    item: Int[ndarray, " row"]
    starts: Int[ndarray, " item"]
    wall: Int[ndarray, " row"]
    utc: Int[ndarray, " row"]
    values: Float64[ndarray, "row channel"]
    stamp_type: Any
    timestamp: str
    source_row: Int[ndarray, " row"]
    sources: tuple[tuple[str, int], ...]

    @property
    def is_steps(self) -> bool:
        """Whether stamps are plain integers."""
        return self.stamp_type.is_integer()

    @property
    def is_zoned(self) -> bool:
        """Whether stamps have a time zone."""
        return getattr(self.stamp_type, "time_zone", None) is not None

    def where(self, row: int) -> str:
        """Name file, item and stamp column of a row."""
        item = self.items[int(self.item[row])]
        return where(self.sources, int(self.source_row[row]), item, self.timestamp)

    def stamp_text(self, row: int) -> str:
        """Show the stamp of a row as a person writes it."""
        number = int(self.wall[row])
        if self.is_steps:
            return str(number)
        text = str(np.datetime64(number, "us"))
        return text.removesuffix(".000000").replace("T", " ").removesuffix(" 00:00:00")


def pick_columns(
    frame: pl.DataFrame,
    id_column: str,
    timestamp_column: str,
    target: str | Sequence[str],
    sources: Sequence[tuple[str, int]],
) -> Columns:
    """Find the columns, taking `unique_id`, `ds`, `y` for absent default names."""
    targets = check_names(id_column, timestamp_column, target)
    if not targets or len(set(targets)) != len(targets):
        raise DataError(f"target must name columns once each, got {targets}")
    given = {"item_id": id_column, "timestamp": timestamp_column}
    if targets == ["target"]:
        given["target"] = "target"
    names = with_usual_names(frame.columns, given, stacklevel=5)
    if "target" in names:
        targets = [names["target"]]
    file = sources[0][0] if sources else ""
    if names["timestamp"] in targets or names["item_id"] in targets:
        raise DataError(
            f"target must name value columns, got {targets} with id_column={names['item_id']!r} "
            f"and timestamp_column={names['timestamp']!r}; pass other names"
        )
    _require(frame, names["timestamp"], file)
    others = set(frame.columns) - {names["timestamp"]}
    is_wide = len(others) > 1 and all(frame[other].dtype.is_numeric() for other in others)
    for name in targets:
        _require(frame, name, file, is_wide=is_wide and names["item_id"] not in others)
    if names["item_id"] not in frame.columns and names["item_id"] != "item_id":
        _require(frame, names["item_id"], file)
    has_id = names["item_id"] in frame.columns
    return Columns(names["item_id"], names["timestamp"], tuple(targets), has_id)


def with_usual_names(
    columns: Sequence[str], given: dict[str, str], *, stacklevel: int = 3
) -> dict[str, str]:
    """Return the names of keys, `unique_id`, `ds` and `y` for default names that are absent.

    Parameters
    ----------
    given
        By default name, what was asked for.
    """
    names = {
        default: NIXTLA_NAMES[default]
        if name == default and default not in columns and NIXTLA_NAMES[default] in columns
        else name
        for default, name in given.items()
    }
    used = [name for default, name in names.items() if name != given[default]]
    if used:
        warnings.warn(
            f"using the columns {used}; pass id_column=, timestamp_column= or target= for others",
            ColumnNamesWarning,
            stacklevel=stacklevel,
        )
    return names


def check_names(id_column: Any, timestamp_column: Any, target: Any) -> list[str]:
    """Return the targets as a list, or say that a name of a column must be text."""
    for keyword, name in (("id_column", id_column), ("timestamp_column", timestamp_column)):
        if not isinstance(name, str):
            raise DataError(f"{keyword} must be the name of a column as text, got {name!r}")
    names = [target] if isinstance(target, str) else target
    is_list = isinstance(names, Sequence | np.ndarray)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"target must be the name of a column as text, or a list of names, got {target!r}"
        )
    return list(names)


def _require(frame: pl.DataFrame, name: str, file: str, *, is_wide: bool = False) -> None:
    if name in frame.columns:
        return
    near = difflib.get_close_matches(name, frame.columns, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "pass id_column=, timestamp_column= or target="
    if is_wide and not near:
        hint = "pass target=, or tsfm.to_long(frame) if every column is a series"
    prefix = f"{file}: " if file else ""
    raise DataError(f"{prefix}column {name!r} must be present, got {frame.columns}; {hint}")


def check_rows(frame: pl.DataFrame, columns: Columns, sources: Sequence[tuple[str, int]]) -> Rows:
    """Check every row and sort; each rule names the first bad row and the number of bad ones."""
    file = sources[0][0] if sources else ""
    if frame.height == 0:
        raise DataError(f"{file + ': ' if file else ''}the frame must have rows, got none")
    ids = (
        frame[columns.id]
        if columns.has_id
        else pl.Series([ONLY_ITEM]).new_from_index(0, frame.height)
    )
    kind = ids.dtype
    if kind in TEXT:
        ids = ids.cast(pl.String)
    missing = ids.is_null() | _is_nan(ids)
    remedy = "fill it or drop the rows"
    refuse_rows(missing, ids, None, columns.id, "a missing id", remedy, sources)
    stamps = read_stamps(frame[columns.timestamp], ids, columns.timestamp, sources)
    channels = [_numbers(frame[name], ids, stamps, name, sources) for name in columns.targets]
    items = ids.unique().sort()
    refuse_blank_twins(items, f"{file + ': ' if file else ''}column {columns.id!r}")
    item = ids.rank("dense").to_numpy().astype(np.int64) - 1
    wall, utc = as_integers(stamps)
    order = np.lexsort((utc, item))
    if (order[1:] > order[:-1]).all():
        order = np.arange(len(order))
    item, wall, utc = item[order], wall[order], utc[order]
    starts = np.flatnonzero(np.append(True, item[1:] != item[:-1]))
    rows = Rows(
        items.cast(kind),
        item,
        starts,
        wall,
        utc,
        np.column_stack(channels)[order],
        stamps.dtype,
        columns.timestamp,
        order,
        tuple(sources),
    )
    _refuse_duplicates(rows)
    return rows


def _refuse_duplicates(rows: Rows) -> None:
    same = (rows.item[1:] == rows.item[:-1]) & (rows.utc[1:] == rows.utc[:-1])
    if not same.any():
        return
    row = int(np.flatnonzero(same)[0]) + 1
    count = int((same & (rows.item[1:] == rows.item[row])).sum())
    raise DataError(
        f"{rows.where(row)}: stamps of an item must differ, got {count} duplicate "
        f"timestamp{'' if count == 1 else 's'}, first {rows.stamp_text(row)}; aggregate them or "
        "pass the column that tells them apart as id_column"
    )


def _is_nan(series: pl.Series) -> pl.Series:
    if series.dtype.is_float():
        return series.is_nan().fill_null(False)
    return pl.Series([False]).new_from_index(0, len(series))


def _numbers(
    values: pl.Series,
    ids: pl.Series,
    stamps: pl.Series,
    name: str,
    sources: Sequence[tuple[str, int]],
) -> np.ndarray:
    kind = values.dtype
    if kind in TEXT:
        text = values.cast(pl.String).str.strip_chars()
        is_missing = text.is_null() | text.str.to_lowercase().is_in(MISSING_TEXTS)
        numbers = text.cast(pl.Float64, strict=False)
        bad = numbers.is_null() & ~is_missing
        what = f"{text[int(bad.arg_max() or 0)]!r}, which is no number,"
        refuse_rows(bad, ids, stamps, name, what, "correct it or leave it empty", sources)
    elif kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        numbers = values.cast(pl.Float64)
    else:
        raise DataError(f"column {name!r} must hold numbers, got {kind}; cast it")
    infinite = numbers.is_infinite().fill_null(False)
    remedy = "make it missing or cap it"
    refuse_rows(infinite, ids, stamps, name, "an infinite value", remedy, sources)
    return numbers.fill_null(np.nan).to_numpy()
