"""Columns of a frame of stocks: names, numbers and truths, or an error that shows what is none."""

import polars as pl

from tsfm.errors import DataError
from tsfm.series.validation import MISSING_TEXTS, with_usual_names

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume")
RAW_CLOSE = "raw_close"
YES, NO = ("true", "yes", "1", "y", "t"), ("false", "no", "0", "n", "f", "")


def key_names(columns: list[str], id_column: str, timestamp_column: str) -> tuple[str, str]:
    """Return the names of the keys; `unique_id` and `ds` where the default names are absent."""
    given = {"item_id": id_column, "timestamp": timestamp_column}
    names = with_usual_names(columns, given, stacklevel=4)
    return names["item_id"], names["timestamp"]


def numbers_of(data: pl.DataFrame, column: str, keys: list[str], where: str) -> pl.Series:
    """Return a column as numbers; text that is none is an error with its stock and day."""
    values = data[column].cast(pl.Float64, strict=False)
    lost = values.is_null() & data[column].is_not_null()
    if not data[column].dtype.is_numeric() and lost.any():
        text = data[column].cast(pl.String).str.strip_chars().str.to_lowercase()
        lost &= ~text.is_in(MISSING_TEXTS)
    if lost.any():
        stock, day, found = data.filter(lost).select(*keys, column).row(0)
        raise DataError(
            f"{where} must have numbers in {column!r}, got {found!r} of {stock!r} on {day} and "
            f"{int(lost.sum()) - 1} more; correct them or leave them empty"
        )
    return values.fill_nan(None)


def truths_of(column: pl.Series, where: str) -> pl.Series:
    """Return yes and no, however they are written, as truths; missing is no."""
    if column.dtype.is_float():
        column = column.fill_nan(None)  # which would count as true
    if column.dtype == pl.Boolean or column.dtype.is_numeric():
        return column.cast(pl.Boolean).fill_null(value=False)
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    unknown = text.drop_nulls().filter(~text.drop_nulls().is_in((*YES, *NO)))
    if len(unknown):
        raise DataError(
            f"{where} must have true or false in {column.name!r}, got {unknown[0]!r} and "
            f"{len(unknown) - 1} more such values; write true or false"
        )
    return text.is_in(YES).fill_null(value=False)
