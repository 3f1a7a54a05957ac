"""The training loop, read from top to bottom."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.errors import DataError, NonFiniteLossError
from tsfm.series.windows import WindowBatch
from tsfm.tracking import Tracker
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, rate_at
from tsfm.training.processes import Processes
from tsfm.training.progress import Progress
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep
from tsfm.training.throughput import FlopCount, matrix_product_gflops


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainingConfig:
    """Length and rhythm of a run.

    Parameters
    ----------
    accumulate
        Micro-batches per step; the step's loss is the mean over all of their values.
    gradient_clip
        Largest norm of all gradients together; 0 leaves them as they are.
    average_decay
        Decay of the running average of the weights, which is what the run delivers; 0 delivers
        the last weights.
    average_from
        Share of the run before which the average is just the weights.
    validate_every, validation_batches
        After how many steps the loss on held-out windows is measured (0: never), and on how many
        batches.
    keep
        Deliver the ``"last"`` weights or those with the ``"best"`` validation loss.
    patience
        Stop after so many validations without a new best; 0 never stops early.
    """

    steps: PositiveInt
    log_every: PositiveInt = 20
    save_every: NonNegativeInt = 200
    accumulate: PositiveInt = 1
    gradient_clip: NonNegativeFloat = 1.0
    average_decay: float = Field(default=0.0, ge=0, lt=1)
    average_from: float = Field(default=0.5, ge=0, le=1)
    validate_every: NonNegativeInt = 0
    validation_batches: PositiveInt = 8
    keep: Literal["last", "best"] = "last"
    patience: NonNegativeInt = 0


def fit(
    state: TrainingState,
    batches: Callable[[int], WindowBatch],
    *,
    seed: int,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    training: TrainingConfig,
    folder: Path,
    tracker: Tracker,
    device: torch.device,
    processes: Processes | None = None,
    precision: torch.dtype | None = None,
    validate: Callable[[TrainingStep], float] | None = None,
    thaw: Callable[[float], None] | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train the weights of `state` from where it is to the last step.

    Parameters
    ----------
    batches
        Micro-batch number -> batch of this process; the same number always gives the same batch.
    seed
        Of all that a step draws: hidden values, dropout.
    folder
        Where the state to resume from is kept.
    processes
        Those that train together; every one has batches of its own.
    precision
        Type for autocast, or None for float32 throughout.
    validate
        Averaged weights -> validation loss, the same in every process.
    thaw
        Share of the run that is over -> None; frees more weights as the run goes on.

    Returns
    -------
    dict
        Last loss, steps, seconds and points, over all processes; operations per second of this
        one, and their share of what a large matrix product reaches here, with the products of the
        optimizer, and by the passes through the model alone.

    Raises
    ------
    DataError
        When the first step has no value to learn.
    NonFiniteLossError
        At the first loss that is not finite; the last saved state stays as it is.
    """
    processes = processes or Processes()
    module = processes.wrap(state.trained)
    parameters = [one for group in state.optimizer.param_groups for one in group["params"]]
    losses: list[float] = []
    flops, seconds_before, steps_before = FlopCount(), state.seconds, state.step
    started = time.perf_counter() - state.seconds
    bar = Progress(training.steps, show=progress if processes.is_first else False)
    if validate is not None and state.step == 0:
        # What fine-tuning starts from may stay the best.
        state.keep_if_best(validate(state.average))
    module.train()
    while state.step < training.steps and not _is_patience_over(state, training):
        rate = rate_at(state.step, training.steps, optimizer.learning_rate, schedule)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad()
        if thaw is not None:
            thaw(state.step / training.steps)
        # Sum of the loss, supervised values, observed points.
        totals = torch.zeros(3, dtype=torch.float64)
        for part in range(training.accumulate):
            number = state.step * training.accumulate + part
            batch = batches(number)
            hold = part < training.accumulate - 1
            flops.add(batch)
            with processes.hold_back(module, hold=hold):
                totals += _backward(
                    module, batch, (seed, processes.rank, number), precision, device
                )
        loss, count, points = processes.sum_(totals).tolist()
        if not count and not state.step:
            raise DataError(
                "the first step must have values to learn, got none in its windows; they are "
                "missing, or their series are too short for the model's patches"
            )
        # Every process has the mean of the summed losses; the step is a mean over values.
        gradients = [one.grad for one in parameters if one.grad is not None]
        torch._foreach_mul_(gradients, processes.count / max(count, 1.0))
        largest = training.gradient_clip or float("inf")
        norm = nn.utils.clip_grad_norm_(parameters, largest).item()
        loss /= max(count, 1.0)
        if not np.isfinite(loss + norm):
            raise NonFiniteLossError(
                f"loss must be finite, got {loss} with gradient norm {norm} at step {state.step}, "
                f"items {sorted(set(batch.item.tolist()))[:10]}, last finite loss {state.loss}; "
                "lower optimizer.learning_rate or look at these items"
            )
        state.optimizer.step()
        state.step += 1
        state.points += int(points)
        _average(state, training)
        losses.append(loss)
        state.loss = loss
        is_last = state.step == training.steps
        if state.step % training.log_every == 0 or is_last:
            state.seconds = time.perf_counter() - started
            metrics = {
                "train/loss": float(np.mean(losses)),
                "train/learning_rate": rate,
                "train/gradient_norm": norm,
                "train/points": float(state.points),
                "train/points_per_second": state.points / state.seconds,
            }
            losses.clear()
            if processes.is_first:
                tracker.log(state.step, metrics)
            bar.update(state.step, metrics["train/loss"], metrics["train/points_per_second"])
        if validate is not None and _is_due(state.step, training.validate_every, is_last=is_last):
            measured = validate(state.average)
            state.keep_if_best(measured)
            if processes.is_first:
                tracker.log(state.step, {"validation/loss": measured})
        if processes.is_first and _is_due(state.step, training.save_every, is_last=is_last):
            state.seconds = time.perf_counter() - started
            state.save(folder)
    bar.close()
    if state.step > steps_before:
        # Patience may have ended it between two records.
        state.seconds = time.perf_counter() - started
    result = {"loss": state.loss, "steps": state.step, "points": state.points}
    if validate is not None:
        result |= {"validation_loss": state.best_loss, "best_step": state.best_step}
    # Of this process, since it was started.
    passes, moves = flops.total(state.trained, state.optimizer, state.step - steps_before, device)
    elapsed = max(state.seconds - seconds_before, 1e-9)
    possible = matrix_product_gflops(device) * 1e9 * elapsed
    return {
        **result,
        "seconds": state.seconds,
        "gflops_per_second": (passes + moves) / elapsed / 1e9,
        "share_of_matrix_product_limit": (passes + moves) / possible,
        "share_of_matrix_product_limit_by_passes": passes / possible,
    }


