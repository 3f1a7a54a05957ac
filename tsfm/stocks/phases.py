"""One phase of a ranker's training: so many passes over the training days, some weights frozen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.errors import ConfigError
from tsfm.stocks.stream import DayStream
from tsfm.tracking import PrefixTracker, Tracker
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer
from tsfm.training.policies import apply_policy, merge
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep

Freeze = Literal[
    "nothing", "embedding", "embedding_attention", "extractor", "backbone", "gradual", "lora"
]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PhaseConfig:
    """Length and pace of a phase; the defaults are Adam at one rate, as published.

    Parameters
    ----------
    epochs
        Passes over the training days; 0 skips the phase.
    stocks_per_batch
        A random part of a day's stocks; 0 takes all.
    accumulate
        Days per step.
    warmup_share, decay_share
        Of the steps: linear rise to the rate, and fall to a fiftieth of it.
    gradient_clip
        Largest norm of a step's gradient.
    patience
        Epochs without a better validation after which the phase ends; 0 never ends it early.
    """

    epochs: float = Field(default=1.0, ge=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    stocks_per_batch: int = Field(default=0, ge=0)
    accumulate: PositiveInt = 1
    warmup_share: float = Field(default=0.0, ge=0, le=1)
    decay_share: float = Field(default=0.0, ge=0, le=1)
    gradient_clip: float = Field(default=1e9, gt=0)
    patience: int = Field(default=0, ge=0)


def run_phase(
    trained: TrainingStep,
    stream: DayStream,
    phase: PhaseConfig,
    *,
    seed: int,
    device: torch.device,
    tracker: Tracker,
    name: str,
    validate: Callable[[TrainingStep], float] | None = None,
    thaw: Callable[[float], None] | None = None,
    progress: bool | None = None,
) -> tuple[TrainingStep, dict[str, Any]]:
    """Train and return what was delivered, and the result of `fit`.

    Parameters
    ----------
    validate
        Lower is better; it is asked after every epoch, and the best weights are delivered. Without
        it the last ones are.
    name
        Under which losses are logged.
    """
    per_epoch = max(1, round(stream.batches_per_epoch / phase.accumulate))
    n_steps = max(1, round(phase.epochs * stream.batches_per_epoch / phase.accumulate))
    optimizer = OptimizerConfig(
        learning_rate=phase.learning_rate, weight_decay=phase.weight_decay, beta2=0.999
    )
    state = TrainingState(trained.to(device), make_optimizer(trained, optimizer))
    result = fit(
        state,
        stream,
        seed=seed,
        optimizer=optimizer,
        schedule=ScheduleConfig(
            warmup_steps=round(phase.warmup_share * n_steps), decay_share=phase.decay_share
        ),
        training=TrainingConfig(
            steps=n_steps,
            log_every=max(1, n_steps // 20),
            save_every=0,
            accumulate=phase.accumulate,
            gradient_clip=phase.gradient_clip,
            validate_every=per_epoch if validate is not None else 0,
            keep="best" if validate is not None else "last",
            patience=phase.patience,
        ),
        folder=Path(),
        tracker=PrefixTracker(name, tracker),
        device=device,
        validate=validate,
        thaw=thaw,
        progress=progress,
    )
    return state.delivered(best=validate is not None), result


def freeze(
    trained: TrainingStep, policy: Freeze, *, rank: int, generator: torch.Generator
) -> Callable[[float], None] | None:
    """Choose what fine-tuning moves; must run before the optimizer is made.

    Parameters
    ----------
    policy
        ``"embedding"``, ``"embedding_attention"`` (and the first block's attention) and
        ``"extractor"`` (embedding, positions and first block) as released; ``"backbone"`` moves
        the head only; ``"gradual"`` and ``"lora"`` are those of `apply_policy`.

    Returns
    -------
    thaw
        See `fit`.
    """
    backbone = trained.backbone
    if policy in ("gradual", "lora"):
        mode: Literal["gradual", "lora"] = "gradual" if policy == "gradual" else "lora"
        return apply_policy(_Parts(trained), mode, rank=rank, generator=generator)
    frozen: dict[Freeze, tuple[str, ...]] = {
        "nothing": (),
        "embedding": ("embedding", "missing"),
        "embedding_attention": ("embedding", "missing", "blocks.0.attention"),
        "extractor": ("embedding", "missing", "positions", "blocks.0"),
        "backbone": ("",),
    }
    for name, parameter in backbone.named_parameters():
        if any(not one or name == one or name.startswith(f"{one}.") for one in frozen[policy]):
            parameter.requires_grad_(False)
    if policy != "nothing" and all(one.requires_grad for one in backbone.parameters()):
        raise ConfigError(
            f"freeze={policy!r} needs a backbone with a module named embedding, got "
            f"{type(backbone).__name__}; use freeze='nothing'"
        )
    return None


def thawed(trained: TrainingStep) -> TrainingStep:
    """Fold low-rank corrections in and let all weights move again."""
    merge(trained.backbone)
    trained.requires_grad_(True)
    return trained


class _Parts(nn.Module):
    """A step as a backbone with heads, whose policies then fit it."""

    def __init__(self, trained: TrainingStep) -> None:
        super().__init__()
        self.heads = trained.objective
        self.blocks = trained.backbone.blocks
        self.rest = trained.backbone
