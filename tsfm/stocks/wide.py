"""Wide frames, a column per stock: which of it are the days, and the sectors of its stocks."""

import sys
from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.series.convert import to_polars
from tsfm.series.validation import MISSING_TEXTS
from tsfm.stocks.days import as_days

FIRST_DAY = 18_000_101
"""The least whole number in an index that is taken for a day."""


def open_wide(data: Any, where: str, timestamp_column: str = "timestamp") -> pl.DataFrame:
    """Return a wide frame with its days first, under `timestamp_column`.

    They are the column of that name, or a pandas index of stamps, or one of days, however they are
    written, beside a first column of numbers; otherwise the first column.

    Parameters
    ----------
    where
        What the frame is, for the error.

    Raises
    ------
    DataError
        When a day is none; see `as_days`.

    Examples
    --------
    >>> frame = pl.DataFrame({"Date": ["2020-01-06"], "A": [1.0], "B": [2.0]})
    >>> open_wide(frame, "the closes").row(0)
    (datetime.date(2020, 1, 6), 1.0, 2.0)
    """
    frame, _ = to_polars(_days_from_index(data, timestamp_column), timestamp_column)
    stamps = timestamp_column if timestamp_column in frame.columns else frame.columns[0]
    days = as_days(frame[stamps], where).alias(timestamp_column)
    return frame.drop(stamps).insert_column(0, days)


def refuse_days_twice(frame: pl.DataFrame, where: str) -> None:
    """Raise when a wide frame, opened by `open_wide`, has two rows for a day."""
    days = frame.to_series(0)
    twice = days.filter(days.is_duplicated())
    if len(twice):
        first = twice.sort()[0]
        raise DataError(
            f"{where} must have one row per day, got {int((twice == first).sum())} of {first} and "
            f"{twice.n_unique() - 1} more such days; aggregate them"
        )


def sector_by_stock(sectors: Any, stocks: Collection[str]) -> dict[str, str | None]:
    """Return the sectors of a user's dict as text, None where one is missing.

    Raises
    ------
    ConfigError
        When it is no dict.
    DataError
        When it knows none of the stocks.
    """
    if not isinstance(sectors, Mapping):
        raise ConfigError(
            "sectors must be a dict of stocks and their sectors, got a "
            f"{type(sectors).__name__}; of a column of pandas pass sectors.to_dict()"
        )
    named = {str(stock): str(sector).strip() for stock, sector in sectors.items()}
    if named and not set(named) & set(stocks):
        raise DataError(
            f"sectors must name the stocks as close does, got {next(iter(named))!r} beside "
            f"{min(stocks, default='')!r}, and none of its stocks; write them alike"
        )
    unknown = (*MISSING_TEXTS, "<na>")
    return {stock: None if one.lower() in unknown else one for stock, one in named.items()}


def _days_from_index(data: Any, timestamp_column: str) -> Any:
    """Return a pandas frame with its index as days: dates, text or such as 20170103."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(data, pandas.DataFrame) or timestamp_column in data:
        return data
    kinds, index = pandas.api.types, data.index
    if index.nlevels > 1 or not all(map(kinds.is_numeric_dtype, data.dtypes[:1])):
        return data
    is_day = kinds.is_string_dtype(index) or index.dtype == object
    # Numbers of rows are none.
    is_day |= kinds.is_integer_dtype(index) and index.min() >= FIRST_DAY
    return data.rename_axis(index=timestamp_column).reset_index() if is_day else data
