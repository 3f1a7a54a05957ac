"""Imputer: frames in, the same rows out with their gaps filled."""

import warnings
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.models.backbone import GapFiller
from tsfm.models.pretrained import load_pretrained
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.forecasting.quantiles import MEDIAN, check_levels
from tsfm.tasks.imputation.arrays import bundled_for, fill_arrays
from tsfm.tasks.imputation.rows import (
    LeftMissing,
    RowFrame,
    StaysMissingWarning,
    describe_left,
    find_left,
    read_rows,
)
from tsfm.tasks.on_device import OnDevice
from tsfm.tasks.progress import Advance, progress_bar
from tsfm.training.policies import Mode as Policy


class Imputer(OnDevice):
    """Fills the gaps of every series of a frame with one model; each target by itself.

    Parameters
    ----------
    model
        One that fills from both sides (`GapFiller`), one that forecasts, for ``mode="causal"``, or
        an encoder with a ``"reconstruction"`` head, which fills all its channels together.
    device
        A device that torch knows; ``"auto"`` takes a GPU when there is one.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"timestamp": range(5), "target": [7.0, None, 7.0, None, 7.0]})
    >>> Imputer.from_pretrained("tsfm-fill").impute(frame)["target"].to_list()
    [7.0, 7.0, 7.0, 7.0, 7.0]
    """

    @staticmethod
    def from_pretrained(name: str | Path = "tsfm-fill", *, device: str = "auto") -> "Imputer":
        """Load a bundled name, a folder, or ``models:/name@alias``."""
        return Imputer(load_pretrained(name), device=device)

    def impute(
        self,
        data: Any,
        *,
        quantile_levels: Sequence[float] = (),
        mode: str | None = None,
        max_gap: int | None = None,
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
        """Fill; returns the same rows in their order and types, of the kind of frame that came in.

        Adds ``<target>_imputed``, True where a value was filled, and one column per level, such as
        ``<target>_0.1``, which on rows that had a value is that value. Values that were there come
        back to the bit. What has no value at all stays missing, with a `StaysMissingWarning`. No
        fill follows a value far from all others (`tsfm.tasks.forecasting.outliers`).

        Parameters
        ----------
        quantile_levels
            Levels for which columns are added; what is filled is the median.
        mode
            ``"two_sided"``: from what is before and after a gap, and where that is little, the
            season of the frequency. ``"causal"``: nothing after a step has a say in what is filled
            there, so a gap at the start of an item stays missing. By default what the model can do.
        max_gap
            Longest gap, in steps, that is filled; longer ones stay missing. In causal mode the
            first so many steps of a longer gap are filled, since its end is not known there.
        context_length
            Steps that are read around a gap, or before it; by default the model's own limit, and
            512 in causal mode, in which every gap costs a forecast.
        batch_size
            Windows read at once, at most; it moves speed and memory, never a value.
        device
            Where the model is moved to and stays; ``"auto"`` leaves it where it is.
        progress
            None shows a bar only where standard error is a terminal.

        Raises
        ------
        ConfigError
            When an argument is wrong.
        DataError
            When the frame breaks a rule.
        NotCalibratedError
            When a point model is asked for quantiles other than the median.
        UnsupportedError
            When the model cannot fill in this mode.
        """
        self.move_to(device)
        rows = read_rows(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        )
        imputed, left = self.impute_rows(
            rows,
            quantile_levels,
            mode=mode,
            max_gap=max_gap,
            context_length=context_length,
            batch_size=batch_size,
            progress=progress,
        )
        if left:
            warnings.warn(describe_left(left), StaysMissingWarning, stacklevel=2)
        return imputed

    def impute_rows(
        self,
        rows: RowFrame,
        quantile_levels: Sequence[float] = (),
        *,
        mode: str | None = None,
        max_gap: int | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        progress: bool | None = None,
    ) -> tuple[Any, list[LeftMissing]]:
        """Fill validated rows; also says which series keep gaps, and why."""
        is_none = isinstance(quantile_levels, Sized) and not len(quantile_levels)
        levels = () if is_none else check_levels(quantile_levels)
        series = rows.series
        n_series = series.n_items * len(series.targets)
        with progress_bar(progress, n_series, doing="imputing") as advance:
            found = self.impute_arrays(
                series.values,
                series.offsets,
                (MEDIAN, *levels),
                mode=mode,
                max_gap=max_gap,
                context_length=context_length,
                batch_size=batch_size,
                seasonality=rows.seasonality,
                advance=advance,
            )
        filled, added = {}, {}
        for channel, target in enumerate(series.targets):
            was_missing = ~np.isfinite(series.values[rows.place, channel])
            values = found[0, rows.place, channel]
            is_filled = was_missing & np.isfinite(values)
            filled[target] = (is_filled, values)
            added[f"{target}_imputed"] = is_filled
            for number, level in enumerate(levels, 1):
                added[f"{target}_{level}"] = found[number, rows.place, channel]
        left = find_left(series, found[0], rows.place)
        return rows.with_columns(filled, added), left

    def impute_arrays(
        self,
        values: Float64[ndarray, "total_time channel"],
        offsets: Int[ndarray, " item_and_end"],
        quantile_levels: Sequence[float] = (MEDIAN,),
        *,
        mode: str | None = None,
        max_gap: int | None = None,
        context_length: int | None = None,
        batch_size: int = 256,
        seasonality: int = 1,
        wanted: Bool[ndarray, " total_time"] | None = None,
        advance: Advance | None = None,
    ) -> Float64[ndarray, "level total_time channel"]:
        """Fill series that lie end to end, each channel by itself; see `fill_arrays`."""
        return fill_arrays(
            self.model,
            values,
            offsets,
            quantile_levels,
            mode=mode,
            max_gap=max_gap,
            context_length=context_length,
            batch_size=batch_size,
            seasonality=seasonality,
            wanted=wanted,
            advance=advance,
        )

    def finetune(
        self,
        data: Any,
        *,
        mode: Policy = "full",
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
    ) -> "Imputer":
        """Return a new imputer that was trained further on a frame; see `Forecaster.finetune`.

        A model that fills is trained to fill, one that forecasts to forecast. Missing values are
        never asked for.
        """
        from tsfm.objectives.fill_gaps import FillGaps, FillGapsConfig
        from tsfm.tasks.finetune import finetuned

        place = self.place(device)
        series = read_rows(
            data,
            id_column=id_column,
            timestamp_column=timestamp_column,
            target=target,
            freq=freq,
            calendar=calendar,
        ).series
        fills = isinstance(self.model.backbone, GapFiller)
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
            objective=FillGaps(FillGapsConfig()) if fills else None,
        )
        return Imputer(model, device=str(place))


def impute(
    data: Any,
    *,
    model: str | Path | Imputer | None = None,
    quantile_levels: Sequence[float] = (),
    mode: str = "two_sided",
    max_gap: int | None = None,
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
    """Fill the gaps of any frame with a bundled model: no network, no fit. See `Imputer.impute`.

    Parameters
    ----------
    model
        A loaded model, or what `Imputer.from_pretrained` loads.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"timestamp": range(4), "target": [3.0, None, None, 3.0]})
    >>> impute(frame).columns
    ['timestamp', 'target', 'target_imputed']
    """
    if not isinstance(model, Imputer):
        model = Imputer.from_pretrained(model or bundled_for(mode))
    return model.impute(
        data,
        quantile_levels=quantile_levels,
        mode=mode,
        max_gap=max_gap,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=target,
        freq=freq,
        calendar=calendar,
        context_length=context_length,
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
