"""Labelled sets for detection: values and labels of every series, and how much of it is training.

Rows are taken as they are, in order of time: steps without a row are not filled in.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from tsfm.errors import ConfigError, DataError
from tsfm.metrics.detection import runs
from tsfm.metrics.nab import probation_length
from tsfm.series.card_series import read_rows
from tsfm.series.cards import load_card
from tsfm.shapes import Bool, Float64, ndarray

LABEL = "anomaly"
SKAB_TRAIN_ROWS = 400
"""By the rules of its leaderboard."""
PROBATION_NOTE = "The first 15 % of a series, at most 750 rows, are for training (NAB's probation)."
NOTES = {
    "skab": f"The first {SKAB_TRAIN_ROWS} rows of a series are for training; the file without an "
    "anomaly is left out. All channels count.",
    "nab_shared": f"{PROBATION_NOTE} Windows are wide, a tenth of the rows, and were drawn around "
    "shorter events.",
}


@dataclass(frozen=True)
class LabelledSeries:
    """One series of a set.

    Parameters
    ----------
    n_train
        First rows, on which a rival may be fitted; they are not scored.
    """

    name: str
    values: Float64[ndarray, "time channel"]
    labels: Bool[ndarray, " time"]
    n_train: int


@dataclass(frozen=True)
class DetectionSet:
    """Series of one set.

    Parameters
    ----------
    note
        What a reader of its scores must know.
    window_share
        Windows of NAB's score are widened to this share of the rows; NAB's own are already.
    """

    name: str
    series: tuple[LabelledSeries, ...]
    note: str
    window_share: float = 0.0


def widened(labels: Bool[ndarray, " time"], share: float) -> Bool[ndarray, " time"]:
    """Return windows around the anomalies, each at least `share` of all rows as far as they reach.

    Examples
    --------
    >>> widened(np.array([False, False, True, False, False]), 0.6).tolist()
    [False, True, True, True, False]
    """
    found = labels.copy()
    for start, stop in zip(*runs(labels), strict=True):
        beyond = max(0, int(share * len(labels)) - (stop - start)) // 2
        found[max(0, start - beyond) : stop + beyond] = True
    return found


def read_detection_set(name: str) -> DetectionSet:
    """Read `nab_shared`, `skab`, or another set with labels, whose training rows are as NAB's.

    Raises
    ------
    ConfigError
        When the set has no labels.
    DataError
        When its file is not here, or a row of it cannot be used.
    """
    card = load_card(name)
    frame = read_rows(card)
    if LABEL not in frame.columns:
        raise ConfigError(
            f"datasets must have a column {LABEL!r}, got {name!r} with {frame.columns}; choose "
            "nab_shared or skab"
        )
    if not frame[LABEL].cast(pl.Float64, strict=False).is_in([0.0, 1.0]).fill_null(False).all():
        raise DataError(
            f"{card.file}: column {LABEL!r} must be 0 or 1 in every row, got "
            f"{frame[LABEL].unique().sort().to_list()[:5]}; correct it"
        )
    is_skab = name == "skab"
    series = []
    for (item,), part in frame.group_by(card.item_id, maintain_order=True):
        values = part.select(card.channels).to_numpy()
        labels = part[LABEL].cast(pl.Float64).to_numpy() == 1
        if is_skab and not labels.any():
            continue
        n_train = SKAB_TRAIN_ROWS if is_skab else probation_length(len(labels))
        series.append(LabelledSeries(str(item), np.array(values), labels, n_train))
    return DetectionSet(name, tuple(series), NOTES.get(name, PROBATION_NOTE))
