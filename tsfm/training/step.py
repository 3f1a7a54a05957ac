"""One step's loss: a backbone and an objective as one module."""

from typing import Any

import torch
from torch import nn

from tsfm.errors import ConfigError
from tsfm.objectives.objective import Loss, Objective
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
        if not isinstance(backbone, objective.requires):
            raise ConfigError(
                f"objective {type(objective).__name__} needs a {objective.requires.__name__}, got "
                f"{type(backbone).__name__}; choose another objective or backbone"
            )
        self.backbone: Any = backbone
        self.objective = objective

    def forward(self, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Return the loss of the backbone on `batch`."""
        return self.objective(self.backbone, batch, generator)
