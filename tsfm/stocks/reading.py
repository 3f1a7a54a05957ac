"""Frames and cards to panels, with every problem named by stock and day."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.series.blanks import refuse_blank_twins
from tsfm.series.calendars import sessions
from tsfm.series.cards import load_card, scan
from tsfm.series.convert import to_polars
from tsfm.shapes import Bool, Int, ndarray
from tsfm.stocks.bars import ADJUSTED, usual_name, with_bars
from tsfm.stocks.columns import FIELDS, RAW_CLOSE, key_names, truths_of
from tsfm.stocks.days import as_days
from tsfm.stocks.panel import StockPanel, bound_of
from tsfm.stocks.volumes import tradable_of
from tsfm.stocks.wide import open_wide, refuse_days_twice, sector_by_stock

SECTOR_COLUMNS = ("sector", "industry")
UNKNOWN_SECTORS = ("", "n/a", "na", "none", "unknown")
# Of fewer stocks half may well have no bar.
FEW_STOCKS = 4


class ThinDaysWarning(UserWarning):
    """Says that days of a panel have bars of few of its stocks."""


def read_card_panel(
    name: str, *, start: str | None = None, end: str | None = None, calendar: str | None = None
) -> StockPanel:
    """Return the panel of a stock card, whose file has a ticker, a date and bars.

    Raises
    ------
    DataError
        When there is no such card or file, or it holds no stocks.
    """
    card = load_card(name)
    if card.role != "stock":
        raise DataError(
            f"a panel must be read from a card of stocks, got {name!r} of role {card.role!r}; "
            "choose one whose role is stock"
        )
    frame = scan(card)
    columns = frame.collect_schema().names()
    for bound, keep in ((start, pl.Expr.__ge__), (end, pl.Expr.__le__)):
        if bound is not None:
            frame = frame.filter(keep(pl.col(card.timestamp).cast(pl.Date), bound_of(bound)))
    return read_frame(
        frame.collect(),
        id_column=card.item_id,
        timestamp_column=card.timestamp,
        sector_column=next((one for one in SECTOR_COLUMNS if one in columns), None),
        calendar=calendar,
        name=name,
    )


def read_frame(
    frame: Any,
    *,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    sector_column: str | None = None,
    member_column: str | None = None,
    calendar: str | None = None,
    name: str = "",
) -> StockPanel:
    """Return the panel of a long frame: one row per stock and day.

    Columns are called as quants call them, in any case: open, high, low, close, volume, and
    ``adj_close`` (or ``Adj. Close``, ``adjClose``, ``adjusted_close``, ``closeadj``), by whose
    ratio to the close all prices are adjusted; the close that was traded is kept as ``raw_close``.
    Days are written as in `tsfm.stocks.days.as_days`.

    Parameters
    ----------
    sector_column
        One value per stock; what is empty or ``n/a`` is unknown.
    member_column
        True on the days on which the stock was in the universe; without it, on days with a close.
    calendar
        Exchange code: the days are its sessions, and a row on another day is an error. Without
        it the days are those of the frame, and days on which few stocks have a bar are warned of.
    name
        What the panel is called, and errors say.

    Raises
    ------
    DataError
        When a column or a close is missing, a number or a day is none, or a stock has two rows for
        a day.
    """
    data, _ = to_polars(frame, timestamp_column)
    id_column, timestamp_column = key_names(data.columns, id_column, timestamp_column)
    where = name or "the frame"
    keys = [id_column, timestamp_column]
    extra = [one for one in (sector_column, member_column) if one is not None]
    _check_columns(data.columns, [*keys, *extra], where)
    data = with_bars(data, keys, extra, where).with_columns(
        pl.col(id_column).cast(pl.String), as_days(data[timestamp_column], where)
    )
    _check_keys(data, id_column, timestamp_column, where)
    days = _days(data[timestamp_column], calendar, where)
    ids = data[id_column].unique().sort()
    refuse_blank_twins(ids, f"{where}, column {id_column!r}")
    stocks = tuple(ids.to_list())
    day = _places(data, keys, days, calendar, where)
    stock = np.searchsorted(np.array(stocks), data[id_column].to_numpy().astype(str))
    fields = tuple(one for one in (*FIELDS, RAW_CLOSE) if one in data.columns)
    bars = np.full((len(days), len(stocks), len(fields)), np.nan)
    for place, one in enumerate(fields):
        bars[day, stock, place] = data[one].to_numpy()
    has_close = np.isfinite(bars[..., fields.index("close")])
    member = has_close
    if member_column is not None:
        member = np.zeros_like(has_close)
        member[day, stock] = truths_of(data[member_column], where).to_numpy()
    volume = bars[..., fields.index("volume")] if "volume" in fields else None
    tradable = tradable_of(has_close, volume, stocks, where)
    if calendar is None:
        _warn_of_thin_days(has_close, days, where)
    sector, sectors = _sectors(data, id_column, sector_column, where)
    return StockPanel(days, stocks, fields, bars, member, tradable, sector, sectors, calendar, name)


def read_wide(
    close: Any,
    *,
    sectors: Mapping[Any, Any] | None = None,
    calendar: str | None = None,
    name: str = "",
    **others: Any,
) -> StockPanel:
    """Return the panel of wide frames: the first column (or the index) has the days.

    Parameters
    ----------
    close
        One column per stock. Days are written as in `tsfm.stocks.days.as_days`.
    sectors
        Sector by stock; a stock that it lacks has none.
    others
        Further frames of the same form, by field: ``open=``, ``high=``, ``low=``, ``volume=``,
        ``adj_close=``.

    Raises
    ------
    ConfigError
        When there is no such field, or `sectors` is no dict.
    DataError
        When a frame is long, or breaks a rule of `read_frame`.
    """
    known = (*FIELDS, ADJUSTED)
    unknown = [one for one in others if usual_name(one) not in known]
    if unknown:
        raise ConfigError(
            f"frames besides close must be named as one of {list(known)}, got {unknown}; correct "
            "the name or leave it out"
        )
    long: pl.DataFrame | None = None
    for field, wide in {"close": close, **others}.items():
        of_field = f"{field} of {name}" if name else field
        frame = open_wide(wide, of_field)
        if {"item_id", field} & set(frame.columns):
            raise DataError(
                f"{field} must be a wide frame, a column per stock, got the columns "
                f"{frame.columns}; a long one is read by StockPanel.from_frame"
            )
        refuse_days_twice(frame, of_field)
        part = frame.unpivot(index="timestamp", variable_name="item_id", value_name=field)
        keys = ["timestamp", "item_id"]
        long = part if long is None else long.join(part, on=keys, how="full", coalesce=True)
    if long is None:
        raise DataError("close must be a frame, got nothing")
    if sectors is not None:
        known_sectors = sector_by_stock(sectors, long["item_id"].unique())
        named = pl.col("item_id").replace_strict(
            known_sectors, default=None, return_dtype=pl.String
        )
        long = long.with_columns(named.alias("sector"))
    return read_frame(
        long,
        sector_column="sector" if sectors is not None else None,
        calendar=calendar,
        name=name,
    )


def _warn_of_thin_days(has_close: Bool[ndarray, "day stock"], days: ndarray, where: str) -> None:
    """Say so when half of the stocks that live lack a bar: a stray row, or two calendars."""
    began = np.maximum.accumulate(has_close, axis=0)
    lives = began & np.maximum.accumulate(has_close[::-1], axis=0)[::-1]
    alive, traded = lives.sum(axis=1), has_close.sum(axis=1)
    thin = (alive >= FEW_STOCKS) & (traded <= alive / 2)
    if thin.any():
        first = int(np.argmax(thin))
        warnings.warn(
            f"{where} has {int(thin.sum())} of {len(days)} days on which half of the stocks or "
            f"more have no bar, the first {days[first]} with {traded[first]} of {alive[first]}; a "
            "window with such a day lacks a bar of all others: drop stray rows, or pass calendar=",
            ThinDaysWarning,
            stacklevel=4,
        )


def _check_columns(columns: list[str], asked: list[str], where: str) -> None:
    ways = "id_column=, timestamp_column=, sector_column= or member_column="
    missing = [one for one in asked if one not in columns]
    if missing:
        raise DataError(
            f"{where} must have the columns {missing}, got {columns}; name yours with {ways}"
        )
    twice = [one for one in dict.fromkeys(asked) if asked.count(one) > 1]
    if twice:
        raise DataError(
            f"{where} must have a column of its own for each of {ways}, got {twice} twice; copy "
            "it under another name"
        )


def _check_keys(data: pl.DataFrame, id_column: str, timestamp_column: str, where: str) -> None:
    lacking = data.filter(pl.any_horizontal(pl.col(id_column, timestamp_column).is_null()))
    if len(lacking):
        stock, day = lacking.select(id_column, timestamp_column).row(0)
        raise DataError(
            f"{where} must have {id_column} and {timestamp_column} in every row, got {stock!r} on "
            f"{day} and {len(lacking) - 1} more rows without a stock or a day; drop them"
        )
    twice = data.group_by(id_column, timestamp_column).len().filter(pl.col("len") > 1)
    if len(twice):
        stock, day, n_rows = twice.sort(id_column, timestamp_column).row(0)
        raise DataError(
            f"{where} must have one bar per stock and day, got {n_rows} of {stock!r} on {day} and "
            f"{len(twice) - 1} more such days; aggregate them"
        )


def _days(column: pl.Series, calendar: str | None, where: str) -> ndarray:
    found = column.unique().sort().to_numpy().astype("datetime64[D]")
    if not len(found):
        raise DataError(f"{where} must have rows, got none; check the file or the dates")
    if calendar is None:
        return found
    known = sessions(calendar, found[0], found[-1])
    wanted: ndarray = known[(known >= found[0]) & (known <= found[-1])]
    return wanted


def _places(
    data: pl.DataFrame, keys: list[str], days: ndarray, calendar: str | None, where: str
) -> Int[ndarray, " row"]:
    """Return the row of the panel of every bar."""
    id_column, timestamp_column = keys
    stamps = data[timestamp_column].to_numpy().astype("datetime64[D]")
    place = np.minimum(np.searchsorted(days, stamps), max(0, len(days) - 1))
    # From a Saturday to a Sunday there may be no session at all.
    astray = days[place] != stamps if len(days) else np.ones(len(stamps), bool)
    if astray.any():
        first = int(np.flatnonzero(astray)[np.argmin(stamps[astray])])
        raise DataError(
            f"bars of {where} must be on sessions of {calendar}, got {data[id_column][first]!r} on "
            f"{stamps[first]} and {int(astray.sum()) - 1} more; drop them or choose another "
            "calendar"
        )
    return place


def _sectors(
    data: pl.DataFrame, id_column: str, column: str | None, where: str
) -> tuple[Int[ndarray, " stock"], tuple[str, ...]]:
    stocks = data[id_column].unique().sort()
    if column is None:
        return np.full(len(stocks), -1), ()
    name = pl.col(column).cast(pl.String).str.strip_chars()
    unknown = name.str.to_lowercase().is_in(UNKNOWN_SECTORS)
    clean = data.select(id_column, pl.when(unknown).then(None).otherwise(name).alias("_sector"))
    counts = clean.drop_nulls().group_by(id_column).agg(pl.col("_sector").unique().sort())
    several = counts.filter(pl.col("_sector").list.len() > 1).sort(id_column)
    if len(several):
        stock, found = several.row(0)
        raise DataError(
            f"stock {stock!r} of {where} must have one sector, got {found}, and so for "
            f"{len(several) - 1} more stocks; choose one"
        )
    of_stock = {stock: found[0] for stock, found in counts.iter_rows()}
    sectors = tuple(sorted(set(of_stock.values())))
    number = {name: place for place, name in enumerate(sectors)}
    return np.array([number.get(of_stock.get(one, ""), -1) for one in stocks]), sectors
