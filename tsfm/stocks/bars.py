"""The bars of a frame under their usual names, adjusted where the frame says how."""

import polars as pl

from tsfm.errors import DataError
from tsfm.stocks.columns import FIELDS, PRICES, RAW_CLOSE, numbers_of

ADJUSTED = "adj_close"
# What vendors call it, whatever they put between the words.
ADJUSTED_LETTERS = ("adjclose", "adjustedclose", "closeadj", "closeadjusted")


def usual_name(column: str) -> str:
    """Return what a column is called here.

    Examples
    --------
    >>> usual_name(" Volume"), usual_name("adjClose"), usual_name("Adj. Close")
    ('volume', 'adj_close', 'adj_close')
    """
    name = column.strip().lower().replace(" ", "_")
    letters = "".join(filter(str.isalpha, name))
    return ADJUSTED if letters in ADJUSTED_LETTERS else name


def with_bars(data: pl.DataFrame, keys: list[str], extra: list[str], where: str) -> pl.DataFrame:
    """Return the keys, the extra columns and the bars of a frame, by their usual names.

    With an adjusted close all prices are in its units, and ``raw_close`` is what was traded.

    Parameters
    ----------
    where
        File or frame, for the errors.

    Raises
    ------
    DataError
        When a column is there twice or none is a close, or only one of a close and its adjusted
        one can be used on a day.
    """
    found: dict[str, str] = {}
    for column in data.columns:
        one = usual_name(column)
        if column in (*keys, *extra) or one not in (*FIELDS, ADJUSTED):
            continue
        if one in found:
            raise DataError(
                f"{where} must have one column {one}, got {[found[one], column]}; drop or rename "
                "one"
            )
        found[one] = column
    if not {"close", ADJUSTED} & set(found):
        raise DataError(
            f"{where} must have a column close or adj_close, got {data.columns}; rename yours"
        )
    numbers = [numbers_of(data, column, keys, where).alias(one) for one, column in found.items()]
    bars = data.select(*keys, *extra).with_columns(numbers)
    if ADJUSTED not in found:
        return bars
    if "close" not in found:
        return bars.rename({ADJUSTED: "close"})
    _check_adjusted(bars, keys, where)
    ratio = pl.col(ADJUSTED) / pl.col("close")
    others = [one for one in PRICES if one in found and one != "close"]
    return bars.with_columns(
        *(pl.col(one) * ratio for one in others),
        pl.col(ADJUSTED).alias("close"),
        pl.col("close").alias(RAW_CLOSE),
    ).drop(ADJUSTED)


def _check_adjusted(bars: pl.DataFrame, keys: list[str], where: str) -> None:
    """Refuse closes whose bar would vanish, as if the stock were delisted, or be adjusted to 0."""
    both = (pl.col("close") > 0) & (pl.col(ADJUSTED) > 0)
    wrong = bars.filter(pl.col("close").is_not_null() & ~both.fill_null(value=False))
    if len(wrong):
        stock, day, adjusted, close = wrong.select(*keys, ADJUSTED, "close").row(0)
        raise DataError(
            f"{where} must have a positive adj_close wherever it has a close, got {adjusted} and "
            f"{close} of {stock!r} on {day} and {len(wrong) - 1} more; correct them, or make both "
            "missing"
        )
