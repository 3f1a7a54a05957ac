"""Forecasts without a model: the rivals that every results table has for free.

All of them forecast each channel of each item by itself and skip missing values of the context.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Protocol, runtime_checkable

import numpy as np

from tsfm.errors import ConfigError
from tsfm.shapes import Float, Int, ndarray
from tsfm.tasks.forecasting.contexts import last_observed


@runtime_checkable
class ArrayForecaster(Protocol):
    """Whatever forecasts many series at once from their values, one after the other."""

    def forecast_arrays(
        self,
        values: Float[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        prediction_length: int,
        quantile_levels: Sequence[float],
    ) -> Float[ndarray, "item quantile horizon channel"]:
        """Return quantile forecasts of the steps after every item's last value."""
        ...


@dataclass(frozen=True)
class SeasonalNaive:
    """Repeats the last season; with a seasonality of 1, the last value.

    A phase of the season that is missing takes the most recent season that has it; one that was
    never observed takes the last observed value, and a series without values gets NaN.

    Parameters
    ----------
    seasonality
        Season length in steps.
    with_bands
        False gives the point forecast at every level, as in the published tables of Chronos.
        True spreads the levels normally around it, with the root mean square of the context's
        seasonal differences as standard deviation, growing with the root of the seasons ahead.

    References
    ----------
    Hyndman and Athanasopoulos, "Forecasting: principles and practice", 3rd edition, section 5.5.
    """

    seasonality: int = 1
    with_bands: bool = False

    def __post_init__(self) -> None:
        if self.seasonality < 1:
            raise ConfigError(
                f"seasonality must be at least 1 step, got {self.seasonality}; use 1 for none"
            )

    def forecast_arrays(
        self,
        values: Float[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        prediction_length: int,
        quantile_levels: Sequence[float],
    ) -> Float[ndarray, "item quantile horizon channel"]:
        """Return the last season, repeated, at every level; missing values are skipped."""
        phase = np.arange(prediction_length) % self.seasonality
        seasons = np.arange(prediction_length) // self.seasonality + 1
        normal = np.array([NormalDist().inv_cdf(level) for level in quantile_levels])
        shape = (len(offsets) - 1, len(quantile_levels), prediction_length, values.shape[1])
        forecasts = np.empty(shape)
        for item, (start, end) in enumerate(pairwise(offsets)):
            context = np.asarray(values[start:end], np.float64)
            point = self._last_season(context)[phase]
            spread = np.zeros(values.shape[1])
            if self.with_bands:
                spread = _root_mean_square(
                    context[self.seasonality :] - context[: -self.seasonality]
                )
            widening = np.sqrt(seasons)[:, None] * spread
            forecasts[item] = point + normal[:, None, None] * widening
        return forecasts

    def _last_season(
        self, context: Float[ndarray, "time channel"]
    ) -> Float[ndarray, "phase channel"]:
        length, n_channels = context.shape
        n_seasons = max(1, -(-length // self.seasonality))
        padded = np.full((n_seasons * self.seasonality, n_channels), np.nan)
        padded[len(padded) - length :] = context
        seasons = padded.reshape(n_seasons, self.seasonality, n_channels)
        last_value = last_observed(context)
        last_season = last_observed(seasons)
        return np.where(np.isnan(last_season), last_value, last_season)


def _root_mean_square(values: Float[ndarray, "time channel"]) -> Float[ndarray, " channel"]:
    """Return the root of the mean square of what is observed; 0 where nothing is."""
    count = np.maximum(np.sum(~np.isnan(values), axis=0), 1)
    return np.sqrt(np.nansum(values**2, axis=0) / count)
