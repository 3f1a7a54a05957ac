"""Rolling-origin evaluation: forecasts from several cutoffs beside what then happened."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tsfm.series.frame import SeriesFrame
from tsfm.tasks.forecast import DECILES, Forecaster


def cross_validation(
    data: Any,
    *,
    prediction_length: int,
    n_windows: int = 5,
    step_size: int | None = None,
    model: str = "tsfm-small",
    quantile_levels: Sequence[float] = DECILES,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    context_length: int | None = None,
    batch_size: int = 256,
    device: str = "auto",
    progress: bool | None = None,  # noqa: ARG001 (shared keyword)
) -> Any:
    """Forecast from `n_windows` cutoffs, `step_size` steps apart, up to one horizon from the end.

    Returns the columns of a forecast, plus `cutoff` and the observed `target`.
    """
    series = SeriesFrame.from_any(
        data,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
    )
    forecaster = Forecaster.from_pretrained(model, device=device)
    step = step_size or prediction_length
    frames = []
    for window in reversed(range(n_windows)):
        dropped = prediction_length + window * step
        past = series.before(dropped)
        forecast = forecaster.forecast_series(
            past,
            prediction_length,
            quantile_levels,
            context_length=context_length,
            batch_size=batch_size,
        )
        first = series.offsets[1:] - dropped
        rows = (first[:, None] + np.arange(prediction_length)).ravel()
        n_targets = len(series.targets)
        item = np.tile(np.repeat(np.arange(series.n_items), prediction_length), n_targets)
        frames.append(
            forecast.with_columns(
                past.last_timestamps().gather(item).alias("cutoff"),
                pl.Series("target", series.values[rows].T.ravel()).fill_nan(None),
            )
        )
    return series.to_origin(pl.concat(frames))
