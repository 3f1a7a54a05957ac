"""Several objectives at once: a weighted sum of their losses on the same batch."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.errors import ConfigError, problems_of
from tsfm.objectives.objective import OBJECTIVES, Loss
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float, Inside, Observed, Tensor, Values


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PartConfig:
    """One objective of a sum.

    Parameters
    ----------
    weight
        0 leaves it out.
    config
        Read by the objective's own config class.
    """

    weight: float = Field(default=1.0, ge=0)
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class WeightedSumConfig:
    """Options of `WeightedSum`.

    Parameters
    ----------
    parts
        By the names of the objectives.
    """

    parts: Mapping[str, PartConfig]

    @model_validator(mode="after")
    def _check(self) -> "WeightedSumConfig":
        if not any(part.weight > 0 for part in self.parts.values()):
            raise ValueError("parts must have an objective with a positive weight")
        return self


@OBJECTIVES.register("weighted_sum")
class WeightedSum(nn.Module):
    """The sum of the parts' mean losses; parts that ask for the very same tokens share a pass.

    The count is the largest of the parts', by which the batches of a step weigh. The parts of the
    loss are named ``part`` and ``part/detail``.

    Raises
    ------
    ConfigError
        When a part does not exist, its config is wrong, or the backbone does not suit it.
    """

    Config = WeightedSumConfig

    def __init__(self, config: WeightedSumConfig, backbone: Any) -> None:
        super().__init__()
        self.config = config
        self.weights = {name: part.weight for name, part in config.parts.items() if part.weight > 0}
        made = {name: _made(name, config.parts[name].config, backbone) for name in self.weights}
        # An objective without weights is no module, yet part of the sum.
        self.objectives = made
        self.owned = nn.ModuleDict(
            {name: one for name, one in made.items() if isinstance(one, nn.Module)}
        )
        needs = [one.requires for one in made.values()]
        self.requires = next((one for one in needs if not isinstance(backbone, one)), needs[0])

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The heads of its parts that belong into a checkpoint, by name."""
        found: dict[str, nn.Module] = {}
        for part in self.owned.values():
            found |= getattr(part, "heads", {})
        return found

    def forward(self, model: Any, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Return the weighted sum on `batch`."""
        shared = SharedPasses(model)
        losses = {name: one(shared, batch, generator) for name, one in self.objectives.items()}
        total = torch.stack([self.weights[name] * loss.total for name, loss in losses.items()])
        parts = {name: loss.total.detach() for name, loss in losses.items()}
        for name, loss in losses.items():
            parts |= {f"{name}/{detail}": value for detail, value in loss.parts.items()}
        return Loss(total.sum(), max(loss.count for loss in losses.values()), parts)


class SharedPasses:
    """A backbone that encodes the very same tensors once, and else is the backbone itself."""

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone
        self._made: list[tuple[tuple[Tensor, ...], Tensor]] = []

    def encode(
        self, values: Values, observed: Observed, inside: Inside
    ) -> Float[Tensor, "batch kept token d_model"]:
        """Return the tokens of the backbone; dropout of a shared pass is shared too."""
        asked = (values, observed, inside)
        for read, tokens in self._made:
            if all(one is other for one, other in zip(asked, read, strict=True)):
                return tokens
        tokens = self._backbone.encode(*asked)
        self._made.append((asked, tokens))
        return tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backbone, name)


def _made(name: str, values: Mapping[str, Any], backbone: Any) -> Any:
    objective_class = OBJECTIVES[name]
    try:
        config = TypeAdapter(objective_class.Config).validate_python(dict(values))
    except ValidationError as error:
        raise ConfigError(f"parts.{name}.config must fit {name}: {problems_of(error)}") from None
    return objective_class(config, backbone)
