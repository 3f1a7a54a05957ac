"""What a backbone must offer, and the registry that knows them all."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import nn

from tsfm.registry import Registry
from tsfm.shapes import Float, Inside, Observed, Tensor, Tokens, Values

BACKBONES: Registry[Any] = Registry("backbone")


@dataclass(frozen=True)
class PatchForecast:
    """What every token says about the patches that follow it, in the token's own units.

    Parameters
    ----------
    values
        Normalised forecasts; `quantile` has length 1 for a point model.
    loc, scale
        Statistics of what the token has seen; ``sinh`` (when `is_arcsinh`), then
        ``values * scale + loc`` gives the units of the input. `scale` is 0 for a series that
        has been constant so far, so that its forecast is that constant exactly.
    """

    values: Float[Tensor, "batch channel token quantile horizon"]
    loc: Float[Tensor, "batch channel token"]
    scale: Float[Tensor, "batch channel token"]
    is_arcsinh: bool

    def in_input_units(self) -> Float[Tensor, "batch channel token quantile horizon"]:
        """Undo the normalisation."""
        values = self.values.sinh() if self.is_arcsinh else self.values
        return values * self.scale[..., None, None] + self.loc[..., None, None]


@runtime_checkable
class Encoder(Protocol):
    """A backbone that turns windows into tokens."""

    def encode(self, values: Values, observed: Observed, inside: Inside) -> Tokens:
        """Return one token per patch (or step)."""
        ...


@runtime_checkable
class NextPatchModel(Protocol):
    """A backbone that predicts, from every patch, the patches that follow."""

    patch_length: int
    quantile_levels: tuple[float, ...]

    def forecast_patches(self, values: Values, observed: Observed, inside: Inside) -> PatchForecast:
        """Return, for every token, the following patches at every quantile level."""
        ...

    def predict_next(self, values: Values, observed: Observed, inside: Inside) -> Values:
        """Return at the place of patch k the point prediction of patch k + 1, in input units."""
        ...


def count_parameters(module: nn.Module) -> int:
    """Return the number of trained numbers in `module`."""
    return sum(parameter.numel() for parameter in module.parameters())
