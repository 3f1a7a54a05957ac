"""Fine-tuning with covariates: windows of a target and its covariates, and what is learnt there."""

from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import numpy as np
import torch

from tsfm.arguments import at_least_one
from tsfm.errors import UnsupportedError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.timer import Timer
from tsfm.models.timer_covariates import CovariateTimer, WithCovariates, with_covariates
from tsfm.objectives.next_patch import NextPatch, NextPatchConfig
from tsfm.objectives.objective import Loss
from tsfm.series.frame import SeriesFrame
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.finetune import (
    HIDDEN_SHARE,
    VALIDATION_SHARE,
    WINDOWS_PER_BATCH,
    check_options,
    check_series,
    train_further,
)
from tsfm.training.policies import Mode
from tsfm.training.stream import DataInput


class NextPatchWithCovariates:
    """`NextPatch` of the first channel; the others are covariates and reach past what is read."""

    requires = CovariateTimer

    def __init__(self) -> None:
        self.next_patch = NextPatch(NextPatchConfig(hidden_share=HIDDEN_SHARE))

    def __call__(
        self, model: CovariateTimer, batch: WindowBatch, generator: torch.Generator
    ) -> Loss:
        """Return the loss of the target."""
        covariates = torch.where(batch.observed, batch.values, torch.nan)[..., 1:]
        supervised = None if batch.supervised is None else batch.supervised[..., :1]
        target = WindowBatch(
            batch.values[..., :1], batch.observed[..., :1], batch.inside, batch.item, supervised
        )
        return self.next_patch(WithCovariates(model, covariates), target, generator)


class CovariateStream:
    """Windows of series with their covariates as further channels, drawn alike from all steps.

    The last part of every series is for validation: windows that end there, with its steps alone
    as targets.
    """

    trained_on: tuple[str, ...] = ()
    synthetic_share = 0.0
    inputs: tuple[DataInput, ...] = ()

    def __init__(
        self,
        series: list[Float64[ndarray, "time channel"]],
        *,
        window_length: int,
        validation_share: float,
        batch_size: int = WINDOWS_PER_BATCH,
        seed: int,
    ) -> None:
        self.context_length = window_length
        self._batch_size = batch_size
        self._seed = seed
        self._train_ends = np.array([round(len(one) * (1 - validation_share)) for one in series])
        self._lengths = np.array([len(one) for one in series])
        self._series = []
        for one, end in zip(series, self._train_ends, strict=True):
            padding = np.full((window_length, one.shape[1]), np.nan)
            self._series.append(np.concatenate([padding, standardised(one, one[:end])]))

    def __call__(self, number: int) -> WindowBatch:
        """Return training batch `number`."""
        generator = np.random.default_rng([self._seed, number])
        item = self._items(self._train_ends, generator)
        last = self._train_ends[item]
        first = np.minimum(self.context_length, last)
        return self._windows(item, generator.integers(first, last + 1))

    def validation(self, number: int) -> WindowBatch:
        """Return validation batch `number`."""
        generator = np.random.default_rng([self._seed, 1 << 20, number])
        item = self._items(self._lengths - self._train_ends, generator)
        end = generator.integers(self._train_ends[item], self._lengths[item]) + 1
        batch = self._windows(item, end)
        step = end[:, None] - self.context_length + np.arange(self.context_length)
        late = torch.from_numpy(step >= self._train_ends[item][:, None])[..., None]
        return replace(batch, supervised=batch.observed & late)

    def _items(
        self, weights: Int[ndarray, " item"], generator: np.random.Generator
    ) -> Int[ndarray, " window"]:
        return generator.choice(len(weights), self._batch_size, p=weights / weights.sum())

    def _windows(self, item: Int[ndarray, " window"], end: Int[ndarray, " window"]) -> WindowBatch:
        length = self.context_length
        values = np.stack([self._series[i][e : e + length] for i, e in zip(item, end, strict=True)])
        observed = np.isfinite(values)
        inside = end[:, None] - length + np.arange(length) >= 0
        return WindowBatch(
            torch.from_numpy(np.where(observed, values, 0.0).astype(np.float32)),
            torch.from_numpy(observed),
            torch.from_numpy(inside),
            torch.from_numpy(item),
        )


def standardised(
    values: Float64[ndarray, "time channel"], known: Float64[ndarray, "past channel"]
) -> Float64[ndarray, "time channel"]:
    """Take out the mean and deviation that the columns of `known` have; NaN stays.

    Examples
    --------
    >>> standardised(np.array([[3.0], [np.nan]]), np.array([[1.0], [3.0]])).tolist()
    [[1.0], [nan]]
    """
    observed = np.isfinite(known)
    count = np.maximum(observed.sum(0), 1)
    loc = np.where(observed, known, 0.0).sum(0) / count
    spread = np.sqrt((np.where(observed, known - loc, 0.0) ** 2).sum(0) / count)
    return (values - loc) / np.where(spread > 0, spread, 1.0)


def finetuned_with_covariates(
    model: TimeSeriesModel,
    series: SeriesFrame,
    covariates: Float64[ndarray, "total_time covariate"],
    *,
    known: tuple[str, ...],
    past: tuple[str, ...],
    mode: Mode,
    steps: int,
    learning_rate: float | None,
    rank: int,
    context_length: int | None,
    batch_size: int,
    seed: int,
    device: torch.device,
    progress: bool | None,
) -> TimeSeriesModel:
    """Return a copy of `model` that reads covariates, trained on the series.

    Parameters
    ----------
    covariates
        Columns `known`, then `past`.
    context_length
        Steps of a training window, but for those that are forecast; by default those of the model.

    Raises
    ------
    UnsupportedError
        When the model cannot take covariates.
    DataError
        When no series is longer than two patches.
    """
    if type(model.backbone) is not Timer:
        raise UnsupportedError(
            "a model must be a Timer without covariates to be fine-tuned with them, got "
            f"{model.name!r}; take CovariateForecaster.predict, which fits a ridge beside any model"
        )
    check_options(mode, steps, rank, learning_rate, seed)
    check_series(series, model.patch_length)
    backbone = with_covariates(model.backbone, known, past)
    read = model.context_length
    if context_length is not None:
        read = min(read, max(at_least_one("context_length", context_length), model.patch_length))
    stream = CovariateStream(
        [
            np.concatenate([series.values[start:end, [channel]], covariates[start:end]], 1)
            for start, end in pairwise(series.offsets)
            for channel in range(series.values.shape[1])
        ],
        window_length=min(read + backbone.horizon, int(series.lengths.max())),
        validation_share=VALIDATION_SHARE,
        batch_size=at_least_one("batch_size", batch_size),
        seed=seed,
    )
    return train_further(
        model,
        backbone,
        stream,
        NextPatchWithCovariates(),
        digest=sha256(series.values.tobytes() + covariates.tobytes()).hexdigest(),
        mode=mode,
        steps=steps,
        learning_rate=learning_rate,
        rank=rank,
        seed=seed,
        device=device,
        progress=progress,
        name="timer_covariates",
        also_free=backbone.covariate_layers(),
    )
