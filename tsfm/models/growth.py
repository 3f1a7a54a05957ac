"""A larger copy of a trained model that answers as the smaller one did, until it is trained on."""

from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from tsfm.errors import ConfigError
from tsfm.models.timer import Timer
from tsfm.models.timer_fill import TimerFill


def grown(
    backbone: nn.Module,
    *,
    generator: torch.Generator,
    n_layers: int | None = None,
    seasons: bool = False,
) -> nn.Module:
    """Return a copy with more layers, or one that is told of past seasons, with the same answers.

    What is new adds nothing at first: the projections of new layers into the residual stream are
    zero, and so is what a season moves.

    Parameters
    ----------
    generator
        Draws the new weights.
    n_layers
        Layers of the copy; the new ones come last. None keeps them.
    seasons
        Whether the copy has a season reader; see `Timer`.

    Raises
    ------
    ConfigError
        When the model cannot grow so, or would have fewer layers.

    References
    ----------
    Wu et al. (2024), "LLaMA Pro: Progressive LLaMA with Block Expansion", section 3.
    """
    kind: Any = type(backbone)
    config: Any = backbone.config
    changes: dict[str, Any] = {}
    if seasons:
        if kind is not Timer:
            raise ConfigError(f"seasons need a plain Timer to start from, got {kind.__name__}")
        changes["seasons"] = True
    if n_layers is not None:
        if kind not in (Timer, TimerFill) or not getattr(config, "norm_first", True):
            raise ConfigError(
                "layers need a Timer with norm_first or a TimerFill to start from, "
                f"got {kind.__name__}"
            )
        if n_layers < config.n_layers:
            raise ConfigError(
                f"layers must be {config.n_layers} or more, which the checkpoint has, "
                f"got {n_layers}"
            )
        changes["n_layers"] = n_layers
    model: Any = kind(replace(config, **changes))
    model.reset_parameters(generator)
    model.load_state_dict({**model.state_dict(), **backbone.state_dict()})
    return cast(nn.Module, model)
