"""forecast: the first thing a newcomer calls."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsfm.models.pretrained import load_pretrained
from tsfm.models.timer_covariates import CovariateTimer
from tsfm.tasks.covariates import CovariateForecaster, check_arguments
from tsfm.tasks.forecast import Forecaster, say_calibrated
from tsfm.tasks.forecasting.quantiles import DECILES
from tsfm.tasks.with_covariates.channels import ChannelForecaster


def forecast(
    data: Any,
    *,
    prediction_length: int,
    model: str | Path | Forecaster = "tsfm-small",
    future: Any = None,
    covariates: Sequence[str] | None = None,
    static_covariates: Sequence[str] = (),
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
    """Forecast any frame with a bundled model: no network, no fit. See `Forecaster.predict`.

    Parameters
    ----------
    model
        A loaded model, or what `Forecaster.from_pretrained` loads.
    future
        A frame of covariates that are known ahead: id, stamp, and a row for every step that is
        forecast. What else it has is not read.
    covariates
        Columns of the data that matter for the target; those that `future` has too act at once,
        the others by their value one `prediction_length` earlier. By default the columns of
        `future`. See `tsfm.tasks.covariates.CovariateForecaster`.
    static_covariates
        Columns with one value per item.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [7.0] * 40})
    >>> forecast(frame, prediction_length=2)["predictions"].to_list()
    [7.0, 7.0]
    """
    if isinstance(model, Forecaster):
        loaded = model.model
    else:
        loaded = load_pretrained(model)
        say_calibrated(model)
    options: dict[str, Any] = {
        "prediction_length": prediction_length,
        "quantile_levels": quantile_levels,
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
        "context_length": context_length,
        "batch_size": batch_size,
        "progress": progress,
    }
    asks = check_arguments(covariates, static_covariates, future)
    if isinstance(loaded.backbone, CovariateTimer):
        channels = ChannelForecaster(loaded, device=device)
        channels.check_names(covariates, static_covariates)
        return channels.predict(data, future=future, **options)
    forecaster = model if isinstance(model, Forecaster) else Forecaster(loaded)
    options["device"] = device
    if not asks:
        return forecaster.predict(data, **options)
    adapter = CovariateForecaster(
        forecaster, covariates=covariates, static_covariates=static_covariates
    )
    return adapter.predict(data, future=future, **options)
