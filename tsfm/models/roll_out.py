"""Forecasts of any horizon from a model that sees a few patches ahead."""

from typing import Literal

import torch
from einops import rearrange, repeat

from tsfm.models.model import TimeSeriesModel
from tsfm.shapes import Float, Inside, Observed, Tensor, Values

RollOut = Literal["masked", "autoregressive"]


def roll_out(
    model: TimeSeriesModel,
    values: Values,
    observed: Observed,
    inside: Inside,
    *,
    prediction_length: int,
    mode: RollOut = "masked",
) -> Float[Tensor, "batch quantile horizon channel"]:
    """Forecast `prediction_length` steps after the window, in the units of `values`.

    Parameters
    ----------
    mode
        ``"masked"``: steps beyond the head's reach are asked for in the same pass, as patches of
        which nothing is known, so that the spread grows with the distance. For models trained
        with hidden spans. ``"autoregressive"``: the median (or point) forecast is appended and
        read again through a key-value cache; with whole-window statistics, which move with every
        new patch, the whole window is read again.

    Returns
    -------
    tensor
        Quantiles that never cross; a point model has one.
    """
    if mode == "masked":
        forecast = _masked(model, values, observed, inside, prediction_length)
    elif model.backbone.config.normalization == "causal":
        forecast = _cached(model, values, observed, inside, prediction_length)
    else:
        forecast = _repeated(model, values, observed, inside, prediction_length)
    ordered = forecast[..., :prediction_length].sort(2).values
    return rearrange(ordered, "batch channel quantile horizon -> batch quantile horizon channel")


def _masked(
    model: TimeSeriesModel,
    values: Values,
    observed: Observed,
    inside: Inside,
    prediction_length: int,
) -> Float[Tensor, "batch channel quantile horizon"]:
    reach = model.backbone.horizon
    n_blocks = -(-prediction_length // reach)
    n_unknown = (n_blocks - 1) * reach
    batch, _, channels = values.shape
    unknown = values.new_zeros(batch, n_unknown, channels)
    forecast = model.backbone.forecast_patches(
        torch.cat([values, unknown], 1),
        torch.cat([observed, unknown.bool()], 1),
        torch.cat([inside, inside.new_ones(batch, n_unknown)], 1),
    ).in_input_units()
    stride = reach // model.patch_length
    last = forecast.shape[2] - 1 - n_unknown // model.patch_length
    blocks = forecast[:, :, last::stride]
    return rearrange(
        blocks, "batch channel block quantile horizon -> batch channel quantile (block horizon)"
    )


def _cached(
    model: TimeSeriesModel,
    values: Values,
    observed: Observed,
    inside: Inside,
    prediction_length: int,
) -> Float[Tensor, "batch channel quantile horizon"]:
    pieces: list[Tensor] = []
    backbone, state = model.backbone, None
    while sum(piece.shape[-1] for piece in pieces) < prediction_length:
        forecast, state = backbone.read(values, observed, inside, state)
        pieces.append(forecast.in_input_units()[:, :, 0])
        values, observed, inside = _as_context(pieces[-1])
    return torch.cat(pieces, -1)


def _repeated(
    model: TimeSeriesModel,
    values: Values,
    observed: Observed,
    inside: Inside,
    prediction_length: int,
) -> Float[Tensor, "batch channel quantile horizon"]:
    """As Timer is released: forecast, append, drop the oldest steps, scale anew."""
    pieces: list[Tensor] = []
    length = values.shape[1]
    while sum(piece.shape[-1] for piece in pieces) < prediction_length:
        forecast = model.backbone.forecast_patches(values, observed, inside)
        pieces.append(forecast.in_input_units()[:, :, -1])
        new = _as_context(pieces[-1])
        values, observed, inside = (
            torch.cat([old, added], 1)[:, -length:]
            for old, added in zip((values, observed, inside), new, strict=True)
        )
    return torch.cat(pieces, -1)


def _as_context(
    forecast: Float[Tensor, "batch channel quantile horizon"],
) -> tuple[Values, Observed, Inside]:
    """Take the middle quantile for the truth."""
    middle = forecast.sort(2).values[:, :, forecast.shape[2] // 2]
    values = rearrange(middle, "batch channel horizon -> batch horizon channel")
    observed = torch.ones_like(values, dtype=torch.bool)
    return values, observed, repeat(observed[:, :, 0], "batch horizon -> batch horizon")
