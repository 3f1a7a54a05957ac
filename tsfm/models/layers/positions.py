"""Where a token stands: fixed sinusoids (Timer) or rotations of queries and keys."""

import math

import torch

from tsfm.shapes import Float, Int, Tensor

BASE = 10_000.0


def sinusoidal_code(
    positions: Int[Tensor, "*axes token"], d_model: int
) -> Float[Tensor, "*axes token {d_model}"]:
    """Return the fixed code of Vaswani et al. (2017), section 3.5, sines at even places."""
    exponent = _exponents(d_model, positions.device)
    angle = positions[..., None] * torch.exp(-math.log(BASE) * exponent)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[..., :d_model]


def rotary_angles(
    positions: Int[Tensor, " token"], d_head: int
) -> tuple[Float[Tensor, "token d_head"], Float[Tensor, "token d_head"]]:
    """Return cosine and sine of the rotary embedding of Su et al. (2021), as `rotate` takes them.

    The sine has its sign: minus in the first half.
    """
    exponent = _exponents(d_head, positions.device)
    angle = positions[:, None] * torch.exp(-math.log(BASE) * exponent)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def _exponents(width: int, device: torch.device) -> Float[Tensor, " pair"]:
    # A caller may have made another type the default one of torch.
    return torch.arange(0, width, 2, dtype=torch.float32, device=device) / width


def rotate(
    x: Float[Tensor, "batch head token d_head"],
    angles: tuple[Float[Tensor, "token d_head"], Float[Tensor, "token d_head"]],
) -> Float[Tensor, "batch head token d_head"]:
    """Rotate the pairs (i, i + d_head / 2) of `x` by the angles of its positions."""
    cos, sin = angles
    first, second = x.chunk(2, -1)
    return torch.addcmul(x * cos, torch.cat([second, first], -1), sin)
