"""Windows to patches: the cut that makes tokens of a series."""

from typing import NamedTuple

import torch
from einops import rearrange, repeat
from torch.nn import functional as F

from tsfm.shapes import Bool, Float, Inside, Observed, Patches, PatchMask, Tensor, Values


class PatchedWindow(NamedTuple):
    """A window cut into patches.

    `inside` is True for a token with at least one step inside the series.
    """

    values: Patches
    observed: PatchMask
    inside: Bool[Tensor, "batch channel token"]


def to_patches(
    values: Values, observed: Observed, inside: Inside, patch_length: int
) -> PatchedWindow:
    """Cut windows into patches that end with the window.

    A window that is not a whole number of patches gets padding on the left, so any context
    length works. What is not observed becomes zero, whatever number sits there.
    """
    channels = values.shape[-1]
    padding = -values.shape[1] % patch_length
    observed = observed & inside[..., None]
    values = torch.where(observed, values, 0.0)
    if padding:
        values, observed = (F.pad(x, (0, 0, padding, 0)) for x in (values, observed))
        inside = F.pad(inside, (padding, 0))
    pattern = "batch (token patch) channel -> batch channel token patch"
    token_inside = rearrange(inside, "batch (token patch) -> batch token patch", patch=patch_length)
    return PatchedWindow(
        rearrange(values, pattern, patch=patch_length),
        rearrange(observed, pattern, patch=patch_length),
        repeat(token_inside.any(-1), "batch token -> batch channel token", channel=channels),
    )


def following_patches(
    patches: Patches, n_patches: int
) -> Float[Tensor, "batch channel token horizon"]:
    """Return, for every token, the `n_patches` patches after it end to end; zero past the end."""
    padded = F.pad(patches[:, :, 1:], (0, 0, 0, n_patches))
    windows = padded.unfold(2, n_patches, 1)
    return rearrange(
        windows, "batch channel token patch following -> batch channel token (following patch)"
    )