def _backward(
    module: nn.Module,
    batch: WindowBatch,
    seed: tuple[int, ...],
    precision: torch.dtype | None,
    device: torch.device,
) -> torch.Tensor:
    """Add the gradient of the summed loss; return sum of the loss, values and points."""
    number = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]) >> 1
    # Dropout knows only the global generator.
    torch.manual_seed(number)
    generator = torch.Generator().manual_seed(number)
    points = float(batch.observed.sum())
    with torch.autocast(device.type, precision) if precision else nullcontext():
        loss = module(batch.to(device), generator)
    summed = loss.total * loss.count
    summed.backward()
    return torch.tensor([summed.item(), float(loss.count), points], dtype=torch.float64)


def _is_due(step: int, every: int, *, is_last: bool) -> bool:
    return every > 0 and (step % every == 0 or is_last)


def _is_patience_over(state: TrainingState, training: TrainingConfig) -> bool:
    waited = state.step - state.best_step
    return training.patience > 0 and waited > training.patience * training.validate_every


@torch.no_grad()
def _average(state: TrainingState, training: TrainingConfig) -> None:
    """Move the averaged weights toward the weights; before `average_from` they are the same."""
    early = state.step < training.average_from * training.steps
    decay = 0.0 if early else training.average_decay
    averaged: list[torch.Tensor] = list(state.average.parameters())
    current: list[torch.Tensor] = list(state.trained.parameters())
    torch._foreach_lerp_(averaged, current, 1 - decay)
    # Counts and running moments (batch normalisation) are states, not weights.
    for kept, buffer in zip(state.average.buffers(), state.trained.buffers(), strict=True):
        kept.copy_(buffer)
