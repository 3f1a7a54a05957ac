"""SeriesForecaster: validated series in, quantiles out."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from tsfm.arguments import at_least_one
from tsfm.errors import DataError
from tsfm.models.model import USUAL_CONTEXT, VIEWS, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.arguments import a_horizon, refuse_taken
from tsfm.tasks.forecasting.array_forecast import array_forecast
from tsfm.tasks.forecasting.contexts import has_value
from tsfm.tasks.forecasting.intermittent import toward_past
from tsfm.tasks.forecasting.quantiles import DECILES, MEDIAN, check_calibrated, check_levels
from tsfm.tasks.forecasting.support import within_support
from tsfm.tasks.on_device import OnDevice
from tsfm.tasks.progress import Advance


class SeriesForecaster(OnDevice):
    """Forecasts series that were checked already: what `Forecaster` does between two frames.

    Parameters
    ----------
    device, views
        See `Forecaster`.
    """

    def __init__(
        self, model: TimeSeriesModel, *, device: str = "auto", views: bool | None = None
    ) -> None:
        super().__init__(model, device=device)
        self.views = _has_views(model) if views is None else views

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model to a folder, and its views where they are not those by default."""
        kept = copy(self.model)
        if self.views != _has_views(kept):
            details = {**kept.provenance.details, VIEWS: self.views}
            kept.provenance = replace(kept.provenance, details=details)
        return save_pretrained(kept, folder)

    @property
    def usual_context(self) -> int:
        """Steps that the network reads when nobody says how many: what its checkpoint says."""
        longest = self.model.context_length
        if not self.views:
            return longest
        return min(longest, self.model.provenance.details.get(USUAL_CONTEXT, longest))

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
        longest = self.longest_context(context_length)
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
        longest = self.longest_context(context_length)
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

    def longest_context(self, context_length: int | None) -> int:
        """Return how many steps are read of a series that is longer."""
        if context_length is None:
            return self.usual_context
        return min(at_least_one("context_length", context_length), self.model.context_length)


def _has_views(model: TimeSeriesModel) -> bool:
    return bool(model.provenance.details.get(VIEWS, model.quantile_levels))
