"""Gaps of a window: the nearest visible values around every step, and the line between them."""

from typing import NamedTuple

import torch

from tsfm.shapes import Bool, Float, Int, Observed, Tensor, Values

# The distance to a side on which nothing is visible: farther than any window is long.
FAR = 8192


class Bridged(NamedTuple):
    """A window whose gaps are bridged by straight lines, and how far the ends of the lines are.

    A visible step keeps its value, at distance 0. Before the first and after the last visible
    value the nearest one is repeated, and the side without a value is `FAR` away. A window in which
    nothing is visible is zero.
    """

    values: Values
    before: Int[Tensor, "batch time channel"]
    after: Int[Tensor, "batch time channel"]


def bridge(values: Values, visible: Observed) -> Bridged:
    """Interpolate linearly between the nearest visible values; what is not visible has no say.

    Examples
    --------
    >>> values = torch.tensor([9.0, 1.0, 9.0, 9.0, 4.0, 9.0])[None, :, None]
    >>> visible = torch.tensor([False, True, False, False, True, False])[None, :, None]
    >>> bridge(values, visible).values[0, :, 0].tolist()
    [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]
    """
    time = values.shape[1]
    values = torch.where(visible, values, 0.0)
    step = torch.arange(time, device=values.device)[None, :, None]
    left = torch.where(visible, step, -1).cummax(1).values
    right = torch.where(visible, step, time).flip(1).cummin(1).values.flip(1)
    has_left, has_right = left >= 0, right < time
    first = values.gather(1, left.clamp(min=0))
    last = values.gather(1, right.clamp(max=time - 1))
    before, after = step - left, right - step
    share = before.to(values.dtype) / (before + after).clamp(min=1)
    between = first + (last - first) * share
    line = torch.where(has_left & has_right, between, torch.where(has_left, first, last))
    any_visible = has_left | has_right
    return Bridged(
        torch.where(any_visible, line, 0.0),
        torch.where(has_left, before, FAR),
        torch.where(has_right, after, FAR),
    )


def roughness(values: Values, visible: Observed) -> Float[Tensor, "batch channel"]:
    """Return the mean size of a step between neighbouring visible values; 0 without two of them.

    A step over a gap counts as one of a random walk, by the root of its length.
    """
    time = values.shape[1]
    step = torch.arange(time, device=values.device)[None, :, None]
    latest = torch.where(visible, step, -1).cummax(1).values
    previous = torch.cat([torch.full_like(latest[:, :1], -1), latest[:, :-1]], 1)
    counts: Bool[Tensor, "batch time channel"] = visible & (previous >= 0)
    values = torch.where(visible, values, 0.0)
    moved = (values - values.gather(1, previous.clamp(min=0))).abs()
    sizes = torch.where(counts, moved / (step - previous).to(values.dtype).sqrt(), 0.0)
    return sizes.sum(1) / counts.sum(1).clamp(min=1)
