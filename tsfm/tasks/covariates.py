"""CovariateForecaster: a forecaster that takes covariates into account, by a fitted ridge.

The effect of covariates is what they say about the errors of the model's own forecasts of the past,
in units of each series, pooled over items. It is taken out of the past before the model reads it,
and added to the forecast. The model stays as it is.

References
----------
Das et al. (2024), "A decoder-only foundation model for time-series forecasting" (TimesFM), whose
release fits exogenous regressors beside the model in the same spirit.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tsfm.errors import ConfigError
from tsfm.metrics.forecasting import seasonal_error
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.arguments import at_least_one
from tsfm.tasks.covariate_table import CovariateTable, read_covariates
from tsfm.tasks.forecast import DECILES, Forecaster
from tsfm.tasks.progress import progress_bar
from tsfm.tasks.row_forecasts import row_quantiles

# Per row, of standardised covariates; the last one leaves covariates out.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, np.inf)
HELD_OUT = 0.2
FEWEST_ROWS = 20
# The second time the model reads a past without the effect of the first.
ROUNDS = 2


class Design(NamedTuple):
    """Columns of the regression, past and future; NaN where a covariate is missing."""

    past: Float64[ndarray, "total_time column"]
    future: Float64[ndarray, "item horizon column"]


class CovariateForecaster:
    """Forecasts with past, known-future and static covariates.

    Parameters
    ----------
    forecaster
        Any forecaster; it is not trained.
    covariates
        Columns of the data. Those that `future` has too act at once; those of the past alone act
        by their value one `prediction_length` earlier. None takes the columns of `future`.
    static_covariates
        Columns with one number or text per item; they say how strongly covariates act on an item.

    Examples
    --------
    >>> promo = (np.random.default_rng(0).random(120) < 0.2).astype(float)
    >>> frame = pl.DataFrame({"timestamp": range(120), "target": 5 + 9 * promo, "promo": promo})
    >>> future = pl.DataFrame({"timestamp": range(120, 124), "promo": [0.0, 1.0, 0.0, 0.0]})
    >>> model = CovariateForecaster.from_pretrained("tsfm-small")
    >>> found = model.predict(frame, future=future, prediction_length=4)
    >>> found["predictions"].arg_max()
    1
    """

    def __init__(
        self,
        forecaster: Forecaster,
        *,
        covariates: Sequence[str] | None = None,
        static_covariates: Sequence[str] = (),
    ) -> None:
        self.forecaster = forecaster
        self.covariates = None if covariates is None else tuple(covariates)
        self.static_covariates = tuple(static_covariates)

    @staticmethod
    def from_pretrained(
        name: str | Path,
        *,
        covariates: Sequence[str] | None = None,
        static_covariates: Sequence[str] = (),
        device: str = "auto",
    ) -> "CovariateForecaster":
        """Load what `Forecaster.from_pretrained` loads."""
        return CovariateForecaster(
            Forecaster.from_pretrained(name, device=device),
            covariates=covariates,
            static_covariates=static_covariates,
        )

    def predict(
        self,
        data: Any,
        *,
        prediction_length: int,
        future: Any = None,
        quantile_levels: Sequence[float] = DECILES,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        progress: bool | None = None,
    ) -> Any:
        """Forecast as `Forecaster.predict` does, with covariates.

        Parameters
        ----------
        future
            A frame with id, stamp and the covariates that are known ahead, for every step that is
            forecast; other columns, and stamps outside of the horizon, are not read.

        Raises
        ------
        ConfigError
            When there is no covariate, or an argument is wrong.
        DataError
            When a covariate is missing, no number, or unknown at a step that is forecast: named
            with item, column and stamp.
        """
        at_least_one("prediction_length", prediction_length)
        options: dict[str, Any] = {
            "id_column": id_column,
            "timestamp_column": timestamp_column,
            "freq": freq,
            "calendar": calendar,
        }
        series = SeriesFrame.from_any(data, target=target, **options)
        table = read_covariates(
            data,
            series,
            future,
            prediction_length,
            covariates=self.covariates,
            static_covariates=self.static_covariates,
            options=options,
        )
        self.forecaster.check_series(
            series, prediction_length, quantile_levels, context_length=context_length
        )
        cleaned, effects = series.values.copy(), []
        matrix = design(table, series.offsets, prediction_length)
        for channel in range(len(series.targets)):
            past, ahead = self._effect(series, channel, matrix, context_length, batch_size)
            cleaned[:, channel] -= past
            effects.append(ahead.ravel())
        with progress_bar(progress, series.n_items * len(series.targets)) as advance:
            frame = self.forecaster.forecast_series(
                replace(series, values=cleaned),
                prediction_length,
                quantile_levels,
                context_length=context_length,
                batch_size=batch_size,
                advance=advance,
            )
        effect = pl.Series("effect", np.concatenate(effects))
        names = ["predictions", *(str(float(level)) for level in quantile_levels)]
        return series.to_origin(frame.with_columns(pl.col(name) + effect for name in names))

    def _effect(
        self,
        series: SeriesFrame,
        channel: int,
        matrix: Design,
        context_length: int | None,
        batch_size: int,
    ) -> tuple[Float64[ndarray, " total_time"], Float64[ndarray, "item horizon"]]:
        """Return what covariates add to every step of the past and of the future."""
        model = self.forecaster.model
        longest = min(context_length or model.context_length, model.context_length)
        values = np.ascontiguousarray(series.values[:, channel])
        unit = seasonal_error(values[:, None], series.offsets, 1)[:, 0]
        unit = np.where(unit > 0, unit, 1.0)
        of_row = np.repeat(unit, series.lengths)
        late = _late(series.offsets)
        past, ahead = np.zeros(len(values)), np.zeros(matrix.future.shape[:2])
        for _ in range(ROUNDS):
            quantiles = row_quantiles(
                model, values - past, series.offsets, context_length=longest, batch_size=batch_size
            )
            error = (values - past - quantiles[:, quantiles.shape[1] // 2]) / of_row
            weights, centre = fit_ridge(matrix.past, error, late)
            past = past + np.nan_to_num((matrix.past - centre) @ weights) * of_row
            ahead = ahead + np.nan_to_num((matrix.future - centre) @ weights) * unit[:, None]
        return past, ahead


def design(
    table: CovariateTable, offsets: Int[ndarray, " item_and_end"], prediction_length: int
) -> Design:
    """Return the columns: known covariates, lagged ones of the past, and both times every fact."""
    known = table.n_known
    lagged, newest = lag(table.past[:, known:], offsets, prediction_length)
    past = np.concatenate([table.past[:, :known], lagged], axis=1)
    future = np.concatenate([table.future, newest], axis=2)
    static = table.static
    if static.shape[1]:
        if len(static) > 1:
            static = (static - static.mean(0)) / np.maximum(static.std(0), 1e-9)
        of_row = np.repeat(static, np.diff(offsets), axis=0)
        products = [past, of_row]
        products += [past * of_row[:, [fact]] for fact in range(static.shape[1])]
        wide = np.repeat(static[:, None], future.shape[1], axis=1)
        ahead = [future, wide]
        ahead += [future * wide[:, :, [fact]] for fact in range(static.shape[1])]
        past, future = np.concatenate(products, axis=1), np.concatenate(ahead, axis=2)
    return Design(past, future)


def lag(
    values: Float64[ndarray, "total_time covariate"],
    offsets: Int[ndarray, " item_and_end"],
    n_steps: int,
) -> tuple[Float64[ndarray, "total_time covariate"], Float64[ndarray, "item horizon covariate"]]:
    """Return the values `n_steps` earlier at every step, and at the `n_steps` steps that follow."""
    lagged = np.full(values.shape, np.nan)
    newest = np.full((len(offsets) - 1, n_steps, values.shape[1]), np.nan)
    for item, (start, end) in enumerate(pairwise(offsets)):
        lagged[start + n_steps : end] = values[start : max(start, end - n_steps)]
        kept = min(n_steps, end - start)
        newest[item, n_steps - kept :] = values[end - kept : end]
    return lagged, newest


def fit_ridge(
    columns: Float64[ndarray, "row column"],
    error: Float64[ndarray, " row"],
    late: Bool[ndarray, " row"],
) -> tuple[Float64[ndarray, " column"], Float64[ndarray, " column"]]:
    """Return weights and the centre of the columns; rows with anything missing are left out.

    The penalty, or none of the covariates at all, is what does best on the late rows after a fit
    to the others; the weights are then fitted to all rows.
    """
    known = np.isfinite(error) & np.isfinite(columns).all(1)
    fitted, held = known & ~late, known & late
    if min(fitted.sum(), held.sum()) < FEWEST_ROWS:
        return np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
    losses = []
    for penalty in PENALTIES:
        weights, centre = _solve(columns[fitted], error[fitted], penalty)
        centred = (columns[held] - centre) @ weights
        losses.append(np.abs(error[held] - error[fitted].mean() - centred).mean())
    return _solve(columns[known], error[known], PENALTIES[int(np.argmin(losses))])


def _solve(
    columns: Float64[ndarray, "row column"], error: Float64[ndarray, " row"], penalty: float
) -> tuple[Float64[ndarray, " column"], Float64[ndarray, " column"]]:
    centre = columns.mean(0)
    centred = columns - centre
    spread = np.where(centred.std(0) > 1e-12, centred.std(0), np.inf)
    scaled = centred / spread
    if not np.isfinite(penalty):
        return np.zeros(columns.shape[1]), centre
    gram = scaled.T @ scaled + penalty * len(scaled) * np.eye(scaled.shape[1])
    weights: ndarray = np.linalg.solve(gram, scaled.T @ (error - error.mean())) / spread
    return weights, centre


def _late(offsets: Int[ndarray, " item_and_end"]) -> Bool[ndarray, " row"]:
    """Say which rows are in the last part of their item."""
    lengths = np.diff(offsets)
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    late: ndarray = step >= np.repeat(np.ceil(lengths * (1 - HELD_OUT)), lengths)
    return late


def check_arguments(covariates: Any, static_covariates: Any, future: Any) -> bool:
    """Say whether a call asks for covariates; names must come in a list.

    Raises
    ------
    ConfigError
        When a text came in place of a list.
    """
    for name, value in (("covariates", covariates), ("static_covariates", static_covariates)):
        if isinstance(value, str):
            raise ConfigError(f"{name} must be a list of columns, got {value!r}; pass [{value!r}]")
    return covariates is not None or future is not None or bool(static_covariates)
