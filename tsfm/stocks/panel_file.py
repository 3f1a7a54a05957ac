"""A user's own panel: files of bars or closes under the names that quants use, without a card."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from tsfm.errors import DataError
from tsfm.series.cards import list_cards
from tsfm.series.files import read_input
from tsfm.series.find_files import SUFFIXES, folder_columns
from tsfm.series.validation import MISSING_TEXTS
from tsfm.stocks.bars import usual_name
from tsfm.stocks.days import as_days
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.reading import SECTOR_COLUMNS, read_frame, read_wide

DAY_NAMES = ("timestamp", "date", "datetime", "day", "ds", "time", "__index_level_0__")
STOCK_NAMES = (
    *("item_id", "ticker", "tic", "symbol", "stock", "asset", "security", "instrument"),
    *("permno", "isin", "code", "unique_id", "name"),
)
# Columns of two levels, as pandas names them in a file.
TUPLE = re.compile(r"\(.+, .+\)")
MEMBER_NAMES = ("member", "in_index", "in_universe")


def is_file(dataset: str) -> bool:
    """Say whether a data set is named by files rather than by its card.

    Examples
    --------
    >>> is_file("bars/2017.parquet"), is_file("stock_rsr_nyse")
    (True, False)
    """
    if dataset in list_cards():
        return False
    is_path = any(one in dataset for one in ("/", "\\", "*"))
    return is_path or dataset.endswith(SUFFIXES) or Path(dataset).exists()


def read_panel_file(
    path: str | Path,
    *,
    start: str | None = None,
    end: str | None = None,
    calendar: str | None = None,
) -> StockPanel:
    """Return the panel of a file, a folder or a pattern of CSV or Parquet.

    Long: a column of days (``date``, ``timestamp``, …), one of stocks (``ticker``, ``symbol``, …),
    bars (``close`` or ``adj_close``, perhaps open, high, low and volume), and perhaps ``sector`` or
    ``industry`` and ``member``, in any case. Wide: days in the first column or one of those names,
    and a column of closes per stock. Days may be dates, stamps, whole numbers such as 20170103 or
    text with the year first; text such as 03/01/2017 may be two days and is refused.

    Parameters
    ----------
    start, end
        First and last day, both included; None leaves a side open.
    calendar
        See `tsfm.stocks.reading.read_frame`.

    Raises
    ------
    DataError
        When there is no such file, or it has no days, stocks or closes that can be told.
    """
    frame, _ = read_input([path], id_columns=STOCK_NAMES)
    spelling = {usual_name(one): one for one in frame.columns}
    day = _named(spelling, DAY_NAMES) or frame.columns[0]
    stock = _named(spelling, STOCK_NAMES)
    frame = frame.with_columns(as_days(frame[day], str(path)))
    has_close = bool({"close", "adj_close"} & set(spelling))
    if stock is not None and has_close:
        panel = read_frame(
            frame,
            id_column=stock,
            timestamp_column=day,
            sector_column=_named(spelling, (*SECTOR_COLUMNS, "gics_sector")),
            member_column=_named(spelling, MEMBER_NAMES),
            calendar=calendar,
            name=str(path),
        )
    else:
        if stock is not None or has_close:
            lacking = "a column of stocks, such as ticker" if has_close else "a column close"
            raise DataError(f"{path} must have {lacking}, got {frame.columns}; rename yours")
        panel = read_wide(_closes(frame, day, path), calendar=calendar, name=str(path))
    return replace(panel.between(start, end), name=Path(path).name.split(".")[0])


def _named(spelling: dict[str, str], names: Sequence[str]) -> str | None:
    return next((spelling[one] for one in names if one in spelling), None)


def _closes(frame: pl.DataFrame, day: str, path: str | Path) -> pl.DataFrame:
    """Return a wide frame as `read_wide` wants it: the days first, then numbers."""
    # What folders such as year=2020 say is no stock.
    said = folder_columns([path])
    stocks = [one for one in frame.columns if one != day and one not in said]
    tuples = [one for one in stocks if TUPLE.fullmatch(one)]
    if tuples:
        raise DataError(
            f"{path} must have columns with names of one level, got {tuples[:5]}; write the closes "
            "alone, or a long frame"
        )
    kinds = {one: frame[one].dtype for one in stocks}
    texts = [pl.col(one) for one in stocks if kinds[one] == pl.String]
    frame = frame.with_columns(
        pl.when(~one.str.strip_chars().str.to_lowercase().is_in(MISSING_TEXTS)).then(one)
        for one in texts
    )
    known = (pl.String, pl.Null)
    text = [one for one, kind in kinds.items() if not (kind.is_numeric() or kind in known)]
    closes = frame.select(
        pl.col(one).cast(pl.Float64, strict=False) for one in stocks if one not in text
    )
    text += [one for one in closes.columns if closes[one].null_count() > frame[one].null_count()]
    if text or not stocks:
        raise DataError(
            f"{path} must have a column of closes per stock besides {day!r}, or columns ticker and "
            f"close, got {text[:5] or 'nothing'}; rename or drop what is neither"
        )
    return closes.fill_nan(None).insert_column(0, frame[day].alias("timestamp"))
