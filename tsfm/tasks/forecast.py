"""Forecaster: frames in, forecasts with quantiles out."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tsfm.errors import ConfigError, DataError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.models.roll_out import RollOut, roll_out
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.contexts import Contexts, context_batches
from tsfm.tasks.quantiles import at_levels, check_levels

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Forecaster:
    """Forecasts every series of a frame with one model."""

    def __init__(self, model: TimeSeriesModel, *, device: str = "auto") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.model = model.eval().to(self.device)

    @staticmethod
    def from_pretrained(name: str | Path, *, device: str = "auto") -> "Forecaster":
        """Load a bundled name, a folder, or ``models:/name@alias``."""
        return Forecaster(load_pretrained(name), device=device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model to a folder."""
        return save_pretrained(self.model, folder)

    def predict(
        self,
        data: Any,
        *,
        prediction_length: int,
        quantile_levels: Sequence[float] = DECILES,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        progress: bool | None = None,  # noqa: ARG002 (a forecast takes seconds)
    ) -> Any:
        """Forecast; returns the kind of frame that came in.

        Columns: id, timestamp, `target_name`, `predictions` (the median), one per level.
        """
        series = SeriesFrame.from_any(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        frame = self.forecast_series(
            series,
            prediction_length,
            quantile_levels,
            context_length=context_length,
            batch_size=batch_size,
        )
        return series.to_origin(frame)

    def forecast_series(
        self,
        series: SeriesFrame,
        prediction_length: int,
        quantile_levels: Sequence[float] = DECILES,
        *,
        context_length: int | None = None,
        batch_size: int = 256,
    ) -> pl.DataFrame:
        """Forecast a validated frame; a long polars frame comes back."""
        levels = check_levels(quantile_levels)
        self._refuse_all_missing(series)
        stamps = series.future_timestamps(_positive(prediction_length))
        asked = (0.5, *levels)
        quantiles = self.forecast_arrays(
            series.values,
            series.offsets,
            prediction_length,
            asked,
            context_length=context_length,
            batch_size=batch_size,
        )
        items = series.items.gather(np.repeat(np.arange(series.n_items), prediction_length))
        frames = []
        for channel, name in enumerate(series.targets):
            flat = quantiles[..., channel].transpose(0, 2, 1).reshape(-1, len(asked))
            content = {
                series.columns.id: items,
                series.columns.timestamp: stamps,
                "target_name": pl.Series([name]).new_from_index(0, len(items)),
                "predictions": flat[:, 0],
            }
            content |= {str(level): flat[:, 1 + n] for n, level in enumerate(levels)}
            frames.append(pl.DataFrame(content))
        return pl.concat(frames)

    def forecast_arrays(
        self,
        values: Float64[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        prediction_length: int,
        quantile_levels: Sequence[float],
        *,
        context_length: int | None = None,
        batch_size: int = 256,
    ) -> Float64[ndarray, "item quantile horizon channel"]:
        """Forecast series that lie end to end, NaN where missing; each channel by itself."""
        longest = min(context_length or self.model.context_length, self.model.context_length)
        n_quantiles = max(1, len(self.model.quantile_levels))
        shape = (len(offsets) - 1, n_quantiles, _positive(prediction_length), values.shape[1])
        result = np.empty(shape)
        for channel in range(values.shape[1]):
            batches = context_batches(
                np.ascontiguousarray(values[:, channel]),
                offsets,
                context_length=longest,
                patch_length=self.model.patch_length,
                extra_tokens=prediction_length // self.model.patch_length,
                batch_size=batch_size,
            )
            for batch in batches:
                result[batch.rows, :, :, channel] = self._forecast(batch, prediction_length)
        return at_levels(result, self.model.quantile_levels, quantile_levels)

    @torch.inference_mode()
    def _forecast(
        self, batch: Contexts, prediction_length: int
    ) -> Float64[ndarray, "batch quantile horizon"]:
        mode: RollOut = "masked" if self.model.quantile_levels else "autoregressive"
        forecast = roll_out(
            self.model,
            torch.from_numpy(batch.values.astype(np.float32))[..., None].to(self.device),
            torch.from_numpy(batch.observed)[..., None].to(self.device),
            torch.from_numpy(batch.inside).to(self.device),
            prediction_length=prediction_length,
            mode=mode,
        )
        scaled = forecast[..., 0].cpu().double().numpy()
        result: ndarray = scaled * batch.scale[:, None, None] + batch.loc[:, None, None]
        return result

    def _refuse_all_missing(self, series: SeriesFrame) -> None:
        seen = np.add.reduceat(np.isfinite(series.values).astype(np.int64), series.offsets[:-1])
        item, channel = (index[:1] for index in np.nonzero(seen == 0))
        if len(item):
            raise DataError(
                f"item {series.items[int(item[0])]!r}, column "
                f"{series.targets[int(channel[0])]!r}: must have a value, got only missing ones; "
                "drop the item"
            )


def _positive(prediction_length: int) -> int:
    if not isinstance(prediction_length, int | np.integer) or prediction_length < 1:
        raise ConfigError(
            f"prediction_length must be a whole number of at least 1, got {prediction_length!r}"
        )
    return int(prediction_length)


@lru_cache(maxsize=2)
def _loaded(name: str, device: str) -> Forecaster:
    return Forecaster.from_pretrained(name, device=device)


def forecast(
    data: Any,
    *,
    prediction_length: int,
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
    progress: bool | None = None,
) -> Any:
    """Forecast any frame with a bundled model: no network, no fit. See `Forecaster.predict`."""
    return _loaded(str(model), device).predict(
        data,
        prediction_length=prediction_length,
        quantile_levels=quantile_levels,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
        context_length=context_length,
        batch_size=batch_size,
        progress=progress,
    )
