"""ChannelForecaster: forecasts of a model that was fine-tuned to read covariates as channels."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError, UnsupportedError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.models.timer_covariates import CovariateTimer, WithCovariates
from tsfm.series.convert import to_polars
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.arguments import a_horizon
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.array_forecast import array_forecast, read_contexts
from tsfm.tasks.forecasting.contexts import Contexts
from tsfm.tasks.forecasting.intermittent import toward_past
from tsfm.tasks.forecasting.quantiles import DECILES
from tsfm.tasks.forecasting.support import within_support
from tsfm.tasks.forecasting.views import apart_from_season
from tsfm.tasks.progress import Advance, progress_bar
from tsfm.tasks.with_covariates.finetune import finetuned_with_covariates, standardised
from tsfm.tasks.with_covariates.table import read_covariates
from tsfm.training.policies import Mode


class ChannelForecaster:
    """Forecasts with a model that reads covariates as further channels.

    `CovariateForecaster.finetune` makes one. Of the views that a `Forecaster` has, it takes out a
    season that hardly changes: others know nothing of covariates.
    """

    def __init__(self, model: TimeSeriesModel, *, device: str = "auto") -> None:
        if not isinstance(model.backbone, CovariateTimer):
            raise UnsupportedError(
                f"a model must be fine-tuned with covariates to read them, got {model.name!r}; "
                "make one with CovariateForecaster.finetune"
            )
        self.forecaster = Forecaster(model, device=device)
        self.model = self.forecaster.model
        self.known_covariates = model.backbone.config.known_covariates
        self.past_covariates = model.backbone.config.past_covariates

    @staticmethod
    def from_pretrained(name: str | Path, *, device: str = "auto") -> "ChannelForecaster":
        """Load what `save_pretrained` wrote."""
        return ChannelForecaster(load_pretrained(name), device=device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model to a folder."""
        return save_pretrained(self.model, folder)

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
        """Forecast as `CovariateForecaster.predict` does.

        Raises
        ------
        ConfigError
            When the future of a known covariate is not given, or an argument is wrong.
        DataError
            When a covariate is missing, no number, or unknown at a step that is forecast.
        """
        self.forecaster.move_to(device)
        a_horizon(prediction_length)
        options: dict[str, Any] = {
            "id_column": id_column,
            "timestamp_column": timestamp_column,
            "freq": freq,
            "calendar": calendar,
        }
        series = SeriesFrame.from_any(data, target=target, **options)
        channels = self._channels(data, series, future, prediction_length, options)
        informed = _Informed(self.model, channels, device=str(self.forecaster.device))
        with progress_bar(progress, series.n_items * len(series.targets)) as advance:
            frame = informed.forecast_series(
                series,
                prediction_length,
                quantile_levels,
                context_length=context_length,
                batch_size=batch_size,
                advance=advance,
            )
        return series.to_origin(frame)

    def check_names(
        self, covariates: Sequence[str] | None, static_covariates: Sequence[str]
    ) -> None:
        """Raise when other covariates are asked for than the model reads."""
        own = {*self.known_covariates, *self.past_covariates}
        asked = own if covariates is None else set(covariates)
        if asked | set(static_covariates) != own:
            raise ConfigError(
                f"covariates must be those that the model was fine-tuned with, {sorted(own)}, got "
                f"{sorted(asked | set(static_covariates))}; leave the argument out"
            )

    def _channels(
        self, data: Any, series: SeriesFrame, future: Any, horizon: int, options: dict[str, Any]
    ) -> list[Float64[ndarray, "step covariate"]]:
        """Return past and future of every item, on the scale of its past."""
        names = (*self.known_covariates, *self.past_covariates)
        ahead = None
        if self.known_covariates:
            keys = (series.columns.timestamp, series.columns.id)
            given = None if future is None else to_polars(future, *keys)[0]
            columns = [] if given is None else given.columns
            lost = [name for name in self.known_covariates if name not in columns]
            if given is None or lost:
                raise ConfigError(
                    f"future must have the covariates {list(self.known_covariates)} that the model "
                    f"was fine-tuned with, got columns {columns}; add {lost}"
                )
            ahead = given.drop([name for name in self.past_covariates if name in columns])
        table = read_covariates(
            data, series, ahead, horizon, covariates=names, static_covariates=(), options=options
        )
        n_known, found = len(self.known_covariates), []
        for item, (start, end) in enumerate(pairwise(series.offsets)):
            later = np.full((horizon, len(names)), np.nan)
            later[:, :n_known] = table.future[item]
            past = table.past[start:end]
            found.append(standardised(np.concatenate([past, later]), past))
        return found


