"""How far a fine-tuned model is trusted: its forecasts are drawn to the last value where they err.

On a random walk nothing beats the last value, and what fine-tuning found in the training rows is
seldom there in later ones. So held-out rows say what share of the way from the last value to the
forecast is worth going, by least squares (Bates and Granger 1969, "The combination of forecasts");
the quantiles move with their median. The share is that of the network alone, before any view of a
series (`tsfm.tasks.forecasting.views`), and travels with the weights.
"""

from dataclasses import replace

import numpy as np
from einops import rearrange

from tsfm.models.model import TRUST, TimeSeriesModel
from tsfm.shapes import Float64, ndarray
from tsfm.tasks.forecasting.array_forecast import array_forecast
from tsfm.tasks.forecasting.contexts import last_observed
from tsfm.training.stream import BatchStream


def with_trust(
    model: TimeSeriesModel, stream: BatchStream, *, context_length: int, batches: int
) -> TimeSeriesModel:
    """Return the model with the trust that held-out windows have in it.

    Parameters
    ----------
    context_length
        Steps of a window that are read; the later ones, where a stream supervises them, are asked.
    batches
        Held-out batches of the stream that are forecast.
    """
    moved, asked = [], []
    for number in range(batches):
        batch = stream.validation(number)
        if batch.values.shape[1] <= context_length:
            continue
        values = np.where(batch.observed.numpy(), batch.values.numpy().astype(np.float64), np.nan)
        known = batch.observed if batch.supervised is None else batch.supervised
        context, future = values[:, :context_length], values[:, context_length:]
        future = np.where(known.numpy()[:, context_length:], future, np.nan)
        offsets = np.arange(len(values) + 1) * context_length
        flat = rearrange(context, "window time channel -> (window time) channel")
        found = array_forecast(
            model,
            flat,
            offsets,
            future.shape[1],
            (0.5,),
            context_length=context_length,
            batch_size=len(values),
        )[:, 0]
        last = last_observed(rearrange(context, "window time channel -> time window channel"))
        moved.append((found - last[:, None]).ravel())
        asked.append((future - last[:, None]).ravel())
    share = least_squares_share(np.concatenate([[], *moved]), np.concatenate([[], *asked]))
    details = {**model.provenance.details, TRUST: share}
    model.provenance = replace(model.provenance, details=details)
    return model


def least_squares_share(
    moved: Float64[ndarray, " step"], asked: Float64[ndarray, " step"]
) -> float:
    """Return the share of the moves that comes nearest to those asked for, from 0 to 1.

    Where either is missing a step has no say; without any step the share is 1.

    Examples
    --------
    >>> least_squares_share(np.array([2.0, -2.0, 9.0]), np.array([1.0, -1.0, np.nan]))
    0.5
    """
    known = np.isfinite(moved) & np.isfinite(asked)
    length = float(moved[known] @ moved[known])
    return float(np.clip(moved[known] @ asked[known] / length, 0, 1)) if length > 0 else 1.0
