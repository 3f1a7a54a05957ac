"""For every row of a series, what a model forecast for it from rows before it.

Models with causal statistics forecast the next patches from every patch at once: windows of two
blocks, the first of which is context, tile the series. Other models (statistics of a whole window
see the rows that are to be judged) forecast one patch at a time from the context before it.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange, reduce

from tsfm.models.model import TimeSeriesModel
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.forecasting.array_forecast import array_forecast
from tsfm.tasks.forecasting.contexts import TOKENS_PER_BATCH

# Reading units: float32 holds sums of several squares of these, where an infinite one would spread
# from its row to all others of the window.
LARGEST = 1e18
POINT = (0.5,)


class Windows(NamedTuple):
    """Where windows lie in values that lie end to end.

    Parameters
    ----------
    end
        Where the window's series ends; the window may reach beyond.
    length
        A whole number of patches.
    n_read
        First rows of the window that are only read, not forecast.
    """

    begin: Int[ndarray, " window"]
    end: Int[ndarray, " window"]
    length: Int[ndarray, " window"]
    n_read: Int[ndarray, " window"]


def row_quantiles(
    model: TimeSeriesModel,
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    *,
    context_length: int,
    batch_size: int = 256,
) -> Float64[ndarray, "total_time quantile"]:
    """Forecast every row from rows before it, at the levels that the model was trained on.

    Patches are counted from the first value of a series, and the rows of a patch are forecast from
    the rows before the patch; those of the first patch, and missing ones before it, have no
    forecast: NaN. What is forecast for a row depends neither on it nor on any later row.

    Parameters
    ----------
    values
        Series that lie end to end, NaN where missing.
    context_length
        Steps that are read before the forecast rows, at least, where the series has them; a model
        that forecasts from every patch at once reads up to twice as many.
    """
    patch = model.patch_length
    block = max(1, context_length // patch) * patch
    read = _in_windows if reads_at_once(model) else _in_segments
    return read(model, values, _observed_spans(values, offsets), block, batch_size)


def reads_at_once(model: TimeSeriesModel) -> bool:
    """Say whether the forecasts of all patches of a window can be had in one pass."""
    normalize: Any = getattr(model.backbone, "normalize", None)
    return bool(getattr(normalize, "is_causal", False))


def tiling(spans: Int[ndarray, "item two"], block: int, patch: int) -> Windows:
    """Return windows of two blocks that together forecast every row after the first patch.

    Examples
    --------
    >>> tiling(np.array([[0, 40]]), 10, 5).begin.tolist()
    [0, 10, 20]
    """
    lengths = spans[:, 1] - spans[:, 0]
    n_windows = np.where(lengths > patch, np.maximum(1, -(-lengths // block) - 1), 0)
    item = np.repeat(np.arange(len(spans)), n_windows)
    number = np.arange(len(item)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    begin, end = spans[item, 0] + number * block, spans[item, 1]
    whole = -(-(end - begin) // patch) * patch
    return Windows(begin, end, np.minimum(2 * block, whole), np.where(number == 0, patch, block))


def next_patch_quantiles(
    model: TimeSeriesModel, past: Float64[ndarray, " time"], *, context_length: int
) -> Float64[ndarray, "patch quantile"]:
    """Forecast the patch after `past` as `row_quantiles` does within a whole series.

    Parameters
    ----------
    past
        Whole patches from the first value of the series on; whole blocks of `context_length`
        steps may be left out at its beginning, but two must stay.
    """
    patch = model.patch_length
    block = max(1, context_length // patch) * patch
    if not reads_at_once(model):
        offsets = np.array([0, min(block, len(past))])
        return _forecast_segments(model, past[-block:], offsets, block, 1)[0]
    begin = max(0, len(past) // block - 1) * block
    window = np.append(past[begin:], np.full(patch, np.nan))
    return _later_patches(model, window[None])[0, -patch:]


def in_reading_units(
    windows: Float64[ndarray, "window time"], patch_length: int
) -> tuple[Float64[ndarray, "window time"], Float64[ndarray, "window two"]]:
    """Return what a network can read in float32, and the location and scale that were taken out.

    Nothing that is forecast may move them. So the location is the median of the first patch that
    has a value, and the scale the largest distance from it there. While all values are equal the
    scale is that of the first one that differs; every number before it is zero, whatever the scale.
    """
    observed = np.isfinite(windows)
    first = observed.argmax(1) // patch_length * patch_length
    step = np.arange(windows.shape[1])
    known = observed & (step >= first[:, None]) & (step < first[:, None] + patch_length)
    known[~observed.any(1)] = True
    with np.errstate(over="ignore"):
        loc = np.nanmedian(np.where(known, np.nan_to_num(windows), np.nan), axis=1)
        distance = np.abs(windows - loc[:, None])
        scale = np.where(known & observed, distance, 0.0).max(1)
        moved = observed & (distance > 0)
        later = distance[np.arange(len(windows)), moved.argmax(1)]
        scale = np.where(scale > 0, scale, np.where(moved.any(1), later, 1.0))
        scaled = (windows - loc[:, None]) / scale[:, None]
    return np.clip(scaled, -LARGEST, LARGEST), np.stack([loc, scale], 1)


def _observed_spans(
    values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"]
) -> Int[ndarray, "item two"]:
    """Return where every series has its first value, and where it ends."""
    observed = np.append(np.flatnonzero(np.isfinite(values)), len(values))
    first = observed[np.searchsorted(observed, offsets[:-1])]
    return np.stack([np.minimum(first, offsets[1:]), offsets[1:]], 1)


def _in_windows(
    model: TimeSeriesModel,
    values: Float64[ndarray, " total_time"],
    spans: Int[ndarray, "item two"],
    block: int,
    batch_size: int,
) -> Float64[ndarray, "total_time quantile"]:
    patch = model.patch_length
    found = np.full((len(values), len(model.quantile_levels or POINT)), np.nan)
    windows = tiling(spans, block, patch)
    order = np.argsort(windows.length, kind="stable")
    while len(order):
        length = int(windows.length[order[0]])
        most = min(batch_size, max(1, TOKENS_PER_BATCH * patch // length))
        rows = order[:most][windows.length[order[:most]] == length]
        order = order[len(rows) :]
        begin, end, _, n_read = (field[rows, None] for field in windows)
        place = begin + np.arange(length)
        content = np.where(place < end, values[np.minimum(place, end - 1)], np.nan)
        quantiles = _later_patches(model, content)
        asked = ((np.arange(length) >= n_read) & (place < end))[:, patch:]
        found[place[:, patch:][asked]] = quantiles[asked]
    return found


@torch.inference_mode()
def _later_patches(
    model: TimeSeriesModel, windows: Float64[ndarray, "window time"]
) -> Float64[ndarray, "window later quantile"]:
    """Forecast all rows after the first patch of every window; NaN before anything was observed.

    A row is forecast from each of the last patches before it that reach so far, and these are
    averaged level by level: the nearest knows most, while the farthest has not seen the beginning
    of an anomaly yet and does not follow it.
    """
    patch, device = model.patch_length, next(model.parameters()).device
    scaled, units = in_reading_units(windows, patch)
    observed = torch.from_numpy(np.isfinite(scaled)).to(device)
    content = torch.from_numpy(np.nan_to_num(scaled).astype(np.float32)).to(device)
    forecast = model.backbone.forecast_patches(
        content[..., None], observed[..., None], torch.ones_like(observed)
    )
    ahead = rearrange(
        forecast.in_input_units()[:, 0].sort(2).values,
        "window token quantile (ahead patch) -> ahead window token patch quantile",
        patch=patch,
    )
    has_seen = reduce(observed.float(), "window (token patch) -> window token", "max", patch=patch)
    weight = rearrange(has_seen.cummax(1).values, "window token -> window token 1 1")
    total, count = torch.zeros_like(ahead[0, :, 1:]), torch.zeros_like(weight[:, 1:])
    for distance, of_distance in enumerate(ahead[:, :, : total.shape[1]]):
        n_reached = max(0, total.shape[1] - distance)
        total[:, distance:] += (of_distance * weight[:, :-1])[:, :n_reached]
        count[:, distance:] += weight[:, :-1][:, :n_reached]
    rows = rearrange(total / count, "window token patch quantile -> window (token patch) quantile")
    found: ndarray = rows.cpu().double().numpy() * units[:, 1, None, None] + units[:, 0, None, None]
    return found


def _in_segments(
    model: TimeSeriesModel,
    values: Float64[ndarray, " total_time"],
    spans: Int[ndarray, "item two"],
    block: int,
    batch_size: int,
) -> Float64[ndarray, "total_time quantile"]:
    patch = model.patch_length
    found = np.full((len(values), len(model.quantile_levels or POINT)), np.nan)
    segments = [
        (max(first, start - block), start, min(start + patch, end))
        for first, end in spans.tolist()
        for start in range(first + patch, end, patch)
    ]
    for number in range(0, len(segments), batch_size):
        batch = segments[number : number + batch_size]
        contexts = [values[begin:start] for begin, start, _ in batch]
        offsets = np.concatenate([[0], np.cumsum([len(one) for one in contexts])])
        quantiles = _forecast_segments(model, np.concatenate(contexts), offsets, block, batch_size)
        for (_, start, stop), rows in zip(batch, quantiles, strict=True):
            found[start:stop] = rows[: stop - start]
    return found


def _forecast_segments(
    model: TimeSeriesModel,
    contexts: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    block: int,
    batch_size: int,
) -> Float64[ndarray, "item patch quantile"]:
    quantiles = array_forecast(
        model,
        contexts[:, None],
        offsets,
        model.patch_length,
        model.quantile_levels or POINT,
        context_length=block,
        batch_size=batch_size,
    )
    return rearrange(quantiles[..., 0], "item quantile patch -> item patch quantile")
