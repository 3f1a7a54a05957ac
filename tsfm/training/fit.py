"""The training loop, read from top to bottom."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import distributed, nn

from tsfm.errors import NonFiniteLossError
from tsfm.objectives.objective import Objective
from tsfm.series.windows import WindowBatch
from tsfm.tracking import Tracker
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, rate_at
from tsfm.training.progress import Progress
from tsfm.training.state import TrainingState


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainingConfig:
    """Length and rhythm of a run.

    Parameters
    ----------
    accumulate
        Micro-batches per step; the step's loss is the mean over all of their values.
    average_decay
        Decay of the running average of the weights, which is what the run delivers; 0 delivers
        the last weights.
    average_from
        Share of the run before which the average is just the weights.
    """

    steps: int
    log_every: int = 20
    save_every: int = 200
    accumulate: int = 1
    gradient_clip: float = 1.0
    average_decay: float = 0.0
    average_from: float = 0.5


def fit(
    model: nn.Module,
    objective: Objective,
    batches: Callable[[int], WindowBatch],
    state: TrainingState,
    *,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    training: TrainingConfig,
    folder: Path,
    tracker: Tracker,
    device: torch.device,
    precision: torch.dtype | None = None,
    validate: Callable[[nn.Module], dict[str, float]] | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Train `model` (the module of `state`, possibly wrapped for several processes).

    Parameters
    ----------
    batches
        Micro-batch number -> batch; the same number always gives the same batch.
    folder
        Where the state to resume from is kept.
    precision
        Type for autocast, or None for float32 throughout.

    Returns
    -------
    dict
        Last loss, steps, seconds and points of this process.

    Raises
    ------
    NonFiniteLossError
        At the first loss that is not finite; the last saved state stays as it is.
    """
    losses: list[torch.Tensor] = []
    last_finite = float("nan")
    is_first_process = not distributed.is_initialized() or distributed.get_rank() == 0
    started = time.perf_counter() - state.seconds
    bar = Progress(training.steps, show=progress if is_first_process else False)
    autocast = torch.autocast(device.type, precision) if precision else nullcontext()
    model.train()
    while state.step < training.steps:
        rate = rate_at(state.step, training.steps, optimizer.learning_rate, schedule)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        state.optimizer.zero_grad(set_to_none=True)
        step_loss = torch.zeros((), device=device)
        for part in range(training.accumulate):
            batch = batches(state.step * training.accumulate + part).to(device)
            with autocast:
                loss = objective(model, batch, state.generator)
            (loss.total / training.accumulate).backward()  # type: ignore[no-untyped-call]
            step_loss += loss.total.detach() / training.accumulate
            state.points += int(batch.observed.sum())
        norm = nn.utils.clip_grad_norm_(model.parameters(), training.gradient_clip)
        if not torch.isfinite(step_loss + norm):
            raise NonFiniteLossError(
                f"loss must be finite, got {step_loss.item()} with gradient norm {norm.item()} at "
                f"step {state.step}, items {sorted(set(batch.item.tolist()))[:10]}, last finite "
                f"loss {last_finite}; lower optimizer.learning_rate or look at these items"
            )
        state.optimizer.step()
        state.step += 1
        _average(state, training)
        losses.append(step_loss)
        if state.step % training.log_every == 0 or state.step == training.steps:
            last_finite = float(torch.stack(losses).mean())
            losses.clear()
            state.seconds = time.perf_counter() - started
            metrics = {
                "train/loss": last_finite,
                "train/learning_rate": rate,
                "train/gradient_norm": float(norm),
                "train/points": float(state.points),
                "train/points_per_second": state.points / state.seconds,
            }
            if is_first_process:
                tracker.log(state.step, metrics)
                bar.update(state.step, last_finite, metrics["train/points_per_second"])
        if state.step % training.save_every == 0 or state.step == training.steps:
            state.seconds = time.perf_counter() - started
            if validate is not None and is_first_process:
                tracker.log(state.step, validate(state.average))
            if is_first_process:
                state.save(folder)
    bar.close()
    return {
        "loss": last_finite,
        "steps": state.step,
        "seconds": state.seconds,
        "points": state.points,
    }


@torch.no_grad()
def _average(state: TrainingState, training: TrainingConfig) -> None:
    """Move the averaged weights toward the weights; before `average_from` they are the same."""
    early = state.step < training.average_from * training.steps
    decay = 0.0 if early else training.average_decay
    averaged: list[torch.Tensor] = list(state.average.parameters())
    current: list[torch.Tensor] = list(state.model.parameters())
    torch._foreach_lerp_(averaged, current, 1 - decay)
