"""Grids: a stamp as a whole number and back, so that regularity is integer arithmetic.

All stamps are int64: microseconds since 1970 (of the wall clock for days and longer, of UTC for
shorter steps), or plain steps.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tsfm.errors import DataError
from tsfm.series.calendars import sessions, trading_hours
from tsfm.shapes import Int, ndarray

SECOND = 1_000_000
DAY = 86_400 * SECOND
OFF_GRID = np.iinfo(np.int64).min
# Of the year 9999, where the dates of Python end, and of 64 bits.
LAST_STAMP = 253_402_300_799_999_999
LAST_STEP = int(np.iinfo(np.int64).max)
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
        _require_reach(origin, ordinals, self.step, LAST_STAMP)
        return origin + ordinals * self.step


@dataclass(frozen=True)
class MonthGrid:
    """Every `n_months` months, on the first day, the last day or one fixed day."""

    freq: str
    n_months: int
    day: int  # 1 to 28, or 0 for the last day of the month
    is_business: bool = False  # the first or last day from Monday to Friday instead

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        months = months_of(stamps)
        quotient, rest = np.divmod(months - months_of(origin), self.n_months)
        on_grid = (rest == 0) & (month_days(months, self.day, self.is_business) == stamps // DAY)
        return np.where(on_grid & (stamps % DAY == origin % DAY), quotient, OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        _require_reach(origin, ordinals, self.n_months * 30 * DAY, LAST_STAMP)
        months = months_of(origin) + ordinals * self.n_months
        return month_days(months, self.day, self.is_business) * DAY + origin % DAY


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
        # These ordinals count from 1970 on.
        _require_reach(np.zeros_like(ordinals), ordinals, 7 * DAY // 5, LAST_STAMP)
        week, weekday = np.divmod(ordinals, 5)
        return (week * 7 + weekday + MONDAY) * DAY + origin % DAY


@dataclass(frozen=True)
class SessionGrid:
    """The sessions of an exchange; ordinals count from each item's first session."""

    calendar: str
    freq: str = "B"

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        days, first = _days(stamps), _days(origin)
        open_days = sessions(self.calendar, first.min(), days.max())
        place = np.minimum(np.searchsorted(open_days, days), len(open_days) - 1)
        on_grid = (open_days[place] == days) & (stamps % DAY == origin % DAY)
        return np.where(on_grid, place - np.searchsorted(open_days, first), OFF_GRID)

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        first = _days(origin)
        # At least 200 sessions a year: more than enough days to hold the farthest ordinal.
        last = first.max() + 366 * (int(ordinals.max(initial=0)) // 200 + 2)
        open_days = sessions(self.calendar, first.min(), last)
        place = np.searchsorted(open_days, first) + ordinals
        _require_known(self.calendar, place, len(open_days), open_days[-1])
        return open_days[place].astype(np.int64) * DAY + origin % DAY


@dataclass(frozen=True)
class TradingGrid:
    """Steps of a fixed duration within the trading hours of an exchange, counted from each open.

    Whether opens and closes are stamps themselves is read off the data, so bars may be named by
    their start or by their end.
    """

    calendar: str
    freq: str
    step: int
    is_local: bool  # stamps are times of the exchange's wall clock; of UTC otherwise
    has_open: bool
    has_close: bool

    @staticmethod
    def from_stamps(
        calendar: str, freq: str, step: int, stamps: Stamps, *, is_local: bool
    ) -> "TradingGrid":
        """Return the grid of stamps in any order."""
        days = _days(stamps)
        opens, closes = trading_hours(calendar, days.min(), days.max(), is_local=is_local)
        has_close = bool(np.isin(stamps, np.setdiff1d(closes, opens)).any())
        has_open = not has_close or bool(np.isin(stamps, np.setdiff1d(opens, closes)).any())
        return TradingGrid(calendar, freq, step, is_local, has_open, has_close)

    def ordinals(self, stamps: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        spans = self._spans(_days(origin).min(), _days(stamps).max())
        place, start = self._places(stamps, *spans), self._places(origin, *spans)
        # When an item's first stamp is off the grid, so is a row, and nobody reads the others.
        return np.where(place == OFF_GRID, OFF_GRID, place - np.maximum(start, 0))

    def stamps(self, ordinals: Stamps, origin: Stamps) -> Stamps:
        """See `Grid`."""
        low, high = _days(origin).min(), _days(origin).max()
        first, before = self._spans(low, high)
        steps_per_day = before[-1] / ((first[-1] - first[0]) // DAY + 1)
        high += int(1.5 * ordinals.max(initial=0) / steps_per_day) + 30
        first, before = self._spans(low, high)
        place = self._places(origin, first, before) + ordinals
        _require_known(self.calendar, place, int(before[-1]), _days(first)[-1])
        span = np.searchsorted(before, place, side="right") - 1
        return first[span] + (place - before[span]) * self.step

    def _spans(
        self, low: np.datetime64, high: np.datetime64
    ) -> tuple[Int[ndarray, " span"], Int[ndarray, " span_and_end"]]:
        """Return the first stamp of every span of trading; steps before each span and in all."""
        opens, closes = trading_hours(self.calendar, low, high, is_local=self.is_local)
        # A close that is the next open, as of a market that never sleeps, is a stamp like any.
        has_open = self.has_open | np.isin(opens, closes)
        has_close = self.has_close & ~np.isin(closes, opens)
        first = opens + np.where(has_open, 0, self.step)
        n_steps = (closes - first - np.where(has_close, 0, 1)) // self.step + 1
        first, n_steps = first[n_steps > 0], n_steps[n_steps > 0]
        return first, np.concatenate([[0], np.cumsum(n_steps)])

    def _places(
        self,
        stamps: Stamps,
        first: Int[ndarray, " span"],
        before: Int[ndarray, " span_and_end"],
    ) -> Stamps:
        span = np.maximum(np.searchsorted(first, stamps, side="right") - 1, 0)
        step, rest = np.divmod(stamps - first[span], self.step)
        on_grid = (rest == 0) & (step >= 0) & (step < np.diff(before)[span])
        return np.where(on_grid, before[span] + step, OFF_GRID)


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
        _require_reach(origin, ordinals, self.step, LAST_STEP)
        return origin + ordinals * self.step


def rule_and_remedy(grid: Grid) -> tuple[str, str]:
    """Say what stamps on a grid are, and what to do about others."""
    if isinstance(grid, SessionGrid):
        return (
            f"sessions of {grid.calendar}, each item at one time of day",
            "drop the other rows, or pass freq='B' in place of calendar=",
        )
    if isinstance(grid, TradingGrid):
        return (
            f"steps of {grid.freq} in the trading hours of {grid.calendar}, from the open on"
            + (", by the exchange's clock" if grid.is_local else ""),
            "drop the other rows, give stamps their time zone, or leave calendar= out",
        )
    if isinstance(grid, StepGrid):
        return (
            f"whole numbers {grid.step} apart, or a multiple of it",
            "number the rows of every item 0, 1, 2, or pass stamps of time",
        )
    return (
        f"regular steps of freq={grid.freq!r}",
        "pass another freq= or a calendar=, or resample",
    )


def _days(stamps: Stamps) -> ndarray:
    return (stamps // DAY).astype("datetime64[D]")


def months_of(stamps: Stamps) -> Stamps:
    """Return months since 1970."""
    return _days(stamps).astype("datetime64[M]").astype(np.int64)


def month_days(months: Stamps, day: int, is_business: bool) -> Stamps:
    """Return one day of every month, both since 1970: of `MonthGrid`."""
    first = (months + (day == 0)).astype("datetime64[M]").astype("datetime64[D]")
    days = first + (day - 1)
    if is_business:
        days = np.busday_offset(days, 0, roll="forward" if day else "backward")
    return days.astype(np.int64)


def _require_reach(origin: Stamps, ordinals: Stamps, step: int, last: int) -> None:
    """Refuse stamps past the last one, where numbers would wrap around."""
    farthest = int(ordinals.max(initial=0)) * step + int(origin.max(initial=OFF_GRID))
    if farthest > last:
        end = "the year 9999" if last == LAST_STAMP else f"step {last}"
        raise DataError(
            f"stamps must not go past {end}, got {int(ordinals.max())} steps of {step} from the "
            "first one; ask for a shorter horizon, or begin stamps earlier"
        )


def _require_known(calendar: str, place: Stamps, n_known: int, last: np.datetime64) -> None:
    if place.max(initial=0) >= n_known:
        raise DataError(
            f"calendar {calendar} must reach the stamps asked for, got none after {last}; ask for "
            "a shorter horizon, or pass freq='B' in place of calendar="
        )
