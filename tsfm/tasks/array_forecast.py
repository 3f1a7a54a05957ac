"""Arrays in, quantiles out: one model over all series, batch by batch."""

from collections.abc import Sequence

import numpy as np
import torch

from tsfm.models.model import TimeSeriesModel
from tsfm.models.roll_out import RollOut, roll_out
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.contexts import Contexts, context_batches
from tsfm.tasks.progress import Advance
from tsfm.tasks.quantiles import at_levels
from tsfm.tasks.season import find_season

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
    seasonal: bool = False,
    advance: Advance | None = None,
) -> Float64[ndarray, "item quantile horizon channel"]:
    """Forecast every channel of every item by itself; NaN without a value in the context.

    Parameters
    ----------
    seasonal
        Whether a season that hardly changes is taken out before and put back after; see
        `find_season`.
    """
    read = _read_apart_from_season if seasonal else _read
    shape = (len(offsets) - 1, len(quantile_levels), prediction_length, values.shape[1])
    result = np.empty(shape)
    for channel in range(values.shape[1]):
        batches = context_batches(
            np.ascontiguousarray(values[:, channel]),
            offsets,
            context_length=context_length,
            patch_length=model.patch_length,
            extra_tokens=prediction_length // model.patch_length,
            batch_size=batch_size,
        )
        for batch in batches:
            scaled = read(model, batch, prediction_length)
            chosen = at_levels(scaled, model.quantile_levels, quantile_levels)
            result[batch.rows, :, :, channel] = _in_input_units(chosen, batch)
            if advance is not None:
                advance(len(batch.rows))
    return result


def _read_apart_from_season(
    model: TimeSeriesModel, batch: Contexts, prediction_length: int
) -> Float64[ndarray, "batch trained horizon"]:
    """Forecast as it is, without the season, or both, as the weight of the season says."""
    season = find_season(batch.values, batch.observed, batch.inside, prediction_length)
    weight = season.weight[:, None, None]
    if not weight.any():
        return _read(model, batch, prediction_length)
    rest = np.where(batch.observed, batch.values - season.context, 0.0)
    forecast = np.zeros((len(batch.rows), len(model.quantile_levels), prediction_length))
    for rows, values, share in (
        (np.flatnonzero(season.weight < 1), batch.values, 1 - weight),
        (np.flatnonzero(season.weight > 0), rest, weight),
    ):
        if len(rows):
            part = Contexts(*(field[rows] for field in batch._replace(values=values)))
            forecast[rows] += share[rows] * _read(model, part, prediction_length)
    forecast += weight * season.future[:, None]
    return forecast


@torch.inference_mode()
def _read(
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


def _in_input_units(
    scaled: Float64[ndarray, "batch quantile horizon"], batch: Contexts
) -> Float64[ndarray, "batch quantile horizon"]:
    with np.errstate(over="ignore"):
        values = scaled * batch.scale[:, None, None] + batch.loc[:, None, None]
    return np.clip(values, -LARGEST, LARGEST)
