"""A frame of anyone's scores as a table on the days and stocks of a panel."""

from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.series.convert import to_polars
from tsfm.shapes import Float64, Int, ndarray
from tsfm.stocks.columns import key_names, numbers_of
from tsfm.stocks.days import as_days
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.wide import open_wide


def read_scores(
    scores: Any,
    panel: StockPanel,
    *,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    score_column: str = "score",
) -> Float64[ndarray, "day stock"]:
    """Return scores as a table on the days and stocks of a panel; NaN where there is none."""
    frame, _ = to_polars(scores, timestamp_column)
    id_column, timestamp_column = key_names(frame.columns, id_column, timestamp_column)
    missing = [one for one in (id_column, score_column) if one not in frame.columns]
    if len(missing) == 1:
        raise DataError(
            f"scores must have the columns {id_column!r} and {score_column!r}, got "
            f"{frame.columns}; name yours, or give a wide frame with a column per stock"
        )
    if missing:
        frame = open_wide(scores, "scores", timestamp_column)
        frame = frame.unpivot(
            index=timestamp_column, variable_name=id_column, value_name=score_column
        )
    if timestamp_column not in frame.columns:
        raise DataError(
            f"scores must have the column {timestamp_column!r}, got {frame.columns}; name yours "
            "with timestamp_column="
        )
    keys = [id_column, timestamp_column]
    frame = frame.select(
        pl.col(id_column).cast(pl.String),
        as_days(frame[timestamp_column], "scores"),
        numbers_of(frame, score_column, keys, "scores"),
    ).drop_nulls(score_column)
    stock, row = _places(frame, panel, id_column, timestamp_column)
    _check_scores(frame, id_column, timestamp_column, score_column)
    table = np.full((panel.n_days, panel.n_stocks), np.nan)
    table[row, stock] = frame[score_column].to_numpy()
    return table


def _check_scores(
    frame: pl.DataFrame, id_column: str, timestamp_column: str, score_column: str
) -> None:
    for wrong, what, remedy in (
        (frame[score_column].is_infinite(), "an infinite one", "correct or drop them"),
        (
            frame.select(id_column, timestamp_column).is_duplicated(),
            "several",
            "aggregate them",
        ),
    ):
        if wrong.any():
            stock, day = frame.filter(wrong).select(id_column, timestamp_column).row(0)
            raise DataError(
                f"scores must be finite, one per stock and day, got {what} of {stock!r} on {day}, "
                f"and {int(wrong.sum()) - 1} more such rows; {remedy}"
            )


def _places(
    frame: pl.DataFrame, panel: StockPanel, id_column: str, timestamp_column: str
) -> tuple[Int[ndarray, " row"], Int[ndarray, " row"]]:
    known = {name: place for place, name in enumerate(panel.stocks)}
    stock = np.array([known.get(one, -1) for one in frame[id_column]], np.int64)
    stamps = frame[timestamp_column].to_numpy().astype("datetime64[D]")
    row = np.minimum(np.searchsorted(panel.days, stamps), panel.n_days - 1)
    astray = (stock < 0) | (panel.days[row] != stamps)
    if astray.any() or not len(frame):
        first = int(np.argmax(astray)) if len(frame) else 0
        what = f"{frame[id_column][first]!r} on {stamps[first]}" if len(frame) else "no score"
        raise DataError(
            f"scores must be of stocks and days that the prices have, got {what} and "
            f"{max(0, int(astray.sum()) - 1)} more; drop them or add prices"
        )
    return stock, row
