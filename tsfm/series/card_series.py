"""The series of a card as arrays, one per item and channel."""

import numpy as np
import polars as pl

from tsfm.series.cards import DatasetCard, load_dataset
from tsfm.shapes import Float64, ndarray


def read_series(card: DatasetCard) -> list[tuple[str, Float64[ndarray, " time"]]]:
    """Return the name and the values of every channel of every item; NaN where missing.

    Rows are taken as they are, in order of time: steps without a row are not filled in.
    """
    keys = [card.item_id, card.timestamp]
    frame = load_dataset(card.name).sort(keys).collect()
    series = []
    for (item,), part in frame.group_by(card.item_id, maintain_order=True):
        for channel in card.channels:
            values = part[channel].cast(pl.Float64).to_numpy()
            name = str(item) if len(card.channels) == 1 else f"{item}/{channel}"
            series.append((name, np.array(values, np.float64)))
    return series
