"""Which objectives a backbone can be trained by: asked before any data is read."""

from typing import Any

import torch
from torch import nn

from tsfm.models.backbone import BACKBONES
from tsfm.objectives.objective import OBJECTIVES, check_backbone
from tsfm.training.step import TrainingStep


def bare_backbone(name: str, config: Any) -> nn.Module:
    """Return a backbone that has shapes but no weights, however large it is."""
    with torch.device("meta"):
        backbone: nn.Module = BACKBONES[name](config)
    return backbone


def check_pair(backbone: nn.Module, objective: str, config: Any) -> None:
    """Refuse an objective that needs what the backbone does not offer.

    Parameters
    ----------
    backbone
        May be without weights, see `bare_backbone`.
    objective, config
        Name of the objective, and its options.

    Raises
    ------
    ConfigError
        Saying what is needed.
    """
    kind = OBJECTIVES[objective]
    if getattr(kind, "reads_labels", False):  # its head is made when the samples are known
        check_backbone(repr(objective), backbone, kind.requires)
        return
    with torch.device("meta"):
        TrainingStep(backbone, kind(config, backbone))
