"""Fine-tuning on a frame: a model and a user's own series become a model for these series."""

import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from tsfm.arguments import a_seed, at_least_one, is_number
from tsfm.errors import ConfigError, DataError
from tsfm.models.model import TRUST, Provenance, TimeSeriesModel
from tsfm.objectives.next_patch import NextPatch, NextPatchConfig
from tsfm.objectives.objective import Objective
from tsfm.series.frame import SeriesFrame
from tsfm.series.pool import SingleSeriesPool
from tsfm.tracking import default_tracker, recorded
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer
from tsfm.training.policies import Mode, apply_policy, merge
from tsfm.training.pool_stream import PoolStream, PoolStreamConfig
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep
from tsfm.training.stream import BatchStream
from tsfm.training.validation import held_out_loss

LEARNING_RATES = {"full": 2e-4, "gradual": 2e-4, "head": 1e-3, "lora": 1e-3}
WINDOWS_PER_BATCH = 32
VALIDATION_BATCHES = 2
HIDDEN_SHARE = 0.5
VALIDATION_SHARE = 0.1


def finetuned(
    model: TimeSeriesModel,
    series: SeriesFrame,
    *,
    mode: Mode = "full",
    steps: int = 200,
    learning_rate: float | None = None,
    rank: int = 8,
    seed: int = 0,
    context_length: int | None = None,
    batch_size: int = WINDOWS_PER_BATCH,
    device: torch.device,
    progress: bool | None = None,
    objective: Objective | None = None,
) -> TimeSeriesModel:
    """Return a copy of `model`, trained on the series.

    The last steps of every series are held out, and the weights with the lowest loss there are
    kept; the weights it starts from take part, so the loss there never gets worse.

    Parameters
    ----------
    mode, rank
        See `apply_policy`.
    context_length
        Steps of a window, at most; by default what the model reads and forecasts.
    batch_size
        Windows per step.
    objective
        By default the next patch, with spans hidden.

    Raises
    ------
    ConfigError
        When an option is wrong.
    DataError
        When no series is longer than two patches.
    """
    check_options(mode, steps, rank, learning_rate, seed)
    check_series(series, model.patch_length)
    backbone = copy.deepcopy(model.backbone).cpu()
    stream = _own_windows(
        model,
        series,
        context_length=context_length,
        batch_size=batch_size,
        seed=seed,
    )
    return train_further(
        model,
        backbone,
        stream,
        objective or NextPatch(NextPatchConfig(hidden_share=HIDDEN_SHARE)),
        digest=sha256(series.values.tobytes()).hexdigest(),
        mode=mode,
        steps=steps,
        learning_rate=learning_rate,
        rank=rank,
        seed=seed,
        device=device,
        progress=progress,
    )


def _own_windows(
    model: TimeSeriesModel,
    series: SeriesFrame,
    *,
    context_length: int | None,
    batch_size: int,
    seed: int,
) -> PoolStream:
    """Return batches of windows of the series alone, every channel by itself."""
    values = [
        series.values[first:last, channel]
        for first, last in zip(series.offsets[:-1], series.offsets[1:], strict=True)
        for channel in range(series.values.shape[1])
    ]
    window = min(
        model.context_length + getattr(model.backbone, "horizon", 0), int(series.lengths.max())
    )
    if context_length is not None:
        shortest = 2 * model.patch_length
        window = min(window, max(at_least_one("context_length", context_length), shortest))
    pool = SingleSeriesPool.from_series(values, train_share=1 - VALIDATION_SHARE, name="own")
    return PoolStream(
        PoolStreamConfig(
            points_per_batch=at_least_one("batch_size", batch_size) * window,
            window_lengths=(window,),
            real_share=1.0,
            down_sampled_share=0.0,
            flipped_share=0.0,
            mixed_share=0.0,
            cut_share=0.5,
            missing_share=0.0,
        ),
        seed=seed,
        pool=pool,
    )


