"""Contexts: the last steps of every series, on one scale, grouped by their number of tokens."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray

TOKENS_PER_BATCH = 4096


class Contexts(NamedTuple):
    """A batch of contexts of one padded length, with what puts them back on their own scale."""

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
    """Yield batches in which no series is padded by more than one patch."""
    lengths = np.minimum(np.diff(offsets), context_length)
    tokens = -(-lengths // patch_length)
    order = np.argsort(tokens, kind="stable")
    start = 0
    while start < len(order):
        size = int(tokens[order[start]])
        most = min(batch_size, max(1, TOKENS_PER_BATCH // (size + extra_tokens)))
        rows = order[start : start + most]
        rows = rows[tokens[rows] == size]
        start += len(rows)
        yield _batch(values, offsets, rows, lengths[rows], size * patch_length)


def _batch(
    values: np.ndarray, offsets: np.ndarray, rows: np.ndarray, lengths: np.ndarray, time: int
) -> Contexts:
    step = np.arange(time) - time
    inside = step >= -lengths[:, None]
    place = np.where(inside, offsets[rows + 1][:, None] + step, 0)
    context = values[place]
    observed = inside & np.isfinite(context)
    clean = np.where(observed, context, 0.0)
    # Divided by the largest magnitude first: the square of 1e200 is no number.
    largest = np.abs(clean).max(1)
    largest = np.where(largest > 0, largest, 1.0)
    clean = clean / largest[:, None]
    count = np.maximum(observed.sum(1), 1)
    loc = clean.sum(1) / count
    centred = np.where(observed, clean - loc[:, None], 0.0)
    scale = np.sqrt((centred**2).sum(1) / count)
    flat = scale <= 1e-13
    centred = np.where(flat[:, None], 0.0, centred)
    scale = np.where(flat, 1.0, scale)
    return Contexts(
        rows, centred / scale[:, None], observed, inside, loc * largest, scale * largest
    )
