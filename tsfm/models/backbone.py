"""What a backbone must offer, and the registry that knows them all."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from einops import rearrange
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

    def next_steps(self, patch_length: int) -> Values:
        """Return the middle quantile of the patch after every token, end to end, in input units."""
        quantiles = self.in_input_units()
        middle = quantiles[:, :, :, quantiles.shape[3] // 2, :patch_length]
        return rearrange(middle, "batch channel token patch -> batch (token patch) channel")


class Filled(NamedTuple):
    """Windows with their gaps filled, in input units: a line through the gaps, and its correction.

    `unit` is by how much the line may miss at a step, as far as the visible values tell: 0 at
    visible steps and in constant windows, where the correction is 0 as well.
    """

    line: Values
    unit: Values
    correction: Float[Tensor, "batch level time channel"]

    @property
    def quantiles(self) -> Float[Tensor, "batch level time channel"]:
        """Every level at every step, in rising order; at visible steps their value."""
        return (self.line[:, None] + self.correction).sort(1).values


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


@runtime_checkable
class GapFiller(Protocol):
    """A backbone that fills gaps from the values on both sides."""

    patch_length: int
    quantile_levels: tuple[float, ...]

    def fill(self, values: Values, observed: Observed, inside: Inside) -> Filled:
        """Return values for every step, from those that are observed."""
        ...


def count_parameters(module: nn.Module) -> int:
    """Return the number of trained numbers in `module`."""
    return sum(parameter.numel() for parameter in module.parameters())