# What layers draw, and dropout, must not move the caller's generator.
@torch.random.fork_rng(devices=[])
def train_further(
    model: TimeSeriesModel,
    backbone: nn.Module,
    stream: BatchStream,
    task: Objective,
    *,
    digest: str,
    mode: Mode,
    steps: int,
    learning_rate: float | None,
    rank: int,
    seed: int,
    device: torch.device,
    progress: bool | None,
    name: str | None = None,
    also_free: Sequence[nn.Module] = (),
) -> TimeSeriesModel:
    """Train `backbone`, made of that of `model`, and return what did best on held-out windows.

    Parameters
    ----------
    digest
        Of the data, for the record.
    name
        Of the backbone in the registry, where it is another than that of `model`.
    also_free
        Modules that are trained whatever the mode.
    """
    check_options(mode, steps, rank, learning_rate, seed)
    seed = a_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    thaw = apply_policy(backbone, mode, rank=rank, generator=generator)
    for module in also_free:
        module.requires_grad_(True)
    trained = TrainingStep(backbone, task)
    optimizer = OptimizerConfig(
        learning_rate=LEARNING_RATES[mode] if learning_rate is None else learning_rate
    )
    state = TrainingState(trained.to(device), make_optimizer(trained, optimizer))
    asked = {"mode": mode, "steps": steps, "learning_rate": optimizer.learning_rate, "seed": seed}
    with (
        TemporaryDirectory(prefix="tsfm-") as folder,
        recorded(default_tracker(), "finetune", asked) as tracker,
    ):
        tracker.log_input("frame", digest, source="memory", context="training")
        result = fit(
            state,
            stream,
            seed=seed,
            optimizer=optimizer,
            schedule=ScheduleConfig(warmup_steps=max(1, steps // 20)),
            training=_short_training(steps),
            folder=Path(folder),
            tracker=tracker,
            device=device,
            validate=held_out_loss(stream, VALIDATION_BATCHES, seed, device),
            thaw=thaw,
            progress=progress,
        )
    best = merge(state.delivered(best=True).cpu().backbone)
    provenance = _told(model.provenance, {"mode": mode, **result})
    return TimeSeriesModel(name or model.name, best, model.context_length, provenance).eval()


def _short_training(steps: int) -> TrainingConfig:
    """Return what a run of some hundred steps needs: the best of some averages of weights."""
    return TrainingConfig(
        steps=steps,
        save_every=0,
        average_decay=0.9,
        average_from=0.0,
        validate_every=max(1, steps // 5),
        keep="best",
    )


def _told(seen: Provenance, finetuned: dict[str, Any]) -> Provenance:
    """Return where the weights come from now; nobody knows the cut-off of a user's data."""
    # Held-out rows had trust in the weights as they were.
    details = {key: value for key, value in seen.details.items() if key != TRUST}
    return replace(seen, training_cutoff=None, details={**details, "finetuned": finetuned})


def check_series(series: SeriesFrame, patch_length: int) -> None:
    """Raise when there is nothing to learn from: no value, or no series longer than two patches."""
    if not np.isfinite(series.values).any():
        raise DataError(
            "a series must have values to fine-tune on, got only missing ones in all "
            f"{series.n_items} items; check target="
        )
    longest = int(series.lengths.max())
    if longest <= 2 * patch_length:
        raise DataError(
            f"a series must have more than {2 * patch_length} steps to fine-tune on, got at most "
            f"{longest}; use the model as it is"
        )


def check_options(mode: Any, steps: Any, rank: Any, learning_rate: Any, seed: Any) -> None:
    """Say at once which option of fine-tuning is wrong."""
    if mode not in LEARNING_RATES:
        raise ConfigError(f"mode must be one of {list(LEARNING_RATES)}, got {mode!r}")
    at_least_one("steps", steps)
    at_least_one("rank", rank)
    a_seed(seed)
    is_positive = is_number(learning_rate) and 0 < learning_rate < math.inf
    if learning_rate is not None and not is_positive:
        raise ConfigError(f"learning_rate must be a positive number, got {learning_rate!r}")
