"""Calibrate: forecasts whose intervals cover what they claim, on series like those of the fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import ConfigError
from tsfm.metrics.forecasting import seasonal_error
from tsfm.models.beside import check_beside, write_beside
from tsfm.models.pretrained import load_pretrained
from tsfm.series.frame import SeriesFrame
from tsfm.tasks.arguments import a_horizon
from tsfm.tasks.calibration.calibration import CALIBRATION_FILE, Calibration, check_method
from tsfm.tasks.calibration.conformal import central_intervals
from tsfm.tasks.cross_validation import cross_validate_series
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.quantiles import DECILES, MEDIAN, check_levels
from tsfm.tasks.progress import progress_bar

SCALE = "__scale__"
COLUMNS = ("id_column", "timestamp_column", "target", "freq", "calendar")


class CalibratedForecaster:
    """A forecaster whose quantiles are moved by conformal margins; made by `calibrate`.

    A model without quantiles gets some: its forecast, spread by past residuals in units of the
    series' mean absolute change from step to step.

    Examples
    --------
    >>> wave = pl.DataFrame({"timestamp": range(80), "target": [1.0, 2.0, 3.0, 4.0] * 20})
    >>> calibrated = calibrate(wave, prediction_length=2, n_windows=10)
    >>> calibrated.predict(wave, quantile_levels=[0.1, 0.9]).columns
    ['item_id', 'timestamp', 'target_name', 'predictions', '0.1', '0.9']
    """

    def __init__(self, forecaster: Forecaster, calibration: Calibration) -> None:
        self.forecaster = forecaster
        self.calibration = calibration

    @staticmethod
    def from_pretrained(folder: str | Path, *, device: str = "auto") -> "CalibratedForecaster":
        """Load a folder that `save_pretrained` wrote.

        Raises
        ------
        CheckpointError
            When the model or its calibration cannot be read, or they are not of each other.
        """
        check_beside(Path(folder), CALIBRATION_FILE)
        calibration = Calibration.load(Path(folder) / CALIBRATION_FILE)
        return CalibratedForecaster(Forecaster(load_pretrained(folder), device=device), calibration)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model and its calibration to a folder."""
        folder = self.forecaster.save_pretrained(folder)
        write_beside(folder, CALIBRATION_FILE, self.calibration.to_dict())
        return folder

    def predict(
        self,
        data: Any,
        *,
        prediction_length: int | None = None,
        quantile_levels: Sequence[float] | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        device: str = "auto",
        progress: bool | None = None,
        **columns: Any,
    ) -> Any:
        """Forecast as `Forecaster.predict` does, with calibrated quantiles.

        Parameters
        ----------
        prediction_length
            At most that of the calibration, which is the default.
        quantile_levels
            Of those that were calibrated; by default all.
        columns
            `id_column`, `timestamp_column`, `target`, `freq` and `calendar`.

        Raises
        ------
        ConfigError
            When a level or a step was not calibrated, or an option is unknown.
        """
        longest = self.calibration.prediction_length
        horizon = longest if prediction_length is None else a_horizon(prediction_length)
        if horizon > longest:
            raise ConfigError(
                f"prediction_length must be at most the {longest} steps of the calibration, got "
                f"{horizon}; calibrate with more"
            )
        known = self.calibration.quantile_levels
        asked = known if quantile_levels is None else check_levels(quantile_levels)
        if not set(asked) <= set(known):
            raise ConfigError(
                f"quantile_levels must be among the calibrated {list(known)}, got {list(asked)}; "
                "calibrate with those"
            )
        self.forecaster.move_to(device)
        series = _read(data, columns)
        levels = _model_levels(self.forecaster, known)
        with progress_bar(progress, series.n_items * len(series.targets)) as advance:
            # Margins are in units of the width over all steps that were calibrated.
            frame = self.forecaster.forecast_series(
                series,
                longest,
                levels,
                context_length=context_length,
                batch_size=batch_size,
                advance=advance,
            )
        if self.calibration.scale_column:
            frame = _spread(frame, known).join(
                _changes(series), on=[series.columns.id, "target_name"], maintain_order="left"
            )
        moved = self.calibration.apply(
            frame, id_column=series.columns.id, timestamp_column=series.columns.timestamp
        )
        names = [series.columns.id, series.columns.timestamp, "target_name", "predictions"]
        is_asked = pl.int_range(pl.len()) % longest < horizon
        return series.to_origin(moved.filter(is_asked).select(*names, *map(str, asked)))

    def coverage(
        self,
        data: Any,
        *,
        n_windows: int = 5,
        step_size: int | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        **columns: Any,
    ) -> Any:
        """Report coverage on the last windows of a frame; see `Calibration.coverage`.

        Give it series that go on after those of the calibration: its own windows are ``"seen"``.
        """
        series = _read(data, columns)
        frame = _past_forecasts(
            self.forecaster,
            series,
            self.calibration.prediction_length,
            self.calibration.quantile_levels,
            n_windows=n_windows,
            step_size=step_size,
            context_length=context_length,
            batch_size=batch_size,
        )
        report = self.calibration.coverage(
            frame, id_column=series.columns.id, timestamp_column=series.columns.timestamp
        )
        return series.to_origin(report)