class _Informed(Forecaster):
    """A forecaster of items whose covariates it was given."""

    def __init__(
        self,
        model: TimeSeriesModel,
        channels: list[Float64[ndarray, "step covariate"]],
        *,
        device: str,
    ) -> None:
        super().__init__(model, device=device)
        self.channels = channels

    @property
    def usual_context(self) -> int:
        """All that the network was fine-tuned to read."""
        return self.model.context_length

    def forecast_arrays(
        self,
        values: Float64[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        prediction_length: int,
        quantile_levels: Sequence[float],
        *,
        context_length: int | None = None,
        batch_size: int = 256,
        advance: Advance | None = None,
    ) -> Float64[ndarray, "item quantile horizon channel"]:
        """Forecast with the covariates, which end with the last step that is forecast."""
        longest = self.longest_context(context_length)
        read = partial(self._read, prediction_length)
        found = array_forecast(
            self.model,
            values,
            offsets,
            prediction_length,
            quantile_levels,
            context_length=longest,
            batch_size=at_least_one("batch_size", batch_size),
            read=apart_from_season(read) if self.views else read,
            advance=advance,
        )
        if self.views:
            found = toward_past(found, quantile_levels, values, offsets, longest)
        return within_support(found, values, offsets, longest)

    def _read(
        self, n_known: int, batch: Contexts, horizon: int
    ) -> Float64[ndarray, "batch trained horizon"]:
        n_steps = batch.values.shape[1] + n_known
        width = self.channels[0].shape[1]
        covariates = np.full((len(batch.rows), n_steps, width), np.nan, np.float32)
        for place, row in enumerate(batch.rows):
            content = self.channels[row][-n_steps:]
            covariates[place, n_steps - len(content) :] = content
        backbone = WithCovariates(self.model.backbone, torch.from_numpy(covariates).to(self.device))
        model = TimeSeriesModel(
            self.model.name, backbone, self.model.context_length, self.model.provenance
        )
        return read_contexts(model, batch, horizon)


def finetuned_channels(
    forecaster: Forecaster,
    data: Any,
    *,
    covariates: Sequence[str] | None,
    known: Sequence[str] | None,
    target: str | Sequence[str],
    options: dict[str, Any],
    mode: Mode,
    steps: int,
    learning_rate: float | None,
    rank: int,
    context_length: int | None,
    batch_size: int,
    seed: int,
    device: str,
    progress: bool | None,
) -> ChannelForecaster:
    """Return a forecaster fine-tuned on a frame; see `CovariateForecaster.finetune`."""
    place = forecaster.place(device)
    names = tuple(dict.fromkeys(covariates or known or ()))
    ahead = names if known is None else tuple(dict.fromkeys(known))
    strangers = [name for name in ahead if name not in names]
    if strangers:
        raise ConfigError(f"known must be among covariates={list(names)}, got {strangers}")
    series = SeriesFrame.from_any(data, target=target, **options)
    ordered = (*ahead, *(name for name in names if name not in ahead))
    table = read_covariates(
        data, series, None, 1, covariates=ordered, static_covariates=(), options=options
    )
    table.check_values()
    model = finetuned_with_covariates(
        forecaster.model,
        series,
        table.past,
        known=ahead,
        past=ordered[len(ahead) :],
        mode=mode,
        steps=steps,
        learning_rate=learning_rate,
        rank=rank,
        context_length=context_length,
        batch_size=batch_size,
        seed=seed,
        device=place,
        progress=progress,
    )
    return ChannelForecaster(model, device=str(place))
