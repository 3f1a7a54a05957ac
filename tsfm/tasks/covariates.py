"""CovariateForecaster: a forecaster that takes covariates into account, by a fitted ridge.

The effect of covariates is what they say about the errors of the model's own forecasts of the past,
in units of each series, pooled over items. It is taken out of the past before the model reads it,
and added to the forecast. The model stays as it is.

References
----------
Das et al. (2024), "A decoder-only foundation model for time-series forecasting" (TimesFM), whose
release fits exogenous regressors beside the model in the same spirit.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from einops import rearrange

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError, UnsupportedError
from tsfm.metrics.forecasting import seasonal_error
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, ndarray
from tsfm.tasks.arguments import a_horizon
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.quantiles import DECILES
from tsfm.tasks.forecasting.row_forecasts import row_quantiles
from tsfm.tasks.forecasting.support import within_support
from tsfm.tasks.progress import progress_bar
from tsfm.tasks.with_covariates.channels import ChannelForecaster, finetuned_channels
from tsfm.tasks.with_covariates.ridge import Design, design, fit_ridge, in_units, late_rows
from tsfm.tasks.with_covariates.table import read_covariates
from tsfm.training.policies import Mode

# The second time the model reads a past without the effect of the first.
ROUNDS = 2


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
        if not isinstance(forecaster, Forecaster):
            raise ConfigError(
                f"forecaster must be a tsfm.Forecaster, got {forecaster!r}; load one by its name "
                "with tsfm.CovariateForecaster.from_pretrained"
            )
        check_arguments(covariates, static_covariates, None)
        self.forecaster = forecaster
        self.covariates = None if covariates is None else tuple(covariates)
        self.static_covariates = tuple(() if static_covariates is None else static_covariates)

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
        device: str = "auto",
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
        self.forecaster.move_to(device)
        a_horizon(prediction_length)
        at_least_one("batch_size", batch_size)
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
        table.check_values()
        self.forecaster.check_series(
            series, prediction_length, quantile_levels, context_length=context_length
        )
        cleaned, effects = series.values.copy(), []
        matrix = design(in_units(table), series.offsets, prediction_length)
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
        names = ["predictions", *(str(float(level)) for level in quantile_levels)]
        moved = frame.select(names).to_numpy() + np.concatenate(effects)[:, None]
        found = self._within_support(moved, series, context_length)
        return series.to_origin(
            frame.with_columns(pl.Series(name, found[:, n]) for n, name in enumerate(names))
        )

    def finetune(
        self,
        data: Any,
        *,
        known: Sequence[str] | None = None,
        mode: Mode = "lora",
        steps: int = 200,
        learning_rate: float | None = None,
        rank: int = 8,
        context_length: int | None = None,
        seed: int = 0,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        batch_size: int = 32,
        device: str = "auto",
        progress: bool | None = None,
    ) -> ChannelForecaster:
        """Return a forecaster whose network reads the covariates as channels, trained on a frame.

        Parameters
        ----------
        known
            Those of the covariates that `future` will have; by default all of them.
        mode, steps, learning_rate, rank
            See `Forecaster.finetune`; what reads covariates is trained in every mode.
        context_length
            Steps of the past that a training window has; by default those of the model.
        batch_size
            Windows per step.
        device
            Where the new model is trained and stays; ``"auto"``: where this one is.

        Raises
        ------
        UnsupportedError
            When the model, or a static covariate, cannot be treated so.
        ConfigError
            When there is no covariate.
        DataError
            When no series is long enough, or a covariate is no number.
        """
        if self.static_covariates:
            raise UnsupportedError(
                "covariates must change with time to be read as channels, got static_covariates="
                f"{list(self.static_covariates)}; leave them out, or use predict"
            )
        return finetuned_channels(
            self.forecaster,
            data,
            covariates=self.covariates,
            known=known,
            target=target,
            options={
                "id_column": id_column,
                "timestamp_column": timestamp_column,
                "freq": freq,
                "calendar": calendar,
            },
            mode=mode,
            steps=steps,
            learning_rate=learning_rate,
            rank=rank,
            context_length=context_length,
            batch_size=batch_size,
            seed=seed,
            device=device,
            progress=progress,
        )

    def _within_support(
        self,
        rows: Float64[ndarray, "row quantile"],
        series: SeriesFrame,
        context_length: int | None,
    ) -> Float64[ndarray, "row quantile"]:
        """Keep what the series are known to be: without covariates these have lost it."""
        longest = self.forecaster.longest_context(context_length)
        sizes = {"channel": len(series.targets), "item": series.n_items}
        form = "(channel item horizon) quantile"
        by_item = rearrange(rows, f"{form} -> item quantile horizon channel", **sizes)
        kept = within_support(by_item, series.values, series.offsets, longest)
        return rearrange(kept, f"item quantile horizon channel -> {form}")

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
        late = late_rows(series.offsets)
        past, ahead = np.zeros(len(values)), np.zeros(matrix.future.shape[:2])
        for _ in range(ROUNDS):
            quantiles = row_quantiles(
                model, values - past, series.offsets, context_length=longest, batch_size=batch_size
            )
            error = (values - past - quantiles[:, quantiles.shape[1] // 2]) / of_row
            weights, centre = fit_ridge(matrix.past, error, late)
            # A missing covariate says nothing; the others still do.
            past = past + np.nan_to_num(matrix.past - centre) @ weights * of_row
            ahead = ahead + np.nan_to_num(matrix.future - centre) @ weights * unit[:, None]
        return past, ahead


def check_arguments(covariates: Any, static_covariates: Any, future: Any) -> bool:
    """Say whether a call asks for covariates; anything but a list of names is a `ConfigError`."""
    for name, value in (("covariates", covariates), ("static_covariates", static_covariates)):
        if isinstance(value, str):
            raise ConfigError(f"{name} must be a list of columns, got {value!r}; pass [{value!r}]")
        if value is not None and not isinstance(value, Iterable):
            raise ConfigError(f"{name} must be a list of columns, got {value!r}; pass their names")
    return covariates is not None or future is not None or bool(static_covariates)
