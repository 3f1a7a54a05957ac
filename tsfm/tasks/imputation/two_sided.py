"""Gaps filled from both sides: every gap from a window that has it near its middle."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from tsfm.models.model import TimeSeriesModel
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.forecasting.array_forecast import FEWEST_TOKENS
from tsfm.tasks.forecasting.contexts import TOKENS_PER_BATCH, on_one_scale
from tsfm.tasks.forecasting.outliers import without_outliers
from tsfm.tasks.imputation.gaps import Gaps, find_gaps, lines
from tsfm.tasks.imputation.season import toward_season

LARGEST = float(np.finfo(np.float64).max)


class Windows(NamedTuple):
    """Windows of different lengths; gap g is read in window ``of_gap[g]``."""

    first: Int[ndarray, " window"]
    last: Int[ndarray, " window"]
    of_gap: Int[ndarray, " gap"]


class _Batch(NamedTuple):
    """Windows of one padded length on one scale."""

    rows: Int[ndarray, " batch"]
    values: Float64[ndarray, "batch time"]
    observed: Bool[ndarray, "batch time"]
    inside: Bool[ndarray, "batch time"]
    scale: Float64[ndarray, " batch"]


def fill_two_sided(
    model: TimeSeriesModel,
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    gaps: Gaps,
    *,
    context_length: int,
    batch_size: int,
    seasonality: int = 1,
) -> Float64[ndarray, "step level"]:
    """Return every trained level at every step of the gaps, whose items must have a value.

    Other gaps than those asked for are missing in the windows all the same. The season of the
    frequency counts where a window cannot say what its season is.
    """
    windows = place_windows(offsets, gaps, context_length)
    values = without_outliers(values, offsets, np.unique(gaps.item))
    line = _lines_in(values, offsets, gaps)
    correction = np.zeros((len(line), len(model.backbone.quantile_levels)))
    lengths = gaps.lengths
    steps, window_of_step = gaps.steps(), np.repeat(windows.of_gap, lengths)
    order = np.argsort(window_of_step, kind="stable")
    bounds = np.searchsorted(window_of_step[order], np.arange(len(windows.first) + 1))
    for batch in _batches(values, windows, model.patch_length, batch_size):
        found = _read(model, batch)
        median, known = found[:, found.shape[1] // 2], (batch.values, batch.observed, batch.inside)
        found = found + toward_season(median, *known, seasonality)[:, None]
        for row, window in enumerate(batch.rows):
            own = order[bounds[window] : bounds[window + 1]]
            place = steps[own] - windows.last[window]
            with np.errstate(over="ignore"):
                correction[own] = found[row, :, place] * batch.scale[row]
    with np.errstate(over="ignore"):
        filled = np.sort(line[:, None] + correction, axis=1)
    return np.clip(filled, -LARGEST, LARGEST)


def _lines_in(
    values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"], gaps: Gaps
) -> Float64[ndarray, " step"]:
    """Return the lines through the gaps where these may be parts of larger ones."""
    whole = find_gaps(values, offsets)
    whole = whole.where(np.isin(whole.item, gaps.item))
    line = np.full(len(values), np.nan)
    line[whole.steps()] = lines(values, offsets, whole)
    return line[gaps.steps()]


def place_windows(
    offsets: Int[ndarray, " item_and_end"], gaps: Gaps, context_length: int
) -> Windows:
    """Choose the windows that are read, and one of them for every gap.

    An item that fits is one window. A longer one has windows that overlap by half, and a gap is
    read where it is nearest to the middle: an eighth of a window is then on either side of it, but
    at the ends of the item. A gap of more than a quarter of a window gets one of its own around it,
    which is made longer for a gap of more than half.
    """
    start, end = offsets[gaps.item], offsets[gaps.item + 1]
    stride = max(1, context_length // 2)
    middle = (gaps.first + gaps.last) // 2
    is_long = gaps.lengths > context_length // 4
    longer = np.minimum(2 * gaps.lengths, gaps.lengths + context_length)
    size = np.where(is_long, np.maximum(longer, context_length), context_length)
    number = np.maximum(middle - context_length // 2 - start + stride // 2, 0) // stride
    first = np.where(is_long, middle - size // 2, start + number * stride)
    first = np.maximum(np.minimum(first, end - size), start)
    last = np.minimum(first + size, end)
    unique, of_gap = np.unique(np.stack([first, last], 1), axis=0, return_inverse=True)
    return Windows(unique[:, 0], unique[:, 1], of_gap.reshape(-1))


def _batches(
    values: np.ndarray, windows: Windows, patch_length: int, batch_size: int
) -> Iterator[_Batch]:
    """Yield windows by their number of tokens, so that padding depends on their own length."""
    lengths = windows.last - windows.first
    tokens = np.maximum(1, -(-lengths // patch_length))
    order = np.argsort(tokens, kind="stable")
    start = 0
    while start < len(order):
        size = int(tokens[order[start]])
        most = min(batch_size, max(1, TOKENS_PER_BATCH // size))
        rows = order[start : start + most]
        rows = rows[tokens[rows] == size]
        start += len(rows)
        step = np.arange(size * patch_length) - size * patch_length
        inside = step >= -lengths[rows, None]
        content = values[np.where(inside, windows.last[rows, None] + step, 0)]
        observed = inside & np.isfinite(content)
        scaled, _, scale = on_one_scale(np.where(observed, content, 0.0), observed)
        yield _Batch(rows, scaled, observed, inside, scale)


@torch.inference_mode()
def _read(model: TimeSeriesModel, batch: _Batch) -> Float64[ndarray, "batch level time"]:
    """Return corrections in the scale of the windows; a tiny batch is read several times over."""
    device = next(model.parameters()).device
    n_rows, time = batch.values.shape
    rows = np.arange(max(n_rows, -(-FEWEST_TOKENS * model.patch_length // time))) % n_rows
    filled = model.backbone.fill(
        torch.from_numpy(batch.values[rows].astype(np.float32))[..., None].to(device),
        torch.from_numpy(batch.observed[rows])[..., None].to(device),
        torch.from_numpy(batch.inside[rows]).to(device),
    )
    correction: ndarray = filled.correction[:n_rows, ..., 0].cpu().double().numpy()
    return correction
