"""Rolling-origin evaluation: forecasts from several cutoffs beside what then happened."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import at_least_one
from tsfm.errors import DataError
from tsfm.series.frame import SeriesFrame
from tsfm.tasks.arguments import a_horizon, refuse_taken
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.quantiles import DECILES
from tsfm.tasks.progress import Advance, progress_bar


def cross_validation(
    data: Any,
    *,
    prediction_length: int,
    n_windows: int = 5,
    step_size: int | None = None,
    model: str | Path | Forecaster = "tsfm-small",
    quantile_levels: Sequence[float] = DECILES,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    context_length: int | None = None,
    batch_size: int = 256,
    device: str = "auto",
    progress: bool | None = None,
) -> Any:
    """Forecast from `n_windows` cutoffs, `step_size` steps apart, up to one horizon from the end.

    The last cutoff lies `prediction_length` steps before the end of every item, so that every
    forecast has its truth beside it. A forecast sees nothing after its cutoff.

    Parameters
    ----------
    step_size
        Steps between cutoffs; by default `prediction_length`, so that windows do not overlap.
    model
        What `Forecaster.from_pretrained` takes, or a forecaster, which keeps its own device.

    Returns
    -------
    frame
        The columns of a forecast, plus `cutoff`, the last stamp that was seen, and `target`, what
        then happened (missing where it is missing); the kind of frame that came in.

    Raises
    ------
    DataError
        When an item is too short for the first cutoff; otherwise as `Forecaster.predict`.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [7.0] * 40})
    >>> found = cross_validation(frame, prediction_length=2, n_windows=3)
    >>> found["cutoff"].to_list(), found["predictions"].to_list() == found["target"].to_list()
    ([33, 33, 35, 35, 37, 37], True)
    """
    series = SeriesFrame.from_any(
        data,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
    )
    if not isinstance(model, Forecaster):
        model = Forecaster.from_pretrained(model, device=device)
    found = cross_validate_series(
        model,
        series,
        prediction_length,
        n_windows=n_windows,
        step_size=step_size,
        quantile_levels=quantile_levels,
        context_length=context_length,
        batch_size=batch_size,
        progress=progress,
    )
    return series.to_origin(found)


def cross_validate_series(
    model: Forecaster,
    series: SeriesFrame,
    prediction_length: int,
    *,
    n_windows: int,
    step_size: int | None = None,
    quantile_levels: Sequence[float] = DECILES,
    context_length: int | None = None,
    batch_size: int = 256,
    progress: bool | None = None,
) -> pl.DataFrame:
    """Return a long polars frame for a validated one; see `cross_validation`."""
    a_horizon(prediction_length)
    at_least_one("n_windows", n_windows)
    step = prediction_length if step_size is None else at_least_one("step_size", step_size)
    refuse_taken(series, ("cutoff", "target"))
    n_forecasts = n_windows * series.n_items * len(series.targets)
    with progress_bar(progress, n_forecasts) as advance:
        frames = [
            _one_cutoff(
                model,
                series,
                prediction_length + window * step,
                prediction_length,
                quantile_levels,
                context_length=context_length,
                batch_size=batch_size,
                advance=advance,
            )
            for window in reversed(range(n_windows))
        ]
    return pl.concat(frames)


def _one_cutoff(
    model: Forecaster,
    series: SeriesFrame,
    n_dropped: int,
    prediction_length: int,
    quantile_levels: Sequence[float],
    *,
    context_length: int | None,
    batch_size: int,
    advance: Advance,
) -> pl.DataFrame:
    """Forecast without the last `n_dropped` steps of every item."""
    past = series.before(n_dropped)
    try:
        forecast = model.forecast_series(
            past,
            prediction_length,
            quantile_levels,
            context_length=context_length,
            batch_size=batch_size,
            advance=advance,
        )
    except DataError as error:
        raise DataError(f"cutoff {n_dropped} steps before the end: {error}") from None
    first = series.offsets[1:] - n_dropped
    rows = (first[:, None] + np.arange(prediction_length)).ravel()
    item = np.repeat(np.arange(series.n_items), prediction_length)
    return forecast.with_columns(
        past.last_timestamps().gather(np.tile(item, len(series.targets))).alias("cutoff"),
        pl.Series("target", series.values[rows].T.ravel()).fill_nan(None),
    )
