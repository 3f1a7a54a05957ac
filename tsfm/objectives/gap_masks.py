"""Which values to hide from a model that fills gaps: the shapes that gaps have in practice.

Every function returns True for hidden. A row is one channel of one window; rows are drawn
independently of one another, and nothing says how many values remain.
"""

import math
from typing import Literal

import torch

from tsfm.shapes import Bool, Float, Int, Observed, Tensor

Shape = Literal["points", "runs", "segments", "long", "outages"]
# How often each shape is drawn; what is left to one is several of them together.
SHARES: dict[Shape, float] = {
    "points": 0.25,
    "runs": 0.15,
    "segments": 0.3,
    "long": 0.1,
    "outages": 0.08,
}
HIDDEN = (0.05, 0.6)
SEGMENT = (4.0, 96.0)
MOST_SEGMENTS = 24
LONG = (0.1, 0.5)

RowMask = Bool[Tensor, "row time"]


def mixed_gaps(n_rows: int, time: int, generator: torch.Generator) -> RowMask:
    """Draw one shape for every row, or two at once."""
    drawn = torch.stack(
        [
            random_points(n_rows, time, _uniform(n_rows, *HIDDEN, generator), generator),
            random_runs(n_rows, time, generator),
            random_segments(n_rows, time, generator),
            long_segment(n_rows, time, generator),
            periodic_outages(n_rows, time, generator),
        ]
    )
    bounds = torch.tensor(list(SHARES.values()), dtype=torch.float32).cumsum(0)
    chance = _rand(n_rows, generator=generator)
    first = torch.searchsorted(bounds, chance)
    other = torch.randint(0, len(SHARES), (2, n_rows), generator=generator)
    is_several = first == len(SHARES)
    first = torch.where(is_several, other[0], first)
    second = torch.where(is_several, other[1], first)
    row = torch.arange(n_rows)
    return drawn[first, row] | drawn[second, row]


def random_points(
    n_rows: int, time: int, share: Float[Tensor, " row"], generator: torch.Generator
) -> RowMask:
    """Hide every step by itself."""
    return _rand(n_rows, time, generator=generator) < share[:, None]


def random_runs(n_rows: int, time: int, generator: torch.Generator) -> RowMask:
    """Hide runs of geometric length, with a mean of 2 to 24 steps, one mean per row."""
    mean = _log_uniform(n_rows, 2.0, 24.0, generator)
    share = _uniform(n_rows, 0.05, 0.5, generator)
    # The chain of `masked_values.draw_mask`, where the renewal is explained.
    renewal = (1 / (mean * (1 - share))).clamp(max=1)
    draws = _rand(2, n_rows, time, generator=generator)
    step = torch.arange(time)
    last_new = torch.where(draws[1] < renewal[:, None], step, 0).cummax(1).values
    return (draws[0] < share[:, None]).gather(1, last_new)


def random_segments(n_rows: int, time: int, generator: torch.Generator) -> RowMask:
    """Hide several segments of 4 to 96 steps, of one length per row, that may touch."""
    length = _log_uniform(n_rows, *SEGMENT, generator).clamp(max=max(1.0, time / 2)).floor()
    n_segments = (_uniform(n_rows, *HIDDEN, generator) * time / length).round()
    n_segments = n_segments.clamp(1, MOST_SEGMENTS)
    place = _rand(n_rows, MOST_SEGMENTS, generator=generator)
    start = (place * (time + length[:, None]) - length[:, None]).round()
    start = torch.where(torch.arange(MOST_SEGMENTS) < n_segments[:, None], start, float(time))
    since = torch.arange(time)[None, :, None] - start[:, None]
    return ((since >= 0) & (since < length[:, None, None])).any(-1)


def long_segment(n_rows: int, time: int, generator: torch.Generator) -> RowMask:
    """Hide one segment of a tenth to a half of the window; it may hang over an end."""
    length = _uniform(n_rows, *LONG, generator) * time
    start = _rand(n_rows, generator=generator) * time - length / 2
    since = torch.arange(time) - start[:, None]
    return (since >= 0) & (since < length[:, None])


def tails(n_rows: int, time: int, generator: torch.Generator) -> RowMask:
    """Hide the last 4 to 96 steps, at most half of them, as a forecast does."""
    length = _log_uniform(n_rows, *SEGMENT, generator).clamp(max=max(1.0, time / 2)).floor()
    return torch.arange(time) >= time - length[:, None]


def periodic_outages(n_rows: int, time: int, generator: torch.Generator) -> RowMask:
    """Hide the same part of every period, as a sensor that sleeps at night would."""
    period = _log_uniform(n_rows, 6.0, max(12.0, time / 3), generator)
    share = _uniform(n_rows, 0.1, 0.6, generator)
    phase = _rand(n_rows, generator=generator) * period
    place = torch.remainder(torch.arange(time) + phase[:, None], period[:, None])
    return place < share[:, None] * period[:, None]


def aligned_segments(
    n_rows: int,
    time: int,
    share: Float[Tensor, " row"],
    segment_length: int,
    generator: torch.Generator,
) -> RowMask:
    """Hide whole segments but the first, each by itself, as Timer is published (section 4)."""
    n_segments = -(-time // segment_length)
    hidden = _rand(n_rows, n_segments, generator=generator) < share[:, None]
    hidden[:, 0] = False
    of_step: Int[Tensor, " time"] = torch.arange(time) // segment_length
    return hidden[:, of_step]


def in_batch(rows: RowMask, n_windows: int) -> Observed:
    """Return a mask of rows as one of a batch."""
    return rows.reshape(n_windows, -1, rows.shape[1]).transpose(1, 2)


def _uniform(
    n_rows: int, low: float, high: float, generator: torch.Generator
) -> Float[Tensor, " row"]:
    return low + (high - low) * _rand(n_rows, generator=generator)


def _log_uniform(
    n_rows: int, low: float, high: float, generator: torch.Generator
) -> Float[Tensor, " row"]:
    return _uniform(n_rows, math.log(low), math.log(high), generator).exp()


def _rand(*shape: int, generator: torch.Generator) -> Float[Tensor, "*shape"]:
    """Draw the same whatever the default type of torch is."""
    return torch.rand(shape, generator=generator, dtype=torch.float32)
