"""Contexts: the last steps of every series, on one scale, grouped by their number of tokens."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.forecasting.outliers import outliers

TOKENS_PER_BATCH = 4096


class Contexts(NamedTuple):
    """A batch of contexts of one padded length, with what puts them back on their own scale.

    `scale` is 0 for a constant context, so that its forecast is that constant to the bit; `loc`
    is NaN for a context without a value.
    """

    rows: Int[ndarray, " batch"]
    values: Float64[ndarray, "batch time"]
    observed: Bool[ndarray, "batch time"]
    inside: Bool[ndarray, "batch time"]
    loc: Float64[ndarray, " batch"]
    scale: Float64[ndarray, " batch"]


def context_batches(
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    *,
    context_length: int,
    patch_length: int,
    extra_tokens: int,
    batch_size: int,
) -> Iterator[Contexts]:
    """Yield batches in which no series is padded by more than one patch.

    The padding of a series depends on its own length alone, never on its neighbours. A series
    begins with its first value: missing steps before it are not read, nor are `outliers`.
    """
    lengths = _lengths(values, offsets, context_length)
    tokens = np.maximum(1, -(-lengths // patch_length))
    order = np.argsort(tokens, kind="stable")
    start = 0
    while start < len(order):
        size = int(tokens[order[start]])
        most = min(batch_size, max(1, TOKENS_PER_BATCH // (size + extra_tokens)))
        rows = order[start : start + most]
        rows = rows[tokens[rows] == size]
        start += len(rows)
        yield _batch(values, offsets, rows, lengths[rows], size * patch_length)


def _lengths(values: np.ndarray, offsets: np.ndarray, context_length: int) -> Int[ndarray, " item"]:
    """Count the steps from the first value within the context to the end; 0 without one."""
    ends = offsets[1:]
    starts = np.maximum(offsets[:-1], ends - context_length)
    observed = np.append(np.flatnonzero(np.isfinite(values)), len(values))
    return ends - np.minimum(ends, observed[np.searchsorted(observed, starts)])


def last_observed(values: np.ndarray) -> np.ndarray:
    """Return the last value along the first axis that is not missing, NaN where there is none."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    observed = ~np.isnan(values[::-1])
    first = np.argmax(observed, axis=0)
    return np.take_along_axis(values[::-1], first[None], axis=0)[0]


def has_value(
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    context_length: int,
) -> Bool[ndarray, "item channel"]:
    """Say which series have a value in their last `context_length` steps."""
    lengths = [_lengths(channel, offsets, context_length) for channel in values.T]
    return np.stack(lengths, 1) > 0


def _batch(
    values: np.ndarray, offsets: np.ndarray, rows: np.ndarray, lengths: np.ndarray, time: int
) -> Contexts:
    step = np.arange(time) - time
    inside = step >= -lengths[:, None]
    context = values[np.where(inside, offsets[rows + 1][:, None] + step, 0)]
    observed = inside & np.isfinite(context)
    observed &= ~outliers(context, observed)
    scaled, loc, scale = on_one_scale(np.where(observed, context, 0.0), observed)
    return Contexts(rows, scaled, observed, inside, loc, scale)


def on_one_scale(
    values: Float64[ndarray, "batch time"], observed: Bool[ndarray, "batch time"]
) -> tuple[Float64[ndarray, "batch time"], Float64[ndarray, " batch"], Float64[ndarray, " batch"]]:
    """Return what float32 can hold, and the mean and deviation that were taken out.

    Division by a power of two loses nothing, and lets 1e300 be squared. Differences to the last
    value are exact for values near it, so a small movement on a high level survives, and no
    threshold has to tell a constant series from one with rounding noise.
    """
    exponent = np.frexp(np.abs(values).max(1))[1]
    values = np.ldexp(values, -exponent[:, None])
    last = values.shape[1] - 1 - observed[:, ::-1].argmax(1)
    pivot = values[np.arange(len(values)), last]
    values = np.where(observed, values - pivot[:, None], 0.0)
    n_observed = observed.sum(1)
    shift = values.sum(1) / np.maximum(n_observed, 1)
    values = np.where(observed, values - shift[:, None], 0.0)
    scale = np.sqrt((values**2).sum(1) / np.maximum(n_observed, 1))
    loc = np.where(n_observed > 0, pivot + shift, np.nan)
    scaled = values / np.where(scale > 0, scale, 1.0)[:, None]
    return scaled, np.ldexp(loc, exponent), np.ldexp(scale, exponent)
