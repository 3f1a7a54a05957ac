"""Generative pre-training: from every patch, predict the patches that follow.

Timer (arXiv 2402.02368, section 3.2) uses one patch and squared error. With a quantile head the
loss is the mean pinball loss, and whole spans of patches may be hidden from the model, so that it
learns to forecast across several unknown patches in one pass (the contiguous patch masking of
TiRex, Auer et al. 2025).
"""

from typing import Literal

import torch
from einops import rearrange
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.models.backbone import NextPatchModel, PatchForecast
from tsfm.models.layers.patching import following_patches, to_patches
from tsfm.objectives.objective import OBJECTIVES, Loss
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float, Observed, Patches, Tensor

# Beyond this many scales (after arcsinh) a target teaches nothing but to be an outlier.
LARGEST_TARGET = 12.0
# Forecasts narrower than this, in the scale of a token, weigh no more than this one.
LEAST_SPREAD = 0.1


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class NextPatchConfig:
    """Options of `NextPatch`.

    Parameters
    ----------
    units
        ``"normalized"``: the loss is in the scale of each token, so all series weigh alike;
        ``"input"``: in the units of the batch, as Timer is published.
    hidden_share
        Share of the windows in which one span of patches is hidden from the model.
    longest_span
        The longest such span, as a share of the window.
    context_length
        Steps of the window that are read, at most; all later ones are targets only. None reads
        all but the last patch.
    weights
        ``"even"``: all forecasts weigh alike, so the loss is mostly that of noise; ``"sure"``: the
        surer the model is of a forecast, the more it weighs, as in a mean of errors relative to
        what can be had. Only a quantile model knows how sure it is.
    """

    units: Literal["normalized", "input"] = "normalized"
    hidden_share: float = Field(default=0.0, ge=0, le=1)
    longest_span: float = Field(default=0.5, gt=0, le=1)
    context_length: PositiveInt | None = None
    weights: Literal["even", "sure"] = "even"


def pinball(
    error: Float[Tensor, "batch channel token quantile horizon"],
    levels: Float[Tensor, " quantile"],
) -> Float[Tensor, "batch channel token horizon"]:
    """Mean pinball loss over the levels, of the error target - prediction."""
    above = levels[:, None]
    # Autograd need not know how the slopes came about: half the time of a maximum.
    with torch.no_grad():
        slope = torch.where(error > 0, above, above - 1)
    return (slope * error).mean(-2)


@OBJECTIVES.register("next_patch")
class NextPatch:
    """Loss over the patches that follow every token.

    The last patch is never read, only predicted. Only tokens within the series count; in
    normalised units once two different values have been seen: before that there is no scale.
    """

    Config = NextPatchConfig
    requires = NextPatchModel

    def __init__(self, config: NextPatchConfig, _backbone: object = None) -> None:
        # Other objectives size their heads by the backbone; this one has no head.
        self.config = config

    def __call__(
        self, model: NextPatchModel, batch: WindowBatch, generator: torch.Generator
    ) -> Loss:
        """Return the mean pinball loss (quantile model) or squared error (point model)."""
        patch_length = model.patch_length
        window = to_patches(batch.values, batch.observed, batch.inside, patch_length)
        # The last patch is a target only: were it read, whole-window statistics would know it.
        n_read = self._n_read(batch.values.shape[1], patch_length)
        if n_read < 1:
            return Loss(batch.values.new_zeros((), requires_grad=True), 0)
        read = _first_steps(batch, n_read)
        visible = read.observed & ~self._hidden(read, patch_length, generator)
        forecast = model.forecast_patches(read.values, visible, read.inside)
        n_tokens, n_following = forecast.loc.shape[2], forecast.values.shape[-1] // patch_length
        target = following_patches(window.values, n_following)[:, :, :n_tokens]
        known = window.observed
        if batch.supervised is not None:
            asked = to_patches(batch.values, batch.supervised, batch.inside, patch_length)
            known = known & asked.observed
        counted = following_patches(known.to(target.dtype), n_following)[:, :, :n_tokens] > 0
        # A token of padding knows nothing, yet whole-window statistics would give it a scale.
        counted = counted & window.inside[:, :, :n_tokens, None]
        if self.config.units == "normalized":
            counted = counted & (forecast.scale > 0)[..., None]
            target = normalized(target, forecast)
            predicted = forecast.values
        else:
            predicted = forecast.in_input_units()
        error = target[:, :, :, None] - predicted
        if model.quantile_levels:
            levels = torch.tensor(model.quantile_levels).to(error)
            loss = pinball(error, levels)
        else:
            loss = error.square().mean(-2)
        count = int(counted.sum())
        weight = counted.to(loss.dtype)
        if self.config.weights == "sure":
            weight = weight * _sureness_of(model, forecast)
        total = torch.where(counted, weight * loss, 0.0).sum() / weight.sum().clamp(min=1e-6)
        return Loss(total, count)

    def _n_read(self, length: int, patch_length: int) -> int:
        """Return the steps that the model may read: what is left out are whole patches."""
        context_length = self.config.context_length or length
        n_targets = max(1, -(-(length - context_length) // patch_length))
        return length - n_targets * patch_length

    def _hidden(
        self, batch: WindowBatch, patch_length: int, generator: torch.Generator
    ) -> Observed:
        """Draw one span of whole patches in a share of the windows, never the first patch."""
        n_windows, length, _ = batch.values.shape
        n_tokens = -(-length // patch_length)
        # The type is said, so that the default type of torch does not change what is drawn.
        draws = torch.rand(3, n_windows, generator=generator, dtype=torch.float32)
        chance, size, place = draws
        longest = max(1.0, self.config.longest_span * n_tokens)
        span = torch.exp(size * torch.log(torch.tensor(longest, dtype=torch.float32))).floor()
        first = 1 + (place * (n_tokens - 1)).floor()
        token = torch.arange(length).add(-length % patch_length).div(patch_length).floor()
        inside_span = (token >= first[:, None]) & (token < (first + span)[:, None])
        hidden = inside_span & (chance < self.config.hidden_share)[:, None]
        return rearrange(hidden, "batch time -> batch time 1").to(batch.values.device)


def _first_steps(batch: WindowBatch, n_steps: int) -> WindowBatch:
    return WindowBatch(
        batch.values[:, :n_steps],
        batch.observed[:, :n_steps],
        batch.inside[:, :n_steps],
        batch.item,
    )


def _sureness_of(
    model: NextPatchModel, forecast: PatchForecast
) -> Float[Tensor, "batch channel token 1"]:
    if not model.quantile_levels:
        raise ConfigError(
            "a point model does not know how sure it is: set objective.config.weights to "
            "'even', or give the model quantile_levels"
        )
    return sureness(forecast.values)


def sureness(
    predicted: Float[Tensor, "batch channel token quantile horizon"],
) -> Float[Tensor, "batch channel token 1"]:
    """Return the reciprocal width of every forecast, from what was read alone; no gradient."""
    width = (predicted[..., -1, :] - predicted[..., 0, :]).detach().clamp(min=0)
    return 1 / (width.mean(-1, keepdim=True) + LEAST_SPREAD)


def normalized(target: Patches, forecast: PatchForecast) -> Patches:
    """Put targets into the units of the tokens that forecast them."""
    scale = torch.where(forecast.scale > 0, forecast.scale, 1.0)[..., None]
    target = (target - forecast.loc[..., None]) / scale
    if forecast.is_arcsinh:
        target = target.asinh()
    return target.clamp(-LARGEST_TARGET, LARGEST_TARGET)
