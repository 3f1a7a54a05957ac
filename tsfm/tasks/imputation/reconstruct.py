"""Missing values filled by an encoder that learned to fill hidden ones, all channels together.

The checkpoint must have a ``"reconstruction"`` head (objective ``masked_values``). A step that is
missing and one that was hidden in training are the same to the model, so nothing else is needed.
"""

from typing import Any

import numpy as np
import torch

from tsfm.errors import DataError, UnsupportedError
from tsfm.models.backbone import Encoder
from tsfm.models.model import TimeSeriesModel
from tsfm.models.reconstruction import reconstructed
from tsfm.series.scaling import SeriesScaler
from tsfm.shapes import Bool, Float, Float64, ndarray

Windows = Float[ndarray, "window time channel"]


@torch.no_grad()
def reconstruct(
    model: TimeSeriesModel,
    values: Windows,
    *,
    observed: Bool[ndarray, "window time channel"] | None = None,
    inside: Bool[ndarray, "window time"] | None = None,
    batch_size: int = 256,
) -> Float64[ndarray, "window time channel"]:
    """Return the windows with everything that is not observed filled in.

    Observed values come back bit by bit. What is not observed has no influence, NaN or number. A
    channel without an observed value is filled from the others. A head that was trained with
    ``scaling="window"`` reads any units; without, values must be standardised as in training.

    Parameters
    ----------
    observed
        By default what is finite.
    inside
        By default every step; padding is on the left.

    Raises
    ------
    UnsupportedError
        When the model has no encoder, or no head that reconstructs.
    DataError
        When it was trained on other channels, or on shorter windows.
    """
    head = reconstruction_head(model)
    _check_shape(model, values)
    observed = np.isfinite(values) if observed is None else observed & np.isfinite(values)
    inside = np.ones(values.shape[:2], bool) if inside is None else inside
    observed = observed & inside[..., None]
    filled = values.astype(np.float64)
    for start in range(0, len(values), batch_size):
        rows = slice(start, start + batch_size)
        shown = np.where(observed[rows], values[rows], 0.0).astype(np.float32)
        parts = (torch.from_numpy(part) for part in (shown, observed[rows], inside[rows]))
        found = reconstructed(model.backbone, head, *parts).double().numpy()
        asked = ~observed[rows] & inside[rows][..., None]
        filled[rows] = np.where(asked, found, filled[rows])
    return filled


def fill_series(
    model: TimeSeriesModel, values: Float[ndarray, "time channel"], *, batch_size: int = 256
) -> Float64[ndarray, "time channel"]:
    """Return one series of any length with its missing values filled in.

    A longer series than the model reads is cut into windows that overlap by half; a missing value
    is taken from the window that has it nearest to its middle. Channels are standardised by what is
    observed of the series, so any units will do.

    Raises
    ------
    UnsupportedError, DataError
        As `reconstruct`.
    """
    n_steps, n_channels = values.shape
    offsets = np.arange(n_channels + 1) * n_steps
    scaler = SeriesScaler.fit(values.T.ravel(), offsets, np.diff(offsets))
    shown = (values - scaler.loc) / scaler.scale
    length = min(n_steps, _longest(model))
    starts = np.arange(0, n_steps - length + 1, max(1, length // 2))
    if starts[-1] + length < n_steps:
        starts = np.append(starts, n_steps - length)
    step = starts[:, None] + np.arange(length)
    found = reconstruct(model, shown[step], batch_size=batch_size)
    middle = starts + (length - 1) / 2
    nearest = np.abs(np.arange(n_steps)[:, None] - middle).argmin(1)
    filled = found[nearest, np.arange(n_steps) - starts[nearest]]
    return np.where(np.isfinite(values), values, filled * scaler.scale + scaler.loc)


def reconstruction_head(model: TimeSeriesModel) -> Any:
    """Return the head that reconstructs.

    Raises
    ------
    UnsupportedError
        When there is none, or nothing that it could stand on.
    """
    if not isinstance(model.backbone, Encoder) or "reconstruction" not in model.heads:
        raise UnsupportedError(
            "a model must have an encoder and a 'reconstruction' head to fill windows, got "
            f"{model.name!r} with heads {sorted(model.heads)}; train it with the objective "
            "masked_values"
        )
    return model.heads["reconstruction"]


def _longest(model: TimeSeriesModel) -> int:
    return int(getattr(model.backbone.config, "context_length", model.context_length))


def _check_shape(model: TimeSeriesModel, values: Windows) -> None:
    _, time, n_channels = values.shape
    wanted = getattr(model.backbone.config, "n_channels", n_channels)
    if n_channels != wanted or time > _longest(model):
        raise DataError(
            f"windows must have {wanted} channels and at most {_longest(model)} steps as in "
            f"training, got {n_channels} channels and {time} steps; choose another model or cut "
            "the windows"
        )
