"""Where the tokens of a causal decoder stand, and what each attends to."""

from typing import NamedTuple

import torch
from einops import rearrange

from tsfm.models.layers.attention import Angles
from tsfm.models.layers.positions import rotary_angles, sinusoidal_code
from tsfm.shapes import Bool, Float, Tensor


class Places(NamedTuple):
    """Where tokens stand and what they attend to, the same for all layers.

    Positions are rotations (`angles`) or something to be added (`code`).
    """

    attend: Bool[Tensor, "batch 1 token key"]
    angles: Angles | None
    code: Float[Tensor, "batch token d_model"] | None


def causal_places(
    inside: Bool[Tensor, "batch key"], n_tokens: int, d_model: int, n_heads: int, *, is_rotary: bool
) -> Places:
    """Return the places of the last `n_tokens` tokens of series.

    A token attends to itself and to the tokens before it that are inside; added positions count
    from the first of these.
    """
    keys = torch.arange(inside.shape[1], device=inside.device)
    positions = keys[-n_tokens:]
    itself = keys == positions[:, None]
    before = (keys < positions[:, None]) & rearrange(inside, "batch key -> batch 1 key")
    attend = rearrange(before | itself, "batch token key -> batch 1 token key")
    if is_rotary:
        return Places(attend, rotary_angles(positions, d_model // n_heads), None)
    since_start = (inside.cumsum(-1) - 1).clamp(min=0)[:, -n_tokens:]
    return Places(attend, None, sinusoidal_code(since_start, d_model))
