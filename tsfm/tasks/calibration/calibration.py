"""Calibration: conformal margins of forecasts in frames, whoever made them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from tsfm.errors import CheckpointError, ConfigError, DataError
from tsfm.metrics.forecasting import coverage, mean_interval_width
from tsfm.models.beside import WEIGHTS_KEY
from tsfm.series.convert import from_polars, to_polars
from tsfm.shapes import Bool, Float64, ndarray
from tsfm.tasks.calibration.conformal import (
    Interval,
    central_intervals,
    conformity_scores,
    margins_of,
    mean_width,
    with_margins,
)
from tsfm.tasks.calibration.windows import (
    ForecastWindows,
    level_columns,
    read_windows,
    require_columns,
)
from tsfm.tasks.forecasting.quantiles import check_levels

CALIBRATION_FILE = "calibration.json"
METHODS = ("split", "block", "adaptive")
Method = Literal["split", "block", "adaptive"]


def check_method(method: str) -> None:
    """Raise when there is no such method of calibration."""
    if method not in METHODS:
        raise ConfigError(f"method must be one of {list(METHODS)}, got {method!r}")


@dataclass(frozen=True)
class Calibration:
    """One margin per interval and step, added to quantile forecasts of any model.

    Parameters
    ----------
    quantile_levels
        Sorted, in pairs around 0.5; the columns of a frame are named by them.
    margins
        Of every interval, from the narrowest on, and step; in units of the mean width of the
        window's widest interval, or of `scale_column`.
    n_windows
        Windows that it was fitted on.
    until
        Last stamp of those, in microseconds of UTC or as the step that it is.
    scale_column
        Column with the unit of every window; None for the width.

    Examples
    --------
    >>> step = np.arange(40)
    >>> past = pl.DataFrame({"item_id": 0, "cutoff": step, "timestamp": step + 1, "target": step})
    >>> past = past.with_columns(pl.Series("0.25", step - 3.0), pl.Series("0.75", step + 1.0))
    >>> Calibration.fit(past).margins.tolist()  # truths are 1 inside of an interval of width 4
    [[-0.25]]
    """

    quantile_levels: tuple[float, ...]
    margins: Float64[ndarray, "interval horizon"]
    method: str
    n_windows: int
    until: int
    scale_column: str | None = None

    @staticmethod
    def fit(
        frame: Any,
        *,
        method: str = "split",
        quantile_levels: Sequence[float] | None = None,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str = "target",
        scale_column: str | None = None,
    ) -> "Calibration":
        """Fit margins to forecasts whose truth is known, such as `tsfm.cross_validation` gives.

        Residuals of all items, targets and cutoffs are pooled, step by step.

        Parameters
        ----------
        frame
            pandas, polars or pyarrow, with columns for item, stamp, `cutoff` and the truth, one
            per level, named ``"0.1"`` …, and `target_name` where there are several targets. All
            windows have the same number of rows. Windows without width that miss are left out.
        method
            ``"split"``: every window counts by itself. ``"block"``: the windows of one cutoff
            count together as one observation, so that what hits all items at once counts once;
            wider where cutoffs are few. ``"adaptive"``: as split, at levels that went up with every
            cutoff whose truths were missed too often; for series that change.
        quantile_levels
            By default those of all columns that are named by a number.
        scale_column
            A column with the unit of every window, for forecasts without width.

        Raises
        ------
        ConfigError
            When the method is unknown, or a level has no partner.
        DataError
            When columns are missing, windows differ in length, or there are too few.
        """
        check_method(method)
        data, _ = to_polars(frame, timestamp_column, id_column)
        levels = level_columns(data) if quantile_levels is None else check_levels(quantile_levels)
        levels = tuple(sorted(levels))
        intervals = central_intervals(levels)
        require_columns(data, (id_column, timestamp_column, "cutoff", target))
        windows = read_windows(
            data,
            levels,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            scale_column=scale_column,
        )
        scores = conformity_scores(windows.quantiles, windows.truth, windows.scale, intervals)
        return Calibration(
            levels,
            margins_of(scores, [one.coverage for one in intervals], windows.block, method),
            method,
            len(windows.row),
            int(windows.last.max()),
            scale_column,
        )

    @property
    def prediction_length(self) -> int:
        """Most steps of a forecast that can be calibrated."""
        return self.margins.shape[1]

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The intervals, from the narrowest on."""
        return central_intervals(self.quantile_levels)

    def apply(
        self, frame: Any, *, id_column: str = "item_id", timestamp_column: str = "timestamp"
    ) -> Any:
        """Return the same rows with calibrated quantiles; the median and the rest stay.

        Parameters
        ----------
        frame
            As in `fit`; without `cutoff` every item has one window. The truth is not read. Windows
            with fewer steps than those of the calibration have another unit: cut them afterwards.

        Raises
        ------
        DataError
            When columns are missing, or windows are longer than those of the calibration.
        """
        data, origin = to_polars(frame, timestamp_column, id_column)
        windows = self._windows(data, id_column, timestamp_column)
        moved = self.move(windows.quantiles, windows.scale)
        columns = []
        for place, level in enumerate(self.quantile_levels):
            values = np.empty(data.height)
            values[windows.row.ravel()] = moved[:, place].ravel()
            columns.append(pl.Series(str(level), values))
        return from_polars(data.with_columns(columns), origin)

    def move(
        self,
        quantiles: Float64[ndarray, "window level horizon"],
        scale: Float64[ndarray, " window"] | None = None,
    ) -> Float64[ndarray, "window level horizon"]:
        """Return calibrated quantiles, in the order of `quantile_levels`.

        Parameters
        ----------
        scale
            Unit of every window; by default its width.
        """
        if quantiles.shape[2] > self.prediction_length:
            raise DataError(
                f"windows must have at most the {self.prediction_length} steps of the calibration, "
                f"got {quantiles.shape[2]}; calibrate with a longer prediction_length"
            )
        if scale is None:
            scale = mean_width(quantiles, self.intervals)
        return with_margins(quantiles, scale, self.intervals, self.margins)

    def coverage(
        self,
        frame: Any,
        *,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str = "target",
    ) -> Any:
        """Report what share of truths lies in every interval, before and after calibration.

        Parameters
        ----------
        frame
            As in `fit`. Windows that end after the data of the calibration are ``"new"``; a
            report on ``"seen"`` ones says little, since margins were fitted to them.

        Returns
        -------
        report
            One row per interval, windows (``"new"`` or ``"seen"``) and `step`, 0 for all steps
            together: `nominal`, `n_truths`, `coverage_before`, `coverage_after`, `width_before`,
            `width_after` (in units of the window); the kind of frame that came in.
        """
        data, origin = to_polars(frame, timestamp_column, id_column)
        require_columns(data, (target,))
        windows = self._windows(data, id_column, timestamp_column, target)
        moved = self.move(windows.quantiles, windows.scale)
        rows = []
        for kind, chosen in (
            ("new", windows.last > self.until),
            ("seen", windows.last <= self.until),
        ):
            rows += [{"windows": kind, **row} for row in self._report(windows, moved, chosen)]
        return from_polars(pl.DataFrame(rows), origin)

    def save(self, path: str | Path) -> Path:
        """Write it as JSON."""
        path = Path(path)
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")
        return path

    def to_dict(self) -> dict[str, Any]:
        """Return what `save` writes."""
        return {**asdict(self), "margins": self.margins.tolist()}

    @staticmethod
    def load(path: str | Path) -> "Calibration":
        """Read what `save` wrote.

        Raises
        ------
        CheckpointError
            When it cannot be read.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            content.pop(WEIGHTS_KEY, None)  # beside a model; see `check_beside`
            levels, margins = content.pop("quantile_levels"), content.pop("margins")
            return Calibration(tuple(levels), np.array(margins, np.float64), **content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"a calibration must be a readable {CALIBRATION_FILE}, got {path}: {error}; save "
                "it again"
            ) from error

    def _windows(
        self,
        data: pl.DataFrame,
        id_column: str,
        timestamp_column: str,
        target: str | None = None,
    ) -> ForecastWindows:
        return read_windows(
            data,
            self.quantile_levels,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            scale_column=self.scale_column,
        )

    def _report(
        self,
        windows: ForecastWindows,
        moved: Float64[ndarray, "window level horizon"],
        chosen: Bool[ndarray, " window"],
    ) -> list[dict[str, Any]]:
        rows = []
        horizon = windows.row.shape[1]
        unit = np.where(windows.scale > 0, windows.scale, 1.0)[chosen, None]
        for low, high, nominal in self.intervals if chosen.any() else ():
            for step in range(horizon + 1):
                part = slice(None) if step == 0 else slice(step - 1, step)
                truth = windows.truth[chosen, part]
                row = {"nominal": nominal, "step": step, "n_truths": int(np.isfinite(truth).sum())}
                for name, of in (("before", windows.quantiles), ("after", moved)):
                    ends = of[chosen, low, part], of[chosen, high, part]
                    row[f"coverage_{name}"] = coverage(truth, *ends)
                    row[f"width_{name}"] = mean_interval_width(
                        truth, ends[0] / unit, ends[1] / unit
                    )
                rows.append(row)
        return rows