def calibrate(
    data: Any,
    *,
    prediction_length: int,
    n_windows: int = 20,
    step_size: int | None = None,
    method: str = "split",
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
) -> CalibratedForecaster:
    """Fit conformal margins to a model's forecasts of the past of a frame.

    The model stays as it is. Forecasts of others are calibrated by `Calibration`, from frames.

    Parameters
    ----------
    n_windows, step_size
        Cutoffs, as in `cross_validation`. An interval of 90 % needs at least 9 windows over all
        items, or 9 cutoffs with ``method="block"``; a few times as many make it reliable.
    method
        See `Calibration.fit`.
    quantile_levels
        In pairs around 0.5.

    Raises
    ------
    ConfigError
        When a level has no partner, or another argument is wrong.
    DataError
        When there are too few windows, or an item is too short for them.

    Examples
    --------
    >>> wave = pl.DataFrame({"timestamp": range(80), "target": [1.0, 2.0, 3.0, 4.0] * 20})
    >>> calibrated = calibrate(wave.head(70), prediction_length=2, quantile_levels=[0.05, 0.95])
    >>> calibrated.coverage(wave, n_windows=3)["windows"].unique().to_list()
    ['new']
    """
    check_method(method)
    levels = tuple(sorted(check_levels(quantile_levels)))
    central_intervals(levels)
    columns = {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
    }
    series = _read(data, columns)
    if not isinstance(model, Forecaster):
        model = Forecaster.from_pretrained(model, device=device)
    frame = _past_forecasts(
        model,
        series,
        prediction_length,
        levels,
        n_windows=n_windows,
        step_size=step_size,
        context_length=context_length,
        batch_size=batch_size,
        progress=progress,
    )
    calibration = Calibration.fit(
        frame,
        method=method,
        quantile_levels=levels,
        id_column=series.columns.id,
        timestamp_column=series.columns.timestamp,
        scale_column=SCALE if _is_point(model) else None,
    )
    return CalibratedForecaster(model, calibration)


def _read(data: Any, columns: dict[str, Any]) -> SeriesFrame:
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise ConfigError(f"options must be among {list(COLUMNS)}, got {unknown}; leave them out")
    return SeriesFrame.from_any(data, **columns)


def _is_point(model: Forecaster) -> bool:
    return len(model.model.quantile_levels) <= 1


def _model_levels(model: Forecaster, levels: Sequence[float]) -> Sequence[float]:
    return (MEDIAN,) if _is_point(model) else levels


def _past_forecasts(
    model: Forecaster,
    series: SeriesFrame,
    prediction_length: int,
    levels: Sequence[float],
    *,
    n_windows: int,
    step_size: int | None,
    **options: Any,
) -> pl.DataFrame:
    """Return forecasts from past cutoffs; those of a point model with levels and a scale."""
    frame = cross_validate_series(
        model,
        series,
        prediction_length,
        n_windows=n_windows,
        step_size=step_size,
        quantile_levels=_model_levels(model, levels),
        **options,
    )
    if not _is_point(model):
        return frame
    changes = []
    for window in range(n_windows):
        past = series.before(prediction_length + window * (step_size or prediction_length))
        cutoffs = pl.DataFrame({series.columns.id: past.items, "cutoff": past.last_timestamps()})
        changes.append(_changes(past).join(cutoffs, on=series.columns.id))
    keys = [series.columns.id, "target_name", "cutoff"]
    return _spread(frame, levels).join(pl.concat(changes), on=keys, maintain_order="left")


def _spread(frame: pl.DataFrame, levels: Sequence[float]) -> pl.DataFrame:
    """Give a point forecast all levels."""
    return frame.with_columns(pl.col("predictions").alias(str(level)) for level in levels)


def _changes(series: SeriesFrame) -> pl.DataFrame:
    """Return the mean absolute change from step to step of every item and target."""
    change = np.nan_to_num(seasonal_error(series.values, series.offsets, 1))
    return pl.concat(
        pl.DataFrame({series.columns.id: series.items, "target_name": name, SCALE: change[:, n]})
        for n, name in enumerate(series.targets)
    )
