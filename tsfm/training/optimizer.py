"""Parameter groups and the learning-rate schedule."""

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import nn
from torch.optim import AdamW


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class OptimizerConfig:
    """AdamW: biases, norms and other vectors are not decayed."""

    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.98


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ScheduleConfig:
    """Warm-up, stable, decay: shares of the run's steps are free to change between runs.

    Parameters
    ----------
    warmup_steps
        Linear rise from zero.
    decay_share
        Last share of the steps, over which the rate falls linearly to `final_share` of its peak.
    """

    warmup_steps: int = 200
    decay_share: float = 0.4
    final_share: float = 0.02


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> AdamW:
    """Return a fused AdamW over two groups: matrices with decay, vectors without."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )


def rate_at(step: int, n_steps: int, peak: float, config: ScheduleConfig) -> float:
    """Return the learning rate of `step`, counted from 0.

    Examples
    --------
    >>> schedule = ScheduleConfig(warmup_steps=10, decay_share=0.5, final_share=0.0)
    >>> [rate_at(step, 100, 1.0, schedule) for step in (0, 9, 50, 75)]
    [0.1, 1.0, 1.0, 0.5]
    """
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    decay_steps = max(1.0, config.decay_share * n_steps)
    left = (n_steps - step) / decay_steps
    return peak * warm * max(config.final_share, min(1.0, left))
