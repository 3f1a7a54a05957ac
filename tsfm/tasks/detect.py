"""Detector: frames in, the same rows out with a score of how surprising each one is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import checkpoint_folder, load_pretrained
from tsfm.series.added_columns import read_with_rows, refuse_present, with_columns
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.detection.channel_relation import joined_scores
from tsfm.tasks.detection.detector_file import read_settings, write_settings
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.scores import item_starts, score_rows
from tsfm.tasks.detection.stream import DetectorStream
from tsfm.tasks.detection.thresholds import Threshold, fit_threshold
from tsfm.tasks.forecasting.row_forecasts import reads_at_once, row_quantiles
from tsfm.tasks.on_device import OnDevice
from tsfm.tasks.progress import Advance, progress_bar

SCORE, FLAG = "anomaly_score", "is_anomaly"


class Detector(OnDevice):
    """Scores every row of a frame against what a forecaster expected of it.

    Nothing is fitted: forecasts are those of the model, from rows before the one that is scored.
    Values of later rows have no say. Where later rows are added or taken away, float32 may round
    otherwise, by up to 1e-5 of the scores' standard deviation: the ``tolerance`` for `tsfm.audit`.
    A threshold is a second step; with it rows are flagged too.

    Parameters
    ----------
    threshold
        Of `fit_threshold`; None scores without flags.
    rule
        How errors become scores.
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(60), "target": [1.0, 2.0] * 29 + [9.0, 2.0]})
    >>> detector = Detector.from_pretrained("tsfm-small")
    >>> detector.score(frame)["anomaly_score"].arg_max()
    58
    """

    def __init__(
        self,
        model: TimeSeriesModel,
        *,
        threshold: Threshold | None = None,
        rule: ScoreRule | None = None,
        device: str = "auto",
    ) -> None:
        super().__init__(model, device=device)
        if not isinstance(threshold, Threshold | None) or not isinstance(rule, ScoreRule | None):
            raise ConfigError(
                "a detector must have a Threshold of fit_threshold and a ScoreRule, got "
                f"threshold={threshold!r} and rule={rule!r}; leave them out for the defaults"
            )
        self.levels = tuple(model.quantile_levels)
        self.threshold = threshold
        self.rule = rule or ScoreRule()

    @staticmethod
    def from_pretrained(name: str | Path, *, device: str = "auto") -> "Detector":
        """Load a bundled name, a folder, or ``models:/name@alias``.

        The threshold comes along where there is one.

        Raises
        ------
        CheckpointError
            When there is no such model, or its threshold cannot be read.
        UnsupportedError
            When its backbone does not forecast.
        """
        with checkpoint_folder(name) as folder:
            threshold, rule = read_settings(folder)
            model = load_pretrained(folder)
        return Detector(model, threshold=threshold, rule=rule, device=device)

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the model, the rule and the threshold to a folder."""
        folder = super().save_pretrained(folder)
        write_settings(folder, self.threshold, self.rule)
        return folder

    def score(self, data: Any, **options: Any) -> Any:
        """Return the rows with `anomaly_score`, whether a threshold was fitted or not.

        Parameters
        ----------
        options
            Those of `detect`.
        """
        return Detector(self.model, rule=self.rule, device=str(self.device)).detect(data, **options)

    def detect(
        self,
        data: Any,
        *,
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
        """Return the rows with `anomaly_score`, and `is_anomaly` once a threshold was fitted.

        Rows, order, types and the kind of frame stay as they came. A score does not change when
        later rows do, nor when an item is shifted or scaled. It counts widths of the forecast's
        interval and past errors, of the row and of those before it, and how far the level has left
        where it has been; it is 0 where all rows were their forecasts. Of several targets it is the
        mean; with `ScoreRule.relation_weight` it also counts how they go together.

        A row has no score, and is not flagged, where its value is missing, and in the first patch
        of an item, before anything could be forecast.

        Parameters
        ----------
        context_length
            Steps of the past that are read for every row, at least; the default, and the most, is
            half of the model's own limit.
        batch_size
            Windows read at once, at most; it moves speed and memory, never a score.
        device
            Where the model is moved to and stays; ``"auto"`` leaves it where it is.
        progress
            None shows a bar only where standard error is a terminal.

        Raises
        ------
        ConfigError
            When an argument is wrong.
        DataError
            When the frame breaks a rule, or already has a column of these names.
        """
        self.move_to(device)
        refuse_present(data, (SCORE, FLAG) if self.threshold else (SCORE,))
        rows, series, steps = read_with_rows(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        read = {"context_length": context_length, "batch_size": batch_size}
        columns = {SCORE: self._score_series(series, progress, **read)[steps]}
        if self.threshold is not None:
            # A missing score compares as False.
            columns[FLAG] = columns[SCORE] >= self.threshold.value
        return with_columns(rows, columns, is_lazy=isinstance(data, pl.LazyFrame))

    def fit_threshold(
        self,
        data: Any,
        *,
        method: str = "conformal",
        false_alarm_rate: float = 0.001,
        **options: Any,
    ) -> "Detector":
        """Return a detector that also flags; `data` are rows that are taken to be normal.

        Parameters
        ----------
        data
            All scored rows of all items are taken together, so that one threshold holds for all.
        method, false_alarm_rate
            See `tsfm.tasks.detection.thresholds.fit_threshold`.
        options
            Those of `detect`.
        """
        self.move_to(options.pop("device", "auto"))
        progress = options.pop("progress", None)
        read = {key: options.pop(key) for key in ("context_length", "batch_size") if key in options}
        _, series, steps = read_with_rows(data, **options)
        scores = self._score_series(series, progress, **read)[steps]
        threshold = fit_threshold(scores, method=method, false_alarm_rate=false_alarm_rate)
        return Detector(self.model, threshold=threshold, rule=self.rule, device=str(self.device))

    def _score_series(
        self, series: SeriesFrame, progress: bool | None, **read: Any
    ) -> Float64[ndarray, " total_time"]:
        with progress_bar(progress, series.n_items * len(series.targets)) as advance:
            return self.score_arrays(series.values, series.offsets, advance=advance, **read)

    def score_arrays(
        self,
        values: Float64[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        *,
        context_length: int | None = None,
        batch_size: int = 256,
        advance: Advance | None = None,
    ) -> Float64[ndarray, " total_time"]:
        """Score series that lie end to end, NaN where missing; see `joined_scores` for channels."""
        at_least_one("batch_size", batch_size)
        context = self.context(context_length)
        scores = np.full(values.shape, np.nan)
        for channel in range(values.shape[1]):
            column = np.ascontiguousarray(values[:, channel])
            quantiles = row_quantiles(
                self.model, column, offsets, context_length=context, batch_size=batch_size
            )
            for item, first in enumerate(item_starts(column, offsets)):
                rows = slice(int(offsets[item]), int(offsets[item + 1]))
                scores[rows, channel] = self.score_quantiles(
                    column[rows], quantiles[rows], int(first)
                )
            if advance is not None:
                advance(len(offsets) - 1)
        return joined_scores(scores, values, offsets, self.model.patch_length, self.rule)

    def score_quantiles(
        self,
        values: Float64[ndarray, " time"],
        quantiles: Float64[ndarray, "time quantile"],
        first: int,
    ) -> Float64[ndarray, " time"]:
        """Score one channel of one item whose forecasts are known."""
        return score_rows(
            values,
            quantiles,
            self.levels,
            first=first,
            patch_length=self.model.patch_length,
            rule=self.rule,
        )

    def context(self, context_length: int | None) -> int:
        """Return the steps that are read for every row, at least."""
        longest = self.model.context_length
        if reads_at_once(self.model):
            longest = max(self.model.patch_length, longest // 2)
        if context_length is None:
            return longest
        return min(at_least_one("context_length", context_length), longest)

    def stream(self, *, n_channels: int = 1, context_length: int | None = None) -> DetectorStream:
        """Return what scores the rows of one item as they arrive, as `score` would all at once."""
        return DetectorStream(self, n_channels=n_channels, context_length=context_length)


def detect(
    data: Any,
    *,
    model: str | Path | Detector = "tsfm-small",
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
    """Score every row of any frame with a bundled model: no network, no fit. See `Detector.detect`.

    To `tsfm.audit` pass ``tolerance=1e-5``, since float32 rounds otherwise in shorter frames.

    Parameters
    ----------
    model
        What `Detector.from_pretrained` takes, or a detector, which keeps its own device.

    Examples
    --------
    >>> frame = pl.DataFrame({"timestamp": range(40), "target": [7.0] * 39 + [8.0]})
    >>> scores = detect(frame)["anomaly_score"]
    >>> scores[-2], scores[-1] > 1000
    (0.0, True)
    """
    if not isinstance(model, Detector):
        model = Detector.from_pretrained(model, device=device)
    return model.detect(
        data,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
        context_length=context_length,
        batch_size=batch_size,
        progress=progress,
    )
