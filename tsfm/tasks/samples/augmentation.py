"""Changes to whole samples that leave their class as it is, drawn anew at every look at them."""

import math
from dataclasses import replace

import torch
from einops import repeat

from tsfm.series.windows import WindowBatch
from tsfm.shapes import Bool, Float, Inside, Tensor

# At strength 1, in deviations of the training samples, shares of the length, and shares of a step.
SCALING, JITTER, CROPPING, WARPING = 0.2, 0.1, 0.2, 0.6

ON_A_STEP = 1e-3


def augmented(batch: WindowBatch, strength: float, generator: torch.Generator) -> WindowBatch:
    """Stretch every sample in time, scale its channels, and add noise.

    A stretched sample leaves out up to a fifth of its steps at its ends, and runs faster here and
    slower there; it keeps its length. A value between two steps is on the line between them, and
    missing when one of them is.

    Parameters
    ----------
    strength
        0 changes nothing, 1 is strong.
    """
    n_samples, time, n_channels = batch.values.shape
    place = _places(batch.inside, strength, generator)
    before = place.floor().long().clamp(max=time - 1)
    after = (before + 1).clamp(max=time - 1)
    share = (place - before)[..., None]
    first, second = (_taken(batch.values, index) for index in (before, after))
    seen = _taken(batch.observed, before) & (_taken(batch.observed, after) | (share == 0))
    scaling = 1 + SCALING * strength * _normal((n_samples, 1, n_channels), generator)
    noise = JITTER * strength * _normal((n_samples, time, n_channels), generator)
    scaling, noise = scaling.to(place.device), noise.to(place.device)
    values = ((1 - share) * first + share * second) * scaling + noise
    observed = seen & batch.inside[..., None]
    return replace(batch, values=torch.where(observed, values, 0.0), observed=observed)


def _places(
    inside: Inside, strength: float, generator: torch.Generator
) -> Float[Tensor, "batch time"]:
    """Return where every step is read, in steps of the window; it rises along a sample."""
    n_samples, time = inside.shape
    draws = torch.rand(4, n_samples, 1, generator=generator, dtype=torch.float32).to(inside.device)
    length = inside.sum(1, keepdim=True)
    start = time - length
    step = torch.arange(time, device=inside.device)
    through = (step - start).to(draws.dtype) / (length - 1).clamp(min=1)
    # A slope of 1 + warping * cos(...) is never negative.
    turns = 1 + 2 * draws[0]
    phase = 2 * math.pi * draws[1]
    wave = torch.sin(math.pi * turns * through + phase) - torch.sin(phase)
    bent = through + WARPING * strength * wave / (math.pi * turns)
    whole = 1 + WARPING * strength * (torch.sin(math.pi * turns + phase) - torch.sin(phase)) / (
        math.pi * turns
    )
    cut = CROPPING * strength * draws[2]
    left = cut * draws[3]
    place = start + (left + (1 - cut) * bent / whole) * (length - 1)
    # Rounding must not put a step between two others, one of which may be missing.
    place = torch.where((place - place.round()).abs() < ON_A_STEP, place.round(), place)
    return torch.where(inside, place.clamp(start, torch.full_like(start, time - 1)), 0.0)


def _taken(
    values: Float[Tensor, "batch time channel"] | Bool[Tensor, "batch time channel"],
    index: Tensor,
) -> Tensor:
    """Return the steps `index` of every sample."""
    n_channels = values.shape[2]
    return values.gather(1, repeat(index, "batch time -> batch time channel", channel=n_channels))


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float32)
