"""The rows of a card's file, checked, and its series as arrays, one per item and channel."""

import numpy as np
import polars as pl

from tsfm.series.cards import DatasetCard, load_dataset
from tsfm.series.validation import Columns, check_rows
from tsfm.shapes import Float64, ndarray


def read_rows(card: DatasetCard) -> pl.DataFrame:
    """Return all rows of a card's file by item and time, channels as numbers; null where missing.

    Raises
    ------
    DataError
        When an item or a stamp is missing or occurs twice, or a value is infinite or no number.
    """
    frame = load_dataset(card.name).collect()
    columns = Columns(card.item_id, card.timestamp, card.channels, has_id=True)
    rows = check_rows(frame, columns, [(card.file, frame.height)])
    values = pl.DataFrame(rows.values, schema=list(card.channels))
    return frame[rows.source_row].with_columns(values.fill_nan(None))


def read_series(card: DatasetCard) -> list[tuple[str, Float64[ndarray, " time"]]]:
    """Return the name and the values of every channel of every item; NaN where missing.

    Rows are taken as they are, in order of time: steps without a row are not filled in.
    """
    series = []
    for (item,), part in read_rows(card).group_by(card.item_id, maintain_order=True):
        for channel in card.channels:
            name = str(item) if len(card.channels) == 1 else f"{item}/{channel}"
            series.append((name, np.array(part[channel].to_numpy(), np.float64)))
    return series
