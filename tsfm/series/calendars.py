"""Sessions of stock exchanges, through the exchange_calendars package."""

import difflib
from functools import lru_cache

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.shapes import ndarray

# Calendars are made for whole spans of years, so that few are made and most requests hit the cache.
SPAN_YEARS = 10


def sessions(calendar: str, first: np.datetime64, last: np.datetime64) -> ndarray:
    """Return the session days from the year of `first` to the year of `last`, both included.

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
    start = int(str(first)[:4]) // SPAN_YEARS * SPAN_YEARS
    end = int(str(last)[:4]) // SPAN_YEARS * SPAN_YEARS + SPAN_YEARS - 1
    return _sessions_of_years(calendar, start, end)


@lru_cache(maxsize=32)
def _sessions_of_years(calendar: str, first_year: int, last_year: int) -> ndarray:
    import exchange_calendars
    import pandas as pd

    names = exchange_calendars.get_calendar_names(include_aliases=True)
    if calendar not in names:
        near = difflib.get_close_matches(calendar.upper(), names, n=3)
        raise ConfigError(
            f"calendar must be an exchange code, got {calendar!r}; "
            + (f"did you mean {near}?" if near else "for example 'XNYS', 'XLON' or 'XTKS'")
        )
    factory = type(exchange_calendars.get_calendar(calendar))
    low, high = factory.bound_min(), factory.bound_max()
    start, end = pd.Timestamp(first_year, 1, 1), pd.Timestamp(last_year, 12, 31)
    start = max(start, low) if low is not None else start
    end = min(end, high) if high is not None else end
    if start >= end:
        raise DataError(
            f"calendar {calendar} must cover the stamps, got the years {first_year} to "
            f"{last_year}, and it is known from {low} to {high}; drop the other rows or pass freq="
        )
    days = exchange_calendars.get_calendar(calendar, start=start, end=end).sessions
    result: ndarray = days.to_numpy().astype("datetime64[D]")
    return result
