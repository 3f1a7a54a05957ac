"""Values in the units of a token, and how far these units moved since the token before."""

import torch
from torch.nn import functional as F

from tsfm.models.layers.normalization import Statistics
from tsfm.shapes import Float, Patches, PatchMask, Tensor


def in_units(patches: Patches, observed: PatchMask, of: Statistics, *, is_arcsinh: bool) -> Patches:
    """Scale patches by the statistics of tokens; zero where not observed.

    Where the scale is 0 nothing but `loc` has been seen, and values are only moved.
    """
    scale = torch.where(of.scale > 0, of.scale, 1.0)
    values = (patches - of.loc[..., None]) / scale[..., None]
    if is_arcsinh:
        values = values.asinh()
    return torch.where(observed, values, 0.0)


def of_token_before(now: Statistics, last: Statistics | None) -> Statistics:
    """Return for every token the statistics of the one before it.

    `last` are those of the last token that was read earlier; without it the first token has
    nothing before it, which is a scale of 0.
    """
    if last is None:
        return Statistics(F.pad(now.loc, (1, -1)), F.pad(now.scale, (1, -1)), now.sums)
    loc = torch.cat([last.loc, now.loc[..., :-1]], -1)
    return Statistics(loc, torch.cat([last.scale, now.scale[..., :-1]], -1), now.sums)


def drift(now: Statistics, before: Statistics) -> Float[Tensor, "batch channel token 2"]:
    """Say how far location and scale moved; without it levels would be lost."""
    both = (now.scale > 0) & (before.scale > 0)
    scale = torch.where(both, now.scale, 1.0)
    shift = torch.where(both, ((now.loc - before.loc) / scale).asinh(), 0.0)
    growth = torch.where(both, (scale / torch.where(both, before.scale, 1.0)).log(), 0.0)
    return torch.stack([shift, growth], -1)
