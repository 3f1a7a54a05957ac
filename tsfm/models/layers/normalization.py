"""Statistics that put every token on a common scale, with or without a look at the future."""

from typing import NamedTuple

import torch
from torch import nn

from tsfm.shapes import Float, Float64, Patches, PatchMask, Tensor

# Below this share of the mean square a variance is rounding noise of float64 sums.
ROUNDING_SHARE = 1e-12


class Statistics(NamedTuple):
    """Location and scale of every token, and the sums from which a later token goes on.

    `scale` is 0 where all values so far are equal.
    """

    loc: Float[Tensor, "batch channel token"]
    scale: Float[Tensor, "batch channel token"]
    sums: Float64[Tensor, "moment batch channel"]


def _moments(
    patches: Patches, observed: PatchMask
) -> Float64[Tensor, "moment batch channel token"]:
    values = patches.double()
    return torch.stack([observed.double().sum(-1), values.sum(-1), values.square().sum(-1)])


def _loc_and_scale(
    sums: Float64[Tensor, "moment batch channel token"], dtype: torch.dtype
) -> tuple[Float[Tensor, "batch channel token"], Float[Tensor, "batch channel token"]]:
    count, total, squares = sums
    loc = total / count.clamp(min=1)
    mean_square = squares / count.clamp(min=1)
    variance = mean_square - loc.square()
    variance = torch.where(variance > ROUNDING_SHARE * mean_square, variance, 0.0)
    return loc.to(dtype), variance.sqrt().to(dtype)


class CausalNorm(nn.Module):
    """Every token is scaled by the mean and deviation of all values up to its own end.

    Nothing later can move an earlier token, so training on every position is the same task as
    forecasting from that position, and a key-value cache stays valid.

    References
    ----------
    The idea of `CausalPatchStdMeanScaler` in Toto (2025).
    """

    is_causal = True

    def forward(
        self,
        patches: Patches,
        observed: PatchMask,
        sums: Float64[Tensor, "moment batch channel"] | None = None,
    ) -> Statistics:
        """Return running statistics; missing values do not count."""
        running = _moments(patches, observed).cumsum(-1)
        if sums is not None:
            running = running + sums[..., None]
        loc, scale = _loc_and_scale(running, patches.dtype)
        return Statistics(loc, scale, running[..., -1])


class WindowNorm(nn.Module):
    """The whole window is scaled by its own mean and deviation, as Timer and GPHT are released.

    In next-patch training the early tokens thereby see the level and spread of the tokens that
    they are asked to predict; only the last token's task is clean.
    """

    is_causal = False

    def forward(
        self,
        patches: Patches,
        observed: PatchMask,
        sums: Float64[Tensor, "moment batch channel"] | None = None,
    ) -> Statistics:
        """Return one location and scale per window, repeated for every token."""
        total = _moments(patches, observed).sum(-1)
        if sums is not None:
            total = total + sums
        loc, scale = _loc_and_scale(total[..., None], patches.dtype)
        shape = patches.shape[:-1]
        return Statistics(loc.expand(shape), scale.expand(shape), total)


TOKEN_NORMS: dict[str, type[CausalNorm] | type[WindowNorm]] = {
    "causal": CausalNorm,
    "window": WindowNorm,
}
