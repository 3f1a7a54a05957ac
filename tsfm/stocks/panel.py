"""Panels of daily bars: day x stock x field, with who was in the universe and could be traded."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BeforeValidator

from tsfm.arguments import is_number, is_whole
from tsfm.errors import ConfigError, DataError
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Bool, Float, Float64, Int, Tensor, ndarray
from tsfm.stocks.columns import FIELDS, RAW_CLOSE

Fill = Literal["close", "open"]


def _as_iso(value: Any) -> Any:
    """Return a date as text, and text only when it is one."""
    if isinstance(value, str):
        return date.fromisoformat(value).isoformat()
    return value.isoformat()[:10] if isinstance(value, date) else value


Day = Annotated[str, BeforeValidator(_as_iso)]
"""A date such as ``"2017-01-03"``; recipes may also write it without quotes."""


@dataclass(frozen=True)
class StockPanel:
    """Daily bars of many stocks, one row per trading day.

    Parameters
    ----------
    days
        Ascending, as ``datetime64[D]``.
    fields
        Some of open, high, low, close and volume, and ``raw_close``, the close that was traded,
        where the others are adjusted; close always.
    bars
        Prices in one currency, volume in shares; NaN where there is no bar.
    member
        True on the days on which a stock belonged to the universe. No survivors: it is by day.
    tradable
        True where the day had a bar and a volume.
    sector
        Place in `sectors`, -1 where unknown.
    calendar
        Exchange code of the days, None when they are those of the data.
    name
        The data card that the bars are from, empty for other data.

    Raises
    ------
    DataError
        When a price is not positive, a volume negative, or the days do not ascend.
    """

    days: ndarray
    stocks: tuple[str, ...]
    fields: tuple[str, ...]
    bars: Float64[ndarray, "day stock field"]
    member: Bool[ndarray, "day stock"]
    tradable: Bool[ndarray, "day stock"]
    sector: Int[ndarray, " stock"]
    sectors: tuple[str, ...] = ()
    calendar: str | None = None
    name: str = ""
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", {name: i for i, name in enumerate(self.fields)})
        known = (*FIELDS, RAW_CLOSE)
        if "close" not in self.fields or not set(self.fields) <= set(known):
            raise DataError(
                f"fields must be some of {list(known)}, close among them, got {list(self.fields)}"
            )
        if np.any(np.diff(self.days.astype("datetime64[D]").astype(np.int64)) <= 0):
            raise DataError("days must ascend strictly, got a day that does not; sort them")
        for name in self.fields:
            self._check(name)

    def _check(self, name: str) -> None:
        values = self[name]
        wrong = np.isinf(values) | (values < 0 if name == "volume" else values <= 0)
        if wrong.any():
            day, stock = (int(axis[0]) for axis in np.nonzero(wrong))
            rule = "not negative" if name == "volume" else "positive"
            of = f"{name} of {self.name}" if self.name else name
            raise DataError(
                f"{of} must be {rule} and finite, got {values[day, stock]} of "
                f"{self.stocks[stock]!r} on {self.days[day]} and {int(wrong.sum()) - 1} more; make "
                "them missing or correct them"
            )

    @staticmethod
    def from_frame(frame: Any, **options: Any) -> "StockPanel":
        """Read a long frame, one row per stock and day; see `tsfm.stocks.reading.read_frame`."""
        from tsfm.stocks.reading import read_frame

        return read_frame(frame, **options)

    @staticmethod
    def from_wide(close: Any, **others: Any) -> "StockPanel":
        """Read wide frames, days x stocks; see `tsfm.stocks.reading.read_wide`."""
        from tsfm.stocks.reading import read_wide

        return read_wide(close, **others)

    @staticmethod
    def from_card(name: str, **options: Any) -> "StockPanel":
        """Read the data set of a card; see `tsfm.stocks.reading.read_card_panel`."""
        from tsfm.stocks.reading import read_card_panel

        return read_card_panel(name, **options)

    def __getitem__(self, name: str) -> Float64[ndarray, "day stock"]:
        if name not in self._places:
            raise ConfigError(
                f"the panel must have the field {name!r}, got {list(self.fields)}; choose another"
            )
        values: ndarray = self.bars[..., self._places[name]]
        return values

    @property
    def n_days(self) -> int:
        """Rows."""
        return len(self.days)

    @property
    def n_stocks(self) -> int:
        """Columns."""
        return len(self.stocks)

    def head(self, n_days: int) -> "StockPanel":
        """Return the first `n_days` days: all that was known at the close of the last of them."""
        return self._rows(slice(0, n_days))

    def between(self, start: str | None, end: str | None) -> "StockPanel":
        """Return the days from `start` to `end`, both included; None leaves a side open."""
        first, last = 0, self.n_days
        if start is not None:
            first = int(np.searchsorted(self.days, np.datetime64(bound_of(start))))
        if end is not None:
            last = int(np.searchsorted(self.days, np.datetime64(bound_of(end)), "right"))
        if last <= first:
            raise DataError(
                f"{self.name or 'the panel'} must have days between {start} and {end}, got "
                f"{self.days[0]} to {self.days[-1]}; choose other dates"
            )
        return self._rows(slice(first, last))

    def _rows(self, rows: slice) -> "StockPanel":
        return replace(
            self,
            days=self.days[rows],
            bars=self.bars[rows],
            member=self.member[rows],
            tradable=self.tradable[rows],
        )

    def take(self, stocks: Int[ndarray, " kept"]) -> "StockPanel":
        """Return the panel of these stocks, in this order."""
        return replace(
            self,
            stocks=tuple(self.stocks[place] for place in stocks),
            bars=self.bars[:, stocks],
            member=self.member[:, stocks],
            tradable=self.tradable[:, stocks],
            sector=self.sector[stocks],
        )

    def last_known(self, name: str) -> Float64[ndarray, "day stock"]:
        """Return the field with every gap filled by the value before it; NaN before the first."""
        return last_known(self[name])

    def forward_returns(
        self, *, execution_lag: int = 1, fill: Fill = "close"
    ) -> Float64[ndarray, "day stock"]:
        """Return what a score of day t earns: the simple return of the one day of its holding.

        Parameters
        ----------
        execution_lag
            With 1 and ``"close"``, from the close of t to the close of t + 1: the very close that
            the score has seen, so it is optimistic. With 1 and ``"open"``, from the open of t + 1
            to the open of t + 2. Every further lag is one day later.

        Returns
        -------
        array
            NaN where one of the two prices is missing, and on the last days.
        """
        check_execution(execution_lag, fill)
        prices = self[fill]
        enter = execution_lag - (fill == "close")
        returns = np.full(prices.shape, np.nan)
        n_rows = self.n_days - enter - 1
        if n_rows > 0:
            returns[:n_rows] = prices[enter + 1 :] / prices[enter:-1] - 1
        return returns


@dataclass(frozen=True, kw_only=True)
class StockBatch(WindowBatch):
    """The cross-section of one day: a window per stock.

    Parameters
    ----------
    stock, sector
        Places in the panel; an unknown sector is -1.
    forward_return
        Simple return that the day's score earns; NaN where it is not known.
    tradable
        On the day of the score.
    """

    stock: Int[Tensor, " batch"]
    sector: Int[Tensor, " batch"]
    forward_return: Float[Tensor, " batch"]
    tradable: Bool[Tensor, " batch"]

    def to(self, device: Any) -> "StockBatch":
        """Return the same batch on `device`."""
        moved = {
            one.name: value.to(device)
            for one in fields(self)
            if (value := getattr(self, one.name)) is not None
        }
        return replace(self, **moved)


def last_known(values: Float[ndarray, "day stock"]) -> Float64[ndarray, "day stock"]:
    """Fill every gap with the value before it; nothing later is looked at."""
    rows = np.where(np.isfinite(values), np.arange(len(values))[:, None], 0)
    np.maximum.accumulate(rows, axis=0, out=rows)
    filled: ndarray = np.take_along_axis(values.astype(np.float64), rows, axis=0)
    return filled


def bound_of(text: str) -> date:
    """Return the first or last day of a span, written as text."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"a bound must be a day such as '2017-01-03', got {text!r}") from None


def check_execution(execution_lag: Any, fill: Any) -> None:
    """Refuse to earn a return that the score has already seen, or at a price of hindsight."""
    if is_number(execution_lag) and execution_lag < 1:
        raise ConfigError(
            f"execution_lag must be at least 1, got {execution_lag}: a score of day t has seen the "
            "return of day t"
        )
    if not is_whole(execution_lag):
        raise ConfigError(f"execution_lag must be a whole number of days, got {execution_lag!r}")
    if fill not in get_args(Fill):
        raise ConfigError(
            f"fill must be one of {list(get_args(Fill))}, got {fill!r}; nobody knows the high or "
            "low of a day before it is over"
        )
