"""Patches at lower resolutions: several steps become one point."""

from typing import Literal

import torch
from einops import rearrange

from tsfm.shapes import Bool, Float, Patches, PatchMask, Tensor

Pooling = Literal["max", "average"]


def pool_patches(
    patches: Patches, observed: PatchMask, size: int, pooling: Pooling
) -> tuple[
    Float[Tensor, "batch channel token point"],
    Bool[Tensor, "batch channel token point"],
]:
    """Make one point of every `size` steps of a patch, which must be a whole number of points.

    Blocks lie within patches, never across two, so that no token sees a later one. Only observed
    steps count; a point without any is zero, and not observed.

    Examples
    --------
    >>> patches = torch.tensor([[[[1.0, -3.0, -5.0, -2.0]]]])
    >>> pool_patches(patches, torch.ones(1, 1, 1, 4).bool(), 2, "max")[0].flatten().tolist()
    [1.0, -2.0]
    """
    pattern = "batch channel token (point step) -> batch channel token point step"
    values, seen = (rearrange(x, pattern, step=size) for x in (patches, observed))
    if pooling == "max":
        points = torch.where(seen, values, float("-inf")).amax(-1)
    else:
        points = torch.where(seen, values, 0.0).sum(-1) / seen.sum(-1).clamp(min=1)
    is_seen = seen.any(-1)
    return torch.where(is_seen, points, 0.0), is_seen
