"""One step's loss: a backbone and an objective as one module."""

from typing import Any

import torch
from torch import nn

from tsfm.objectives.objective import Loss, Objective, check_backbone
from tsfm.series.windows import WindowBatch


class TrainingStep(nn.Module):
    """What is trained, averaged and saved: the weights of a backbone and of its objective.

    The loss is computed in `forward`, since that is where several processes agree on gradients.

    Raises
    ------
    ConfigError
        When the objective needs what the backbone does not offer.
    """

    def __init__(self, backbone: nn.Module, objective: Objective) -> None:
        super().__init__()
        check_backbone(type(objective).__name__, backbone, objective.requires)
        self.backbone: Any = backbone
        self.objective = objective

    def forward(self, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Return the loss of the backbone on `batch`."""
        return self.objective(self.backbone, batch, generator)
