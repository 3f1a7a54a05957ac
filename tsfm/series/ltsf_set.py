"""Sets of the long-term protocol: one multivariate series, its borders, standardised values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tsfm.errors import DataError
from tsfm.series.card_series import read_series
from tsfm.series.cards import load_card
from tsfm.shapes import Float64, ndarray

TRAIN_SHARE, TEST_SHARE = 0.7, 0.2


@dataclass(frozen=True)
class LtsfSet:
    """Rows of one multivariate series up to the end of its test rows.

    Parameters
    ----------
    values
        Less the mean and divided by the population standard deviation of the training rows.
    train_end
        First row that is not for training.
    test_start
        First row of the test; the context of a window may lie before it.
    freq
        Alias of the frequency; ``"step"`` where it is not known.
    """

    name: str
    values: Float64[ndarray, "time channel"]
    train_end: int
    test_start: int
    seasonality: int
    freq: str = "step"


def read_ltsf_set(
    name: str,
    split: tuple[int, int, int] | None = None,
    *,
    missing: Literal["refuse", "keep"] = "refuse",
) -> LtsfSet:
    """Read, cut and standardise a set.

    Parameters
    ----------
    split
        Rows for training, validation and test; later rows are left out. By default 70, 10 and
        20 % of all rows, train and test rounded down.
    missing
        Whether a missing value is an error, or stays NaN and counts in no statistic.

    Raises
    ------
    DataError
        When the channels differ in length, a value is missing, or the rows do not suffice.
    """
    card = load_card(name)
    series = [values for _, values in read_series(card)]
    data = cut_set(name, series, split, seasonality=card.seasonality, missing=missing)
    return replace(data, freq=card.freq or data.freq)


def cut_set(
    name: str,
    series: Sequence[Float64[ndarray, " time"]],
    split: tuple[int, int, int] | None,
    *,
    seasonality: int,
    missing: Literal["refuse", "keep"] = "refuse",
) -> LtsfSet:
    """Cut and standardise the channels of a set; see `read_ltsf_set`."""
    lengths = sorted({len(values) for values in series})
    n_missing = sum(int(np.isnan(values).sum()) for values in series)
    if len(lengths) > 1 and missing == "keep":
        raise DataError(
            f"{name} must have series of one length, got lengths {lengths[:3]}; a split has the "
            "same rows of all of them: leave it out, or cut them to one length"
        )
    if len(lengths) > 1 or (n_missing and missing == "refuse"):
        raise DataError(
            f"{name} must be one series without missing values, got lengths {lengths[:3]} and "
            f"{n_missing} missing values; the long-term protocol has no rule for them"
        )
    n_train, n_validation, n_test = split or _shares(lengths[0])
    n_rows = n_train + n_validation + n_test
    if n_rows > lengths[0] or min(n_train, n_test) < 1:
        raise DataError(
            f"splits of {name} must fit its {lengths[0]} rows, got train={n_train}, "
            f"validation={n_validation}, test={n_test}; make them smaller"
        )
    values = np.stack(series, axis=1)[:n_rows]
    train = values[:n_train]
    if np.isnan(train).all(axis=0).any():
        raise DataError(
            f"{name} must have a training value in every channel, got none in channel "
            f"{int(np.isnan(train).all(axis=0).argmax())}; change split or the card"
        )
    loc, scale = np.nanmean(train, axis=0), np.nanstd(train, axis=0)
    return LtsfSet(
        name=name,
        values=(values - loc) / np.where(scale > 0, scale, 1.0),
        train_end=n_train,
        test_start=n_train + n_validation,
        seasonality=seasonality,
    )


def _shares(n_rows: int) -> tuple[int, int, int]:
    n_train, n_test = int(n_rows * TRAIN_SHARE), int(n_rows * TEST_SHARE)
    return n_train, n_rows - n_train - n_test, n_test
