"""Grids: a stamp as a whole number and back, so that regularity is integer arithmetic.

All stamps are int64: microseconds since 1970 (of the wall clock for days and longer, of UTC for
shorter steps), or plain steps.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tsfm.errors import DataError
from tsfm.series.calendars import sessions
from tsfm.shapes import Int, ndarray

SECOND = 1_000_000
DAY = 86_400 * SECOND
OFF_GRID = np.iinfo(np.int64).min
MONDAY = 4  # 1970-01-05 was one: days since then count weeks from Mondays

Stamps = Int[ndarray, " row"]


@runtime_checkable
class Grid(Protocol):
    """A regular sequence of stamps.

    `freq` is its pandas alias; `origin` is the first stamp of the item a row belongs to.
    """

    @property
    def freq(self) -> str:
        """The pandas alias of the step."""
        ...

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """Return the place of every stamp on the grid; `OFF_GRID` for one that is not on it."""
        ...

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """Return the stamps at these places."""
        ...


@dataclass(frozen=True)
class FixedGrid:
    """Steps of a fixed duration, from each item's first stamp on."""

    freq: str
    step: int

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        quotient, rest = np.divmod(stamps - origin, self.step)
        return np.where(rest == 0, quotient, OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        return origin + ordinals * self.step


@dataclass(frozen=True)
class MonthGrid:
    """Every `n_months` months, on the first day, the last day or one fixed day."""

    freq: str
    n_months: int
    day: int  # 1 to 28, or 0 for the last day of the month

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        quotient, rest = np.divmod(_months(stamps) - _months(origin), self.n_months)
        on_grid = (rest == 0) & (self._on_month(_months(stamps), stamps % DAY) == stamps)
        on_grid &= stamps % DAY == origin % DAY
        return np.where(on_grid, quotient, OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        return self._on_month(_months(origin) + ordinals * self.n_months, origin % DAY)

    def _on_month(self, months: Stamps, time_of_day: Stamps) -> Stamps:
        shift = 1 if self.day == 0 else 0
        first = (months + shift).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return (first + self.day - 1) * DAY + time_of_day


@dataclass(frozen=True)
class BusinessGrid:
    """Mondays to Fridays."""

    freq: str = "B"

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        week, weekday = np.divmod(stamps // DAY - MONDAY, 7)
        on_grid = (weekday < 5) & (stamps % DAY == origin % DAY)
        return np.where(on_grid, week * 5 + weekday, OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        week, weekday = np.divmod(ordinals, 5)
        return (week * 7 + weekday + MONDAY) * DAY + origin % DAY


@dataclass(frozen=True)
class SessionGrid:
    """The sessions of an exchange; ordinals count from each item's first session."""

    calendar: str
    freq: str = "B"

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        days = (stamps // DAY).astype("datetime64[D]")
        first = (origin // DAY).astype("datetime64[D]")
        open_days = sessions(self.calendar, first.min(), days.max())
        place = np.minimum(np.searchsorted(open_days, days), len(open_days) - 1)
        on_grid = (open_days[place] == days) & (stamps % DAY == origin % DAY)
        return np.where(on_grid, place - np.searchsorted(open_days, first), OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        first = (origin // DAY).astype("datetime64[D]")
        # At least 200 sessions a year: more than enough days to hold the farthest ordinal.
        days_ahead = 366 * (int(ordinals.max(initial=0)) // 200 + 2)
        open_days = sessions(
            self.calendar, first.min(), first.max() + np.timedelta64(days_ahead, "D")
        )
        place = np.searchsorted(open_days, first) + ordinals
        if place.max(initial=0) >= len(open_days):
            raise DataError(
                f"calendar {self.calendar} must reach the stamps asked for, got none after "
                f"{open_days[-1]}; ask for a shorter horizon"
            )
        return open_days[place].astype(np.int64) * DAY + origin % DAY


@dataclass(frozen=True)
class StepGrid:
    """Integer steps, `step` apart."""

    step: int = 1
    freq: str = "step"

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        quotient, rest = np.divmod(stamps - origin, self.step)
        return np.where(rest == 0, quotient, OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        return origin + ordinals * self.step


def _months(stamps: Stamps) -> Stamps:
    return (stamps // DAY).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
