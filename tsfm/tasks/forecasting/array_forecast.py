"""Arrays in, quantiles out: one model over all series, batch by batch."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from einops import rearrange

from tsfm.models.model import TimeSeriesModel
from tsfm.models.roll_out import RollOut, roll_out
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.forecasting.contexts import Contexts, context_batches, last_observed
from tsfm.tasks.forecasting.quantiles import at_levels
from tsfm.tasks.forecasting.views import (
    COARSE_STEPS,
    Read,
    apart_from_season,
    n_coarse_views,
    with_coarse_level,
    with_past_seasons,
)
from tsfm.tasks.progress import Advance

LARGEST = float(np.finfo(np.float64).max)
# Products with fewer rows take another path through the matrix library and end in other last bits.
FEWEST_TOKENS = 16


def array_forecast(
    model: TimeSeriesModel,
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    prediction_length: int,
    quantile_levels: Sequence[float],
    *,
    context_length: int,
    batch_size: int,
    views: bool = False,
    looks_back: bool = False,
    read: Read | None = None,
    advance: Advance | None = None,
) -> Float64[ndarray, "item quantile horizon channel"]:
    """Forecast every channel of every item by itself; NaN without a value in the context.

    Parameters
    ----------
    views
        Whether the network also reads other views of a series; see `tsfm.tasks.forecasting.views`.
    looks_back
        Whether views may know steps before the context.
    read
        What reads a batch; by default the model, as far as it is trusted.
    """
    read = read or partial(_read_with_trust, model)
    longest = context_length
    if views:
        reach = model.backbone.horizon
        levelled = with_coarse_level(
            apart_from_season(read),
            reach=reach,
            patch_length=model.patch_length,
            context_length=context_length,
        )
        read = with_past_seasons(levelled, levels=model.quantile_levels)
        if looks_back:
            longest *= COARSE_STEPS ** max(1, n_coarse_views(prediction_length, reach))
    time, n_channels = values.shape
    firsts = offsets[:-1] + time * np.arange(n_channels)[:, None]
    batches = context_batches(
        rearrange(values, "time channel -> (channel time)"),
        np.append(firsts, time * n_channels),
        context_length=longest,
        patch_length=model.patch_length,
        extra_tokens=prediction_length // model.patch_length,
        batch_size=batch_size,
    )
    result = np.empty((firsts.size, len(quantile_levels), prediction_length))
    for batch in batches:
        scaled = read(batch, prediction_length)
        chosen = at_levels(scaled, model.quantile_levels, quantile_levels)
        chosen[~batch.observed[:, -context_length:].any(1)] = np.nan
        result[batch.rows] = _in_input_units(chosen, batch)
        if advance is not None:
            advance(len(batch.rows))
    by_item = "(channel item) quantile horizon -> item quantile horizon channel"
    return np.ascontiguousarray(rearrange(result, by_item, channel=n_channels))


@torch.inference_mode()
def read_contexts(
    model: TimeSeriesModel, batch: Contexts, prediction_length: int
) -> Float64[ndarray, "batch trained horizon"]:
    """Forecast in the scale of the contexts; rows of a tiny batch are read several times."""
    device = next(model.parameters()).device
    n_rows, time = batch.values.shape
    tokens = time // model.patch_length
    rows = np.arange(max(n_rows, -(-FEWEST_TOKENS // tokens))) % n_rows
    mode: RollOut = "masked" if model.quantile_levels else "autoregressive"
    forecast = roll_out(
        model,
        torch.from_numpy(batch.values[rows].astype(np.float32))[..., None].to(device),
        torch.from_numpy(batch.observed[rows])[..., None].to(device),
        torch.from_numpy(batch.inside[rows]).to(device),
        prediction_length=prediction_length,
        mode=mode,
    )
    scaled: ndarray = forecast[:n_rows, ..., 0].cpu().double().numpy()
    return scaled


def _read_with_trust(
    model: TimeSeriesModel, batch: Contexts, prediction_length: int
) -> Float64[ndarray, "batch trained horizon"]:
    forecast = read_contexts(model, batch, prediction_length)
    return forecast if model.trust == 1 else held_to_last(forecast, batch, model.trust)


def held_to_last(
    forecast: Float64[ndarray, "batch quantile horizon"], batch: Contexts, trust: float
) -> Float64[ndarray, "batch quantile horizon"]:
    """Draw the median to the last observed value of its context; other quantiles move with it."""
    last = last_observed(np.where(batch.observed, batch.values, np.nan).T)[:, None, None]
    middle = forecast[:, [forecast.shape[1] // 2]]
    return forecast + (1 - trust) * (last - middle)


def _in_input_units(
    scaled: Float64[ndarray, "batch quantile horizon"], batch: Contexts
) -> Float64[ndarray, "batch quantile horizon"]:
    with np.errstate(over="ignore"):
        values = scaled * batch.scale[:, None, None] + batch.loc[:, None, None]
    return np.clip(values, -LARGEST, LARGEST)
