"""Rows that break a rule, named by file, item, column and place."""

from collections.abc import Sequence

import polars as pl

from tsfm.errors import DataError
from tsfm.series.files import place_of_row


def where(sources: Sequence[tuple[str, int]], row: int, item: object, column: str) -> str:
    """Name file, item and column of a row."""
    file, _ = place_of_row(sources, row)
    return f"{file + ': ' if file else ''}item {item!r}, column {column!r}"


def count_rows(number: int) -> str:
    """Say how many rows break a rule."""
    return f"{number} such row{'' if number == 1 else 's'}"


def refuse_rows(
    bad: pl.Series,
    ids: pl.Series,
    stamps: pl.Series | None,
    column: str,
    what: str,
    remedy: str,
    sources: Sequence[tuple[str, int]],
) -> None:
    """Raise when a row is bad, with what the first one has and how many there are."""
    if not bad.any():
        return
    row = int(bad.arg_true()[0])
    _, row_in_file = place_of_row(sources, row)
    at = f"at {stamps[row]}" if stamps is not None else f"in row {row_in_file + 1} of the data"
    raise DataError(
        f"{where(sources, row, ids[row], column)}: got {what} {at} "
        f"({count_rows(int(bad.sum()))}); {remedy}"
    )
