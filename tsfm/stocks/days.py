"""Columns of days, however they are written: dates, stamps, whole numbers, or text."""

import polars as pl

from tsfm.errors import DataError
from tsfm.series.calendars import FIRST_YEAR

DAY_FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d-%b-%Y", "%d %b %Y")
DAY_LENGTHS = {"%Y%m%d": 8, "%d-%b-%Y": 11, "%d %b %Y": 11}


def as_days(column: pl.Series, where: str) -> pl.Series:
    """Return a column as the days of its own clock.

    A stamp in a time zone is on the day that its clock shows there, not on that of UTC: midnight in
    Tokyo belongs to the session that begins. Missing stays missing.

    Parameters
    ----------
    column
        Dates, stamps, whole numbers such as 20170103, or text with the year first, or the name of
        the month, perhaps with a time of day after it.
    where
        File or frame, for the error.

    Raises
    ------
    DataError
        When a value is no day, such as ``03/01/2017``, which may be two, or ``03-Jan-17``.

    Examples
    --------
    >>> as_days(pl.Series("day", [20170103, 20170104]), "the frame").to_list()
    [datetime.date(2017, 1, 3), datetime.date(2017, 1, 4)]
    """
    if column.dtype == pl.Datetime:
        return column.dt.replace_time_zone(None).cast(pl.Date)
    if column.dtype.is_temporal() or column.is_null().all():
        return column.cast(pl.Date, strict=False)
    text = column.cast(pl.String).str.strip_chars()
    tried = []
    for form in DAY_FORMATS:
        days = text.str.slice(0, DAY_LENGTHS.get(form, 10)).str.to_date(form, strict=False)
        # Of 03-01-22 it would be the third year of our era, and the order of days another one.
        days = days.set(days.dt.year() < FIRST_YEAR, None)
        if days.null_count() == column.null_count():
            return days.alias(column.name)
        tried.append(days)
    best = min(tried, key=pl.Series.null_count)
    unread = best.is_null() & column.is_not_null()
    if unread.any():
        shown = text.filter(unread)
        raise DataError(
            f"{where} must have days in {column.name!r} such as 2017-01-03 or 20170103, got "
            f"{shown[0]!r} and {len(shown) - 1} more such values; write the year first, in four "
            "digits"
        )
    return best.alias(column.name)
