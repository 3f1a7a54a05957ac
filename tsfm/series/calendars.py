"""Sessions and trading hours of stock exchanges, through the exchange_calendars package."""

import difflib
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.shapes import Int, ndarray

# Calendars are made for whole spans of years, so that few are made and most requests hit the cache.
SPAN_YEARS = 10
# Beyond these nobody knows a session, and stamps of nanoseconds end.
FIRST_YEAR, LAST_YEAR = 1800, 2199


class TradingHours(NamedTuple):
    """Spans without a break in which an exchange trades, in order; microseconds since 1970."""

    opens: Int[ndarray, " span"]
    closes: Int[ndarray, " span"]


def sessions(calendar: str, first: np.datetime64, last: np.datetime64) -> ndarray:
    """Return the session days of the decades from `first` to `last`, as far as they are known.

    Parameters
    ----------
    calendar
        An exchange code such as ``"XNYS"``.

    Raises
    ------
    ConfigError
        When there is no such exchange.
    DataError
        When the exchange is not known so early or so late.
    """
    require_code(calendar)
    return _sessions(calendar, *_decades(first, last))


def trading_hours(
    calendar: str, first: np.datetime64, last: np.datetime64, *, is_local: bool
) -> TradingHours:
    """Return the spans of the decades from `first` to `last`; a lunch break cuts a session in two.

    Parameters
    ----------
    is_local
        Times of the exchange's wall clock; of UTC otherwise.
    """
    require_code(calendar)
    return _trading_hours(calendar, *_decades(first, last), is_local)


def require_code(calendar: Any) -> None:
    """Refuse what is no text, which no exchange is called."""
    if not isinstance(calendar, str):
        raise ConfigError(
            f"calendar must be an exchange code as text, got {calendar!r}; pass one such as 'XNYS'"
        )


def _decades(first: np.datetime64, last: np.datetime64) -> tuple[int, int]:
    years = np.array([first, last]).astype("datetime64[Y]").astype(np.int64) + 1970
    start, end = np.clip(years, FIRST_YEAR, LAST_YEAR).tolist()
    return start // SPAN_YEARS * SPAN_YEARS, end // SPAN_YEARS * SPAN_YEARS + SPAN_YEARS - 1


@lru_cache(maxsize=32)
def _sessions(calendar: str, first_year: int, last_year: int) -> ndarray:
    days = _calendar(calendar, first_year, last_year).sessions
    result: ndarray = days.to_numpy().astype("datetime64[D]")
    return result


@lru_cache(maxsize=8)
def _trading_hours(calendar: str, first_year: int, last_year: int, is_local: bool) -> TradingHours:
    made = _calendar(calendar, first_year, last_year)
    opens, closes, pauses, resumptions = (
        column.dt.tz_localize(None).to_numpy().astype("datetime64[us]")
        for column in (made.opens, made.closes, made.break_starts, made.break_ends)
    )
    has_break = ~np.isnat(pauses)
    starts = np.sort(np.concatenate([opens, resumptions[has_break]])).astype(np.int64)
    ends = np.sort(np.concatenate([closes, pauses[has_break]])).astype(np.int64)
    if is_local:
        starts, ends = (_local(stamps, str(made.tz)) for stamps in (starts, ends))
    return TradingHours(starts, ends)


def _local(stamps: ndarray, zone: str) -> ndarray:
    utc = pl.Series(stamps).cast(pl.Datetime("us", "UTC"))
    wall = utc.dt.convert_time_zone(zone).dt.replace_time_zone(None)
    return wall.to_physical().to_numpy()


@lru_cache(maxsize=32)
def _calendar(calendar: str, first_year: int, last_year: int) -> Any:
    import exchange_calendars
    import pandas as pd

    names = exchange_calendars.get_calendar_names(include_aliases=True)
    if calendar not in names:
        near = difflib.get_close_matches(calendar.upper(), names, n=3)
        raise ConfigError(
            f"calendar must be an exchange code, got {calendar!r}; "
            + (f"did you mean {near}?" if near else "for example 'XNYS', 'XLON' or 'XTKS'")
        )
    low = high = None
    # The package trips over deprecations of recent pandas, and a few calendars over its changes.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            start, end = pd.Timestamp(first_year, 1, 1), pd.Timestamp(last_year, 12, 31)
            try:
                return exchange_calendars.get_calendar(calendar, start=start, end=end)
            except ValueError:
                bounds = type(exchange_calendars.get_calendar(calendar))
                low, high = bounds.bound_min(), bounds.bound_max()
                start, end = max(start, low or start), min(end, high or end)
                if start < end:
                    return exchange_calendars.get_calendar(calendar, start=start, end=end)
        except Exception as error:
            reason = str(error).split("\n")[0][:80] or type(error).__name__
            raise DataError(
                f"calendar {calendar} must be one that the installed exchange_calendars can make "
                f"for the years {first_year} to {last_year}, got: {reason}; install other versions "
                "of exchange_calendars and pandas, or pass freq='B' in place of calendar="
            ) from None
    known = " ".join(
        f"{word} {bound.date()}" for word, bound in (("from", low), ("to", high)) if bound
    )
    raise DataError(
        f"calendar {calendar} must cover the stamps, got the years {first_year} to {last_year}, "
        f"and it is known {known}; drop the other rows, or pass freq='B' in place of calendar="
    )
