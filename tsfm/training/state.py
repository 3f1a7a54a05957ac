"""Everything needed to resume a run exactly: weights, optimizer, average, best, step."""

import copy
import os
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from tsfm.errors import CheckpointError
from tsfm.training.optimizer import Optimizers
from tsfm.training.step import TrainingStep

STATE_FILE = "state.pt"
COUNTERS = ("step", "seconds", "points", "loss", "best_loss", "best_step", "run_id")


@dataclass
class TrainingState:
    """The moving parts of a run.

    Batches and the randomness of a step come from generators seeded by the step's number, so the
    number stands for all that was drawn.

    Parameters
    ----------
    loss
        Of the last step; NaN before the first.
    average
        A running average of the weights.
    best
        The weights with the lowest validation loss, None before the first validation.
    run_id
        Where the run is recorded, so that it goes on in the same place.
    """

    trained: TrainingStep
    optimizer: Optimizers
    average: TrainingStep = field(init=False)
    best: dict[str, Any] | None = None
    best_loss: float = float("inf")
    best_step: int = 0
    step: int = 0
    seconds: float = 0.0
    points: int = 0
    loss: float = float("nan")
    run_id: str | None = None

    def __post_init__(self) -> None:
        self.average = copy.deepcopy(self.trained)

    def keep_if_best(self, loss: float) -> None:
        """Keep a copy of the averaged weights when `loss` is the lowest so far."""
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, self.step
            self.best = {key: one.clone() for key, one in self.average.state_dict().items()}

    def delivered(self, *, best: bool) -> TrainingStep:
        """Return the averaged weights of the end, or those of the lowest validation loss."""
        delivered = copy.deepcopy(self.average)
        if best and self.best is not None:
            delivered.load_state_dict(self.best)
        return delivered

    def save(self, folder: Path) -> None:
        """Write to a temporary name and rename, so a killed run keeps its last whole state."""
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{STATE_FILE}.partial"
        content = {
            "trained": self.trained.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best,
            **{name: getattr(self, name) for name in COUNTERS},
        }
        torch.save(content, temporary)
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
        try:
            # Earlier versions kept no loss.
            content = {"loss": self.loss} | torch.load(file, map_location="cpu", weights_only=True)
            self.trained.load_state_dict(content["trained"])
            self.average.load_state_dict(content["average"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.best = content["best"]
            for name in COUNTERS:
                setattr(self, name, content[name])
        except (RuntimeError, ValueError, LookupError, OSError, EOFError, UnpicklingError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise CheckpointError(
                f"the state to resume must fit this run's model, got {file}: {reason}; choose "
                "another run.output or delete it"
            ) from error
        return True
