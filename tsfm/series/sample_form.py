"""The form of a sample apart from its size: level, scale and length as channels of their own.

Where scales of samples lie decades apart, statistics of the whole set make most of them a line of
zeros; where lengths do, the same moment of two samples lies at different places of a window. The
form is then better read at one scale and length, with those beside it.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.series.samples import SampleSet
from tsfm.shapes import Float64, Int, ndarray

# A deviation below so small a share of the largest value is one of rounding.
ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SampleForm:
    """What is done to every sample by itself, before anything is learned from the set.

    Parameters
    ----------
    scaling
        ``"set"`` leaves values as they are, to be standardised by the statistics of all samples;
        ``"sample"`` takes from every channel its mean in the sample, divides by its deviation
        there, and appends two constant channels for each: the mean, and the logarithm of the
        deviation. A channel that does not vary is all zero, and that logarithm is missing.
    stretched_to
        Steps to which every sample is stretched or pressed; a value between two steps is on the
        line between them, and missing when one of them is. The logarithm of the length is
        appended as a constant channel. None leaves lengths as they are.

    Examples
    --------
    >>> samples = SampleSet.from_arrays([[1.0, 3.0], [10.0, 10.0, 40.0, 40.0]])
    >>> found = SampleForm(scaling="sample", stretched_to=4).of(samples)
    >>> found.lengths.tolist(), found.n_channels
    ([4, 4], 4)
    >>> found.values[:, 0].round(2).tolist()
    [-1.34, -0.45, 0.45, 1.34, -1.0, -1.0, 1.0, 1.0]
    """

    scaling: Literal["set", "sample"] = "set"
    stretched_to: PositiveInt | None = None

    def n_channels(self, given: int) -> int:
        """Return how many channels samples of so many come to have."""
        scales = 3 if self.scaling == "sample" else 1
        return scales * given + (self.stretched_to is not None)

    def of(self, samples: SampleSet) -> SampleSet:
        """Return the samples in this form; no sample has an influence on another."""
        lengths = samples.lengths
        beside: list[Float64[ndarray, "sample channel"]] = []
        if self.stretched_to is not None:
            samples = _stretched(samples, self.stretched_to)
        if self.scaling == "sample":
            samples, mean, deviation = _standardised(samples)
            beside += [mean, deviation]
        if self.stretched_to is not None:
            beside.append(np.log(lengths)[:, None])
        constant = [np.repeat(one, samples.lengths, axis=0) for one in beside]
        return replace(samples, values=np.concatenate([samples.values, *constant], axis=1))


def _stretched(samples: SampleSet, n_steps: int) -> SampleSet:
    """Return the samples read at so many places, evenly apart from the first step to the last."""
    place = np.linspace(0, 1, n_steps) * (samples.lengths[:, None] - 1)
    # Rounding must not put a step between two others, one of which may be missing.
    place = np.where(np.abs(place - place.round()) < ROUNDING * n_steps, place.round(), place)
    first = samples.offsets[:-1, None]
    before = place.astype(np.int64)
    share = (place - before).reshape(-1, 1)
    after = np.minimum(before + 1, samples.lengths[:, None] - 1)
    low, high = (_taken(samples, first + index) for index in (before, after))
    values = np.where(share == 0, low, (1 - share) * low + share * high)
    return replace(samples, values=values, offsets=np.arange(len(samples) + 1) * n_steps)


def _taken(
    samples: SampleSet, rows: Int[ndarray, "sample step"]
) -> Float64[ndarray, "row channel"]:
    return samples.values[rows.ravel()]


def _standardised(
    samples: SampleSet,
) -> tuple[SampleSet, Float64[ndarray, "sample channel"], Float64[ndarray, "sample channel"]]:
    """Return samples less their own mean by their own deviation, the mean, and its logarithm.

    Both are NaN where nothing was observed, the second also where nothing varies.
    """
    values, starts, lengths = samples.values, samples.offsets[:-1], samples.lengths
    known = np.isfinite(values)
    count = np.maximum(np.add.reduceat(known.astype(np.float64), starts), 1)
    mean = np.add.reduceat(np.where(known, values, 0.0), starts) / count
    rest = values - np.repeat(mean, lengths, axis=0)
    squares = np.add.reduceat(np.where(known, rest, 0.0) ** 2, starts)
    deviation = np.sqrt(squares / count)
    largest = np.maximum.reduceat(np.where(known, np.abs(values), 0.0), starts)
    varies = deviation > ROUNDING * largest
    divided = rest / np.repeat(np.where(varies, deviation, 1.0), lengths, axis=0)
    divided = np.where(np.repeat(varies, lengths, axis=0) | ~known, divided, 0.0)
    is_known = np.logical_or.reduceat(known, starts)
    logarithm = np.log(np.where(varies, deviation, np.nan))
    return replace(samples, values=divided), np.where(is_known, mean, np.nan), logarithm
