"""Other forecasters that install from the package index, in the form that our protocols ask for.

Every peer reads one series at a time and answers with quantiles. None is needed by the package:
``pip install fracast flaircast statsforecast`` brings them.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tsfm.evaluation.rivals import Rival
from tsfm.shapes import Float64, Int, ndarray

OneSeries = Callable[[ndarray, int, Sequence[float]], Float64[ndarray, "quantile horizon"]]
N_SAMPLES = 500
# Steps that the models of statsforecast read, at most: thousands take them minutes per series.
MOST_STEPS = 400


class OneByOne:
    """Forecasts arrays of series with a function of one series; gaps are bridged by lines."""

    def __init__(self, forecast: OneSeries) -> None:
        self._forecast = forecast

    def forecast_arrays(
        self,
        values: Float64[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        prediction_length: int,
        quantile_levels: Sequence[float],
    ) -> Float64[ndarray, "item quantile horizon channel"]:
        """Return the quantiles of every item."""
        rows = [
            self._forecast(_bridged(values[start:end, 0]), prediction_length, quantile_levels)
            for start, end in pairwise(offsets)
        ]
        return np.stack(rows)[..., None]


def _bridged(values: Float64[ndarray, " time"]) -> Float64[ndarray, " time"]:
    step, known = np.arange(len(values)), np.isfinite(values)
    return np.interp(step, step[known], values[known])


def fracast() -> Rival:
    """Fracast-0: 85,001 weights, from its wheel; it needs eight values."""
    from fracast import FracastModel

    model = FracastModel.from_pretrained()

    def forecast(values: ndarray, horizon: int, levels: Sequence[float]) -> ndarray:
        if len(values) < 8:
            values = np.concatenate([np.full(8 - len(values), values[0]), values])
        found = model.forecast(values, horizon=horizon)
        return np.stack([np.asarray(found)[:, model.quantiles.index(one)] for one in levels])

    return Rival("fracast", "baseline", OneByOne(forecast), n_parameters=85_001)


def flaircast(freq: str) -> Rival:
    """FLAIR: level times shape in closed form; `freq` chooses the seasons that it considers."""
    from flaircast import forecast as flair

    def forecast(values: ndarray, horizon: int, levels: Sequence[float]) -> ndarray:
        samples = flair(values, horizon=horizon, freq=freq, n_samples=N_SAMPLES, seed=0)
        return np.quantile(samples, levels, axis=0)

    return Rival("flaircast", "baseline", OneByOne(forecast))


def statistical(name: str, seasonality: int) -> Rival:
    """AutoETS, AutoTheta or AutoARIMA of statsforecast, with normal intervals."""
    from statsforecast import models

    def forecast(values: ndarray, horizon: int, levels: Sequence[float]) -> ndarray:
        model: Any = getattr(models, name)(season_length=seasonality)
        wide = sorted({round(100 * abs(1 - 2 * one)) for one in levels if one != 0.5})
        found = model.forecast(y=values[-MOST_STEPS:], h=horizon, level=wide)
        columns = {
            one: "mean"
            if one == 0.5
            else f"{'lo' if one < 0.5 else 'hi'}-{abs(100 - 200 * one):.0f}"
            for one in levels
        }
        return np.stack([np.asarray(found[columns[one]]) for one in levels])

    return Rival(name, "baseline", OneByOne(forecast))


def peers(names: Sequence[str], freq: str, seasonality: int) -> list[Rival]:
    """Return the peers by name; those of statsforecast start with ``Auto``."""
    made = {"fracast": fracast, "flaircast": lambda: flaircast(freq)}
    return [made[name]() if name in made else statistical(name, seasonality) for name in names]
