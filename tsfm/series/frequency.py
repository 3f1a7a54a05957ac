"""Frequencies: aliases, inference that survives real data, and seasonality."""

import re

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.series.grids import (
    DAY,
    MONDAY,
    SECOND,
    BusinessGrid,
    FixedGrid,
    Grid,
    MonthGrid,
    Stamps,
    StepGrid,
)
from tsfm.shapes import Bool, ndarray

UNITS = {
    "s": SECOND,
    "min": 60 * SECOND,
    "h": 3600 * SECOND,
    "D": DAY,
    "W": 7 * DAY,
    "ms": SECOND // 1000,
    "us": 1,
}
MONTHS = {"M": 1, "Q": 3, "Y": 12}
# Old pandas names and polars names of the same steps.
SYNONYMS = {
    "S": "s", "sec": "s", "T": "min", "m": "min", "H": "h", "d": "D", "w": "W", "L": "ms",
    "mo": "M", "q": "Q", "y": "Y", "A": "Y", "b": "B",
}  # fmt: skip
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
# Season lengths of GluonTS, which the Chronos benchmarks use.
SEASONALITIES = {
    "s": 3600, "min": 1440, "h": 24, "D": 1, "W": 1, "M": 12, "B": 5, "Q": 4, "Y": 1,
}  # fmt: skip
ALIAS = re.compile(r"^(\d*)([A-Za-z]+?)(S|E)?(?:-([A-Z]{3}))?$")


def parse_alias(freq: str) -> tuple[int, str]:
    """Return count and unit of an alias; start, end and anchor are read off the stamps.

    Examples
    --------
    >>> [parse_alias(alias) for alias in ("15min", "H", "W-SUN", "QE-DEC", "1mo", "B")]
    [(15, 'min'), (1, 'h'), (1, 'W'), (1, 'Q'), (1, 'M'), (1, 'B')]
    """
    plain = re.match(r"^(\d*)([A-Za-z]+)", freq)
    if plain:
        count, unit = int(plain[1] or 1), SYNONYMS.get(plain[2], plain[2])
        if unit in (*UNITS, *MONTHS, "B") and count:
            return count, unit
    found = ALIAS.match(freq)
    if found:
        count, unit = int(found[1] or 1), SYNONYMS.get(found[2], found[2])
        if unit in MONTHS and count:
            return count, unit
    raise ConfigError(
        f"freq must be an alias such as 's', '15min', 'h', 'D', 'B', 'W', 'MS', 'ME', 'QS' or "
        f"'YE', got {freq!r}"
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


def grid_of(freq: str, stamps: Stamps, is_first: Bool[ndarray, " row"]) -> Grid:
    """Return the grid of an alias; the day of the month comes from the stamps."""
    count, unit = parse_alias(freq)
    if unit == "B":
        if count != 1:
            raise ConfigError(f"freq must be 'B' for business days, got {freq!r}; pass 'B'")
        return BusinessGrid()
    if unit in MONTHS:
        return _month_grid(count * MONTHS[unit], stamps)
    step = count * UNITS[unit]
    return FixedGrid(_fixed_alias(step, stamps[is_first]), step)


def infer_grid(stamps: Stamps, is_first: Bool[ndarray, " row"]) -> Grid | None:
    """Infer the grid of stamps that are sorted by item and time; None without two in one item.

    The step is the most common difference; the rest of the stamps must then lie on the grid,
    with gaps.
    """
    differences = np.diff(stamps)[~is_first[1:]]
    differences = differences[differences > 0]
    if not len(differences):
        return None
    same_time = len(np.unique(stamps % DAY)) == 1
    if same_time and differences.min() >= 28 * DAY and _month_day(stamps) is not None:
        return _month_grid(_modal_months(stamps, is_first), stamps)
    step = _mode(differences)
    if step == DAY and same_time and _skips_weekends(stamps, differences):
        return BusinessGrid()
    return FixedGrid(_fixed_alias(step, stamps[is_first]), step)


def infer_steps(stamps: Stamps, is_first: Bool[ndarray, " row"]) -> StepGrid:
    """Infer the step of integer stamps; 1 when there is nothing to infer from."""
    differences = np.diff(stamps)[~is_first[1:]]
    differences = differences[differences > 0]
    return StepGrid(_mode(differences) if len(differences) else 1)


def _mode(numbers: Stamps) -> int:
    found, count = np.unique(numbers, return_counts=True)
    return int(found[np.argmax(count)])


def _skips_weekends(stamps: Stamps, differences: Stamps) -> bool:
    weekday = (stamps // DAY - MONDAY) % 7
    return bool((weekday < 5).all() and (differences >= 3 * DAY).any())


def _month_day(stamps: Stamps) -> int | None:
    """Return the common day of the month, 0 for the last day, None for neither."""
    days = (stamps // DAY).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    day = (days - months.astype("datetime64[D]")).astype(np.int64) + 1
    if (days + 1).astype("datetime64[M]").tolist() == (months + 1).tolist():
        return 0
    return int(day[0]) if (day == day[0]).all() and day[0] <= 28 else None


def _modal_months(stamps: Stamps, is_first: Bool[ndarray, " row"]) -> int:
    months = (stamps // DAY).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    differences = np.diff(months)[~is_first[1:]]
    return _mode(differences[differences > 0])


def _month_grid(n_months: int, stamps: Stamps) -> MonthGrid:
    day = _month_day(stamps)
    if day is None:
        raise DataError(
            "stamps of months, quarters or years must share the first, the last or one fixed day "
            "of the month, got several; move them to the month's first day"
        )
    unit, count = next(
        (unit, n_months // size)
        for unit, size in (("Y", 12), ("Q", 3), ("M", 1))
        if n_months % size == 0
    )
    suffix = "E" if day == 0 else "S"
    return MonthGrid(f"{count if count > 1 else ''}{unit}{suffix}", n_months, day)


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
