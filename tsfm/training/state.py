"""Everything needed to resume a run exactly: weights, optimizer, average, generator, step."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from tsfm.errors import CheckpointError

STATE_FILE = "state.pt"


@dataclass
class TrainingState:
    """The moving parts of a run.

    Batches are drawn from generators seeded by (seed, step), so the step stands for all that the
    data stream has done.
    """

    model: nn.Module
    optimizer: Optimizer
    average: nn.Module
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    points: int = 0

    def save(self, folder: Path) -> None:
        """Write to a temporary name and rename, so a killed run keeps its last whole state."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{STATE_FILE}.partial"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.state_dict(),
                "generator": self.generator.get_state(),
                "step": self.step,
                "seconds": self.seconds,
                "points": self.points,
            },
            temporary,
        )
        os.replace(temporary, folder / STATE_FILE)  # noqa: PTH105 (atomic on every platform)

    def restore(self, folder: Path) -> bool:
        """Load the last whole state from `folder`; return whether there was one.

        Raises
        ------
        CheckpointError
            When the state does not fit the model of this run.
        """
        file = folder / STATE_FILE
        if not file.exists():
            return False
        content = torch.load(file, map_location="cpu", weights_only=True)
        try:
            self.model.load_state_dict(content["model"])
            self.average.load_state_dict(content["average"])
            self.optimizer.load_state_dict(content["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"the state to resume must fit this run's model, got {file}: {error}; "
                "choose another output folder or delete it"
            ) from error
        self.generator.set_state(content["generator"])
        self.step = content["step"]
        self.seconds = content["seconds"]
        self.points = content["points"]
        return True
