"""Frequencies: aliases, inference that survives real data, and seasonality."""

import re
from typing import Any

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.series.calendars import require_code
from tsfm.series.grids import (
    DAY,
    MONDAY,
    SECOND,
    BusinessGrid,
    FixedGrid,
    Grid,
    MonthGrid,
    SessionGrid,
    Stamps,
    StepGrid,
    TradingGrid,
    month_days,
    months_of,
)
from tsfm.shapes import Bool, Int, ndarray

UNITS = {
    "s": SECOND,
    "min": 60 * SECOND,
    "h": 3600 * SECOND,
    "D": DAY,
    "W": 7 * DAY,
    "ms": SECOND // 1000,
    "us": 1,
}
# B: on the first or last day from Monday to Friday.
MONTHS = {"M": 1, "Q": 3, "Y": 12, "BM": 1, "BQ": 3, "BY": 12}
# Old pandas names and polars names of the same steps.
SYNONYMS = {
    "S": "s", "sec": "s", "T": "min", "m": "min", "H": "h", "d": "D", "w": "W", "L": "ms",
    "U": "us", "mo": "M", "q": "Q", "y": "Y", "A": "Y", "BA": "BY", "b": "B",
}  # fmt: skip
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
# Season lengths of GluonTS, which the Chronos benchmarks use.
SEASONALITIES = {
    "s": 3600, "min": 1440, "h": 24, "D": 1, "W": 1, "M": 12, "B": 5, "Q": 4, "Y": 1, "BM": 12,
    "BQ": 4,
}  # fmt: skip
YEAR_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
ALIAS = re.compile(r"(\d*)([A-Za-z]+)(?:-([A-Z]{3}))?")


def parse_alias(freq: Any) -> tuple[int, str]:
    """Return count and unit of an alias; start, end and anchor are read off the stamps.

    The frequency of a pandas index stands for its alias.

    Examples
    --------
    >>> [parse_alias(alias) for alias in ("15min", "H", "W-SUN", "QE-DEC", "1mo", "BME")]
    [(15, 'min'), (1, 'h'), (1, 'W'), (1, 'Q'), (1, 'M'), (1, 'BM')]
    """
    # The frequency of a pandas index is an object that knows its alias.
    alias = getattr(freq, "freqstr", freq)
    found = ALIAS.fullmatch(alias) if isinstance(alias, str) else None
    if found:
        count, name, anchor = int(found[1] or 1), found[2], found[3]
        unit = SYNONYMS.get(name, name)
        if unit not in UNITS and unit != "B":
            name = re.sub("[SE]$", "", name)
            unit = SYNONYMS.get(name, name)
        is_known = unit in MONTHS or (unit in (*UNITS, "B") and name == found[2])
        anchors = WEEKDAYS if unit == "W" else YEAR_MONTHS if MONTHS.get(unit, 1) > 1 else ()
        if count and is_known and (anchor is None or anchor in anchors):
            return count, unit
    raise ConfigError(
        f"freq must be an alias such as 's', '15min', 'h', 'D', 'B', 'W', 'MS', 'ME', 'QS' or "
        f"'YE', got {freq!r}; pass one of these, with a count in front where needed"
    )


def seasonality(freq: str) -> int:
    """Return the season length in steps, as GluonTS and Chronos count it; 1 for none.

    Examples
    --------
    >>> [seasonality(alias) for alias in ("h", "15min", "D", "W-SUN", "ME", "QS", "B", "step")]
    [24, 96, 1, 1, 12, 4, 5, 1]
    """
    if freq == "step":
        return 1
    count, unit = parse_alias(freq)
    season, rest = divmod(SEASONALITIES.get(unit, 1), count)
    return season if rest == 0 and season else 1


def grid_of(freq: Any, stamps: Stamps, is_first: Bool[ndarray, " row"]) -> Grid:
    """Return the grid of an alias; the day of the month comes from the stamps."""
    count, unit = parse_alias(freq)
    if unit == "B":
        if count != 1:
            raise ConfigError(f"freq must be 'B' for business days, got {freq!r}; pass 'B'")
        return BusinessGrid()
    if unit in MONTHS:
        return _month_grid(count * MONTHS[unit], stamps, prefer_business=unit.startswith("B"))
    step = count * UNITS[unit]
    return FixedGrid(_fixed_alias(step, stamps[is_first]), step)


