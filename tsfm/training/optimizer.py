"""Parameter groups, optimizers, and the learning-rate schedule."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat
from pydantic.dataclasses import dataclass
from torch import nn
from torch.optim import AdamW, Optimizer

from tsfm.training.muon import Muon
from tsfm.training.policies import HEADS
from tsfm.training.processes import Processes


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class OptimizerConfig:
    """AdamW, or Muon for the matrices within layers; vectors are not decayed.

    Parameters
    ----------
    learning_rate
        At its peak; the same for both, since Muon's updates are scaled to the size of AdamW's.
    """

    name: Literal["adamw", "muon"] = "adamw"
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 0.05
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.98, ge=0, lt=1)


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

    warmup_steps: NonNegativeInt = 200
    decay_share: float = Field(default=0.4, ge=0, le=1)
    final_share: float = Field(default=0.02, ge=0, le=1)


class Optimizers:
    """Several optimizers that step as one."""

    def __init__(self, *optimizers: Optimizer) -> None:
        self._optimizers = optimizers

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all of them."""
        return [group for one in self._optimizers for group in one.param_groups]

    @property
    def state(self) -> dict[Any, Any]:
        """What they keep for every weight."""
        return {key: kept for one in self._optimizers for key, kept in one.state.items()}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for one in self._optimizers:
            one.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Move every weight that has a gradient."""
        for one in self._optimizers:
            one.step()

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        return {str(number): one.state_dict() for number, one in enumerate(self._optimizers)}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        if len(content) != len(self._optimizers):
            raise ValueError(f"expected {len(self._optimizers)} optimizers, got {len(content)}")
        for number, one in enumerate(self._optimizers):
            one.load_state_dict(content[str(number)])


def make_optimizer(
    model: nn.Module, config: OptimizerConfig, processes: Processes | None = None
) -> Optimizers:
    """Return the optimizer of all weights that may move.

    Matrices are decayed, vectors are not. With ``"muon"`` the matrices of the layers (what lies in
    module lists) are Muon's, which `processes` that train together share among them.
    """
    named = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    hidden = [one for name, one in named if config.name == "muon" and _is_hidden(name, one)]
    taken = set(map(id, hidden))
    rest = [one for _, one in named if id(one) not in taken]
    adamw = AdamW(
        [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        fused=True,
    )
    if not hidden:
        return Optimizers(adamw)
    muon = Muon(
        hidden,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        processes=processes,
    )
    return Optimizers(adamw, muon)


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


def _is_hidden(name: str, parameter: nn.Parameter) -> bool:
    """Say whether a weight is a matrix within a list of layers, whose names have a number."""
    parts = name.split(".")
    is_outer = any(part in (*HEADS, "embedding") for part in parts)
    return parameter.ndim == 2 and any(part.isdigit() for part in parts) and not is_outer
