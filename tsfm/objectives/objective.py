"""What every objective is: a model and a batch become a loss."""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch

from tsfm.errors import ConfigError
from tsfm.registry import Registry
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Scalar

OBJECTIVES: Registry[Any] = Registry("objective")


@dataclass(frozen=True)
class Loss:
    """A mean over `count` supervised values, and the parts it is made of."""

    total: Scalar
    count: int
    parts: dict[str, Scalar] = field(default_factory=dict)


@runtime_checkable
class Objective(Protocol):
    """A training task; `requires` is the protocol its model must offer."""

    @property
    def requires(self) -> type:
        """The protocol that the model must offer."""
        ...

    def __call__(self, model: Any, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Return the loss of `model` on `batch`; randomness comes from `generator`."""
        ...


def check_backbone(objective: str, backbone: object, requires: type) -> None:
    """Raise when a backbone does not offer what an objective needs.

    Parameters
    ----------
    objective
        What it is called.

    Raises
    ------
    ConfigError
        Saying what is needed.
    """
    if not isinstance(backbone, requires):
        article = "an" if requires.__name__[0] in "AEIOU" else "a"
        raise ConfigError(
            f"objective {objective} needs {article} {requires.__name__}, got "
            f"{type(backbone).__name__}; choose another objective or backbone"
        )