def infer_grid(stamps: Stamps, is_first: Bool[ndarray, " row"]) -> Grid | None:
    """Infer the grid of stamps that are sorted by item and time; None without two in one item.

    The step is the most common difference; the rest of the stamps must then lie on the grid,
    with gaps.
    """
    differences = _differences(stamps, is_first)
    if not len(differences):
        return None
    if differences.min() >= 28 * DAY and _month_rule(stamps) is not None:
        return _month_grid(_mode(_differences(months_of(stamps), is_first)), stamps)
    step = _mode(differences)
    if step == DAY and _skips_weekends(stamps, differences):
        return BusinessGrid()
    return FixedGrid(_fixed_alias(step, stamps[is_first]), step)


def session_grid(
    calendar: Any,
    freq: Any,
    stamps: Stamps,
    is_first: Bool[ndarray, " row"],
    *,
    is_local: bool,
) -> Grid:
    """Return the sessions of an exchange, or steps within its hours if they are under a day.

    Parameters
    ----------
    is_local
        Stamps are times of the exchange's wall clock; of UTC otherwise.
    """
    require_code(calendar)
    if freq is not None:
        count, unit = parse_alias(freq)
        step = count * UNITS.get(unit, DAY if unit == "B" else 28 * DAY)
    else:
        differences = _differences(stamps, is_first)
        step = _mode(differences) if len(differences) else DAY
    if (freq is not None and step > DAY) or step >= 7 * DAY:
        raise ConfigError(
            f"calendar must go with one stamp per session or more, got freq="
            f"{freq or _fixed_alias(step, stamps)!r} with {calendar!r}; leave calendar= out, or "
            "pass freq='B' for sessions with gaps"
        )
    if step >= DAY:
        return SessionGrid(calendar)
    alias = _fixed_alias(step, stamps)
    return TradingGrid.from_stamps(calendar, alias, step, stamps, is_local=is_local)


def infer_steps(stamps: Stamps, is_first: Bool[ndarray, " row"]) -> StepGrid:
    """Infer the step of integer stamps; 1 when there is nothing to infer from."""
    differences = _differences(stamps, is_first)
    return StepGrid(_mode(differences) if len(differences) else 1)


def _differences(numbers: Stamps, is_first: Bool[ndarray, " row"]) -> Int[ndarray, " difference"]:
    differences = np.diff(numbers)[~is_first[1:]]
    return differences[differences > 0]


def _mode(numbers: Int[ndarray, " difference"]) -> int:
    found, count = np.unique(numbers, return_counts=True)
    return int(found[np.argmax(count)])


def _skips_weekends(stamps: Stamps, differences: Int[ndarray, " difference"]) -> bool:
    weekday = (stamps // DAY - MONDAY) % 7
    return bool((weekday < 5).all() and (differences >= 3 * DAY).any())


def _month_rule(stamps: Stamps, *, prefer_business: bool = False) -> tuple[int, bool] | None:
    """Return the day of the month that all stamps share, as `MonthGrid` tells days; or None."""
    months, days = months_of(stamps), stamps // DAY
    fixed = _day_of_month(days[0])
    plain = [(0, False), *([(fixed, False)] if fixed <= 28 else [])]
    business = [(1, True), (0, True)]
    for day, is_business in [*business, *plain] if prefer_business else [*plain, *business]:
        if (month_days(months, day, is_business) == days).all():
            return day, is_business
    return None


def _day_of_month(day: np.int64) -> int:
    return int(str(day.astype("datetime64[D]"))[-2:])


def _month_grid(n_months: int, stamps: Stamps, *, prefer_business: bool = False) -> MonthGrid:
    fixed = _day_of_month(stamps[0] // DAY)
    # Without a common day the first stamp's counts, so that the first other one can be named.
    day, is_business = _month_rule(stamps, prefer_business=prefer_business) or (
        fixed if fixed <= 28 else 0,
        False,
    )
    unit, count = next(
        (unit, n_months // size)
        for unit, size in (("Y", 12), ("Q", 3), ("M", 1))
        if n_months % size == 0
    )
    name = f"{'B' if is_business else ''}{unit}{'S' if day else 'E'}"
    return MonthGrid(f"{count if count > 1 else ''}{name}", n_months, day, is_business)


def _fixed_alias(step: int, first: Stamps) -> str:
    if step % (7 * DAY) == 0:
        anchor = WEEKDAYS[int((first[0] // DAY - MONDAY) % 7)]
        count = step // (7 * DAY)
        return f"{count if count > 1 else ''}W-{anchor}"
    for unit in ("D", "h", "min", "s", "ms", "us"):
        if step % UNITS[unit] == 0:
            count = step // UNITS[unit]
            return f"{count if count > 1 else ''}{unit}"
    raise DataError(f"stamps must be whole microseconds apart, got a step of {step}")
