"""Forecaster: frames in, forecasts with quantiles out."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsfm.errors import UnsupportedError
from tsfm.models.pretrained import load_pretrained
from tsfm.models.timer_covariates import CovariateTimer
from tsfm.series.frame import SeriesFrame
from tsfm.tasks.calibration.calibration import CALIBRATION_FILE
from tsfm.tasks.forecasting.quantiles import DECILES
from tsfm.tasks.forecasting.series_forecaster import SeriesForecaster
from tsfm.tasks.progress import progress_bar
from tsfm.training.policies import Mode


class Forecaster(SeriesForecaster):
    """Forecasts every series of a frame with one model.

    Parameters
    ----------
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.
    views
        Whether a season that hardly changes is taken out before the network reads, a lower rate
        is read for far horizons (see `views`), and short counts that are mostly zero are
        drawn toward their past; by default as it was saved, or for models with quantiles.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [1.0, 2.0] * 20})
    >>> model = Forecaster.from_pretrained("tsfm-small")
    >>> model.predict(frame, prediction_length=3, quantile_levels=[0.1, 0.9]).columns
    ['item_id', 'timestamp', 'target_name', 'predictions', '0.1', '0.9']
    """

    @staticmethod
    def from_pretrained(name: str | Path, *, device: str = "auto") -> "Forecaster":
        """Load a bundled name, a folder, or ``models:/name@alias``.

        Raises
        ------
        UnsupportedError
            When the model was fine-tuned to read covariates.
        """
        model = load_pretrained(name)
        say_calibrated(name)
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
        are sorted; every target of every item is forecast by itself. A value 20 times as far from
        the median as the usual ones is read as missing (`tsfm.tasks.forecasting.outliers`).

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


def say_calibrated(name: str | Path) -> None:
    """Warn when the folder of a model has a calibration beside it, which is not read here."""
    if (Path(name).expanduser() / CALIBRATION_FILE).is_file():
        warnings.warn(
            f"intervals are those of the model as it is, and {name} has a calibration too; "
            "tsfm.CalibratedForecaster.from_pretrained reads it",
            UserWarning,
            stacklevel=3,
        )
