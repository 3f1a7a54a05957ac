"""Forecaster: frames in, forecasts with quantiles out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError, UnsupportedError
from tsfm.models.model import USUAL_CONTEXT, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.models.timer_covariates import CovariateTimer
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.arguments import a_horizon, at_least_one, refuse_taken
from tsfm.tasks.array_forecast import array_forecast
from tsfm.tasks.contexts import has_value
from tsfm.tasks.intermittent import toward_past
from tsfm.tasks.on_device import OnDevice
from tsfm.tasks.progress import Advance, progress_bar
from tsfm.tasks.quantiles import MEDIAN, check_calibrated, check_levels
from tsfm.tasks.support import within_support
from tsfm.training.policies import Mode

DECILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Forecaster(OnDevice):
    """Forecasts every series of a frame with one model.

    Parameters
    ----------
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.
    views
        Whether a season that hardly changes is taken out before the network reads, a lower rate
        is read for far horizons (`tsfm.tasks.views`), and short counts that are mostly zero are
        drawn toward their past; by default for models with quantiles.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    >>> model = Forecaster.from_pretrained("tsfm-small")
    >>> model.predict(frame, prediction_length=3, quantile_levels=[0.1, 0.9]).columns
    ['item_id', 'timestamp', 'target_name', 'predictions', '0.1', '0.9']
    """

    def __init__(
        self, model: TimeSeriesModel, *, device: str = "auto", views: bool | None = None
    ) -> None:
        super().__init__(model, device=device)
        self.views = bool(model.quantile_levels) if views is None else views

    @property
    def usual_context(self) -> int:
        """Steps that the network reads when nobody says how many: what its checkpoint says."""
        longest = self.model.context_length
        if not self.views:
            return longest
        return min(longest, self.model.provenance.details.get(USUAL_CONTEXT, longest))

    @staticmethod
    def from_pretrained(name: str | Path, *, device: str = "auto") -> "Forecaster":
        """Load a bundled name, a folder, or ``models:/name@alias``.

        Raises
        ------
        UnsupportedError
            When the model was fine-tuned to read covariates.
        """
        model = load_pretrained(name)
        if isinstance(model.backbone, CovariateTimer):
            raise UnsupportedError(
                f"a model must read the target alone, got {str(name)!r}, which reads covariates; "
                "load it with tsfm.ChannelForecaster.from_pretrained"
            )
        return Forecaster(model, device=device)

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
        device: str = "auto",
        progress: bool | None = None,
    ) -> Any:
        """Forecast; returns the kind of frame that came in.

        Columns: id, timestamp, `target_name`, `predictions` (the median), one per level. Items
        are sorted; every target of every item is forecast by itself.

        Parameters
        ----------
        prediction_length
            Steps after the last stamp of every item.
        quantile_levels
            Any numbers between 0 and 1; beyond those the model was trained on they are
            extrapolated.
        context_length
            Steps of the past that are read, at most; by default what the checkpoint says, or the
            model's own limit, with a look further back for seasons and far horizons.
        batch_size
            Series read at once, at most; it moves speed and memory, never a forecast.
        device
            Where the model is moved to and stays; ``"auto"`` leaves it where it is.
        progress
            None shows a bar only where standard error is a terminal.

        Raises
        ------
        ConfigError
            When an argument is wrong.
        DataError
            When the frame breaks a rule, or a series has no value in its context.
        NotCalibratedError
            When a point model is asked for quantiles other than the median.
        """
        self.move_to(device)
        series = SeriesFrame.from_any(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        with progress_bar(progress, series.n_items * len(series.targets)) as advance:
            frame = self.forecast_series(
                series,
                prediction_length,
                quantile_levels,
                context_length=context_length,
                batch_size=batch_size,
                advance=advance,
            )
        return series.to_origin(frame)

    def finetune(
        self,
        data: Any,
        *,
        mode: Mode = "full",
        steps: int = 200,
        learning_rate: float | None = None,
        rank: int = 8,
        seed: int = 0,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        calendar: str | None = None,
        context_length: int | None = None,
        batch_size: int = 32,
        device: str = "auto",
        progress: bool | None = None,
    ) -> "Forecaster":
        """Return a new forecaster that was trained further on a frame; see `finetuned`.

        Parameters
        ----------
        mode
            ``"full"``, ``"head"``, ``"gradual"`` or ``"lora"``.
        rank
            Of the low-rank corrections of ``"lora"``.
        context_length
            Steps of a window that is trained on, at most; by default all that the model can use.
        batch_size
            Windows per step.
        device
            Where the new model is trained and stays; ``"auto"``: where this one is.
        """
        from tsfm.tasks.finetune import finetuned

        place = self.place(device)
        series = SeriesFrame.from_any(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        model = finetuned(
            self.model,
            series,
            mode=mode,
            steps=steps,
            learning_rate=learning_rate,
            rank=rank,
            seed=seed,
            context_length=context_length,
            batch_size=batch_size,
            device=place,
            progress=progress,
        )
        return Forecaster(model, device=str(place), views=self.views)

    def forecast_series(
        self,
        series: SeriesFrame,
        prediction_length: int,
        quantile_levels: Sequence[float] = DECILES,
        *,
        context_length: int | None = None,
        batch_size: int = 256,
        partial: bool = False,
        advance: Advance | None = None,
    ) -> pl.DataFrame:
        """Return a long polars frame for a validated one.

        Parameters
        ----------
        partial
            Whether series without a value may be among others; their forecasts are missing.
        advance
            Hears of finished series.
        """
        self.check_series(
            series,
            prediction_length,
            quantile_levels,
            context_length=context_length,
            partial=partial,
        )
        asked = (MEDIAN, *check_levels(quantile_levels))
        names = ("predictions", *(str(level) for level in asked[1:]))
        stamps = series.future_timestamps(prediction_length)
        quantiles = self.forecast_arrays(
            series.values,
            series.offsets,
            prediction_length,
            asked,
            context_length=context_length,
            batch_size=batch_size,
            advance=advance,
        )
        items = series.items.gather(np.repeat(np.arange(series.n_items), prediction_length))
        frames = []
        for channel, target in enumerate(series.targets):
            content = {
                series.columns.id: items,
                series.columns.timestamp: stamps,
                "target_name": pl.Series([target]).new_from_index(0, len(items)),
            }
            content |= {
                name: pl.Series(quantiles[:, n, :, channel].ravel()).fill_nan(None)
                for n, name in enumerate(names)
            }
            frames.append(pl.DataFrame(content))
        return pl.concat(frames)

    def check_series(
        self,
        series: SeriesFrame,
        prediction_length: int,
        quantile_levels: Sequence[float] = DECILES,
        *,
        context_length: int | None = None,
        partial: bool = False,
    ) -> None:
        """Raise at once what `forecast_series` would raise about its input."""
        a_horizon(prediction_length)
        levels = check_levels(quantile_levels)
        check_calibrated(self.model.quantile_levels, levels)
        refuse_taken(series, ("target_name", "predictions", *map(str, levels)))
        empty = self.without_value(series, context_length=context_length)
        if empty and not (partial and len(empty) < series.n_items * len(series.targets)):
            raise DataError(f"{empty[0]} ({len(empty)} such series); drop the item")
        series.future_timestamps(prediction_length)

    def without_value(self, series: SeriesFrame, *, context_length: int | None = None) -> list[str]:
        """Name every series that has no value in its context, and what it must have."""
        longest = self._longest(context_length)
        lacks = ~has_value(series.values, series.offsets, longest)
        return [
            f"item {series.items[int(item)]!r}, column {series.targets[channel]!r}: must have a "
            f"value{f' in its last {longest} steps' if series.lengths[item] > longest else ''}, "
            "got only missing ones"
            for item, channel in np.argwhere(lacks)
        ]

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
        """Forecast series that lie end to end, NaN where missing; each channel by itself.

        A series without a value in its context gets NaN.
        """
        a_horizon(prediction_length)
        at_least_one("batch_size", batch_size)
        longest = self._longest(context_length)
        check_calibrated(self.model.quantile_levels, quantile_levels)
        found = array_forecast(
            self.model,
            values,
            offsets,
            prediction_length,
            quantile_levels,
            context_length=longest,
            batch_size=batch_size,
            views=self.views,
            # A context that the caller has shortened stays as short in every view.
            looks_back=context_length is None,
            advance=advance,
        )
        if self.views:
            found = toward_past(found, quantile_levels, values, offsets, longest)
        return within_support(found, values, offsets, longest)

    def _longest(self, context_length: int | None) -> int:
        if context_length is None:
            return self.usual_context
        return min(at_least_one("context_length", context_length), self.model.context_length)
