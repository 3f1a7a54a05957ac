"""Timer with covariates: further channels that are read beside the target, never forecast.

Every token reads the covariates of its own patch and, of those that are known ahead, also those of
the patches that it forecasts. What a covariate of a step is worth for the forecast of that step is
said by the token. Both maps start at zero, so that weights of a `Timer` forecast as before.
"""

from dataclasses import fields

import torch
from einops import einsum, rearrange, repeat
from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from tsfm.models.backbone import BACKBONES, PatchForecast
from tsfm.models.layers.patching import PatchedWindow, to_patches
from tsfm.models.timer import Timer, TimerConfig
from tsfm.shapes import Float, Inside, Observed, Tensor, Tokens, Values


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class CovariateTimerConfig(TimerConfig):
    """A `TimerConfig` and the names of the covariates, in their order.

    Parameters
    ----------
    known_covariates
        Those whose values are known at the steps that are forecast.
    past_covariates
        Those that are not.
    """

    known_covariates: tuple[str, ...] = ()
    past_covariates: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> "CovariateTimerConfig":
        names = (*self.known_covariates, *self.past_covariates)
        if len(set(names)) < len(names):
            raise ValueError(f"covariates must be named once, got {names}")
        return self


@BACKBONES.register("timer_covariates")
class CovariateTimer(Timer):
    """A `Timer` whose `forecast_patches` takes covariates; without any it is a `Timer`."""

    Config = CovariateTimerConfig
    config: CovariateTimerConfig

    def __init__(self, config: CovariateTimerConfig) -> None:
        super().__init__(config)
        self.n_known, self.n_past = len(config.known_covariates), len(config.past_covariates)
        n_columns = (1 + config.n_output_patches) * self.n_known + self.n_past
        if n_columns:
            width = 2 * config.patch_length * n_columns
            self.covariate_embedding = nn.Linear(width, config.d_model, bias=False)
        if self.n_known:
            n_levels = max(1, len(config.quantile_levels))
            self.covariate_effect = nn.Linear(config.d_model, n_levels * self.n_known, bias=False)
        self._ignore_covariates()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw the weights of the `Timer` anew; covariates have no effect."""
        super().reset_parameters(generator)
        self._ignore_covariates()

    @torch.no_grad()
    def _ignore_covariates(self) -> None:
        for layer in self.covariate_layers():
            layer.weight.zero_()

    def covariate_layers(self) -> list[nn.Linear]:
        """Return the maps that covariates pass through."""
        names = ("covariate_embedding", "covariate_effect")
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def forecast_patches(
        self,
        values: Values,
        observed: Observed,
        inside: Inside,
        covariates: Float[Tensor, "batch step covariate"] | None = None,
    ) -> PatchForecast:
        """Forecast as a `Timer` does.

        Parameters
        ----------
        covariates
            From the first step of `values` on, known ones first, NaN where there is none. Past
            ones are read only in patches in which the target has a value, so never ahead.
        """
        if covariates is None or not self.n_known + self.n_past:
            return super().forecast_patches(values, observed, inside)
        window = to_patches(values, observed, inside, self.patch_length)
        patches = self._patches(covariates, -values.shape[1] % self.patch_length, window)
        decoded = self._decode(window, None, self._embed(patches, window))
        tokens, forecast = decoded.tokens, self._forecast(decoded)
        if not self.n_known:
            return forecast
        known = patches[..., : self.n_known].nan_to_num()
        n_tokens, n_ahead = tokens.shape[2], self.config.n_output_patches
        ahead = torch.cat([known[:, 1 + k : 1 + k + n_tokens] for k in range(n_ahead)], 2)
        worth = rearrange(
            self.covariate_effect(tokens),
            "batch channel token (level known) -> batch channel token level known",
            known=self.n_known,
        )
        effect = einsum(
            worth,
            ahead,
            "batch channel token level known, batch token step known "
            "-> batch channel token level step",
        )
        return PatchForecast(
            forecast.values + effect, forecast.loc, forecast.scale, forecast.is_arcsinh
        )

    def _patches(
        self,
        covariates: Float[Tensor, "batch step covariate"],
        n_padded: int,
        window: PatchedWindow,
    ) -> Float[Tensor, "batch patch within covariate"]:
        """Return the covariates of all tokens and of the patches that the last one forecasts."""
        n_patches = window.values.shape[2] + self.config.n_output_patches
        n_missing = n_patches * self.patch_length - n_padded - covariates.shape[1]
        # A negative width cuts off what nobody forecasts.
        padded = F.pad(covariates, (0, 0, n_padded, n_missing), value=torch.nan)
        pattern = "batch (patch within) covariate -> batch patch within covariate"
        return rearrange(padded, pattern, within=self.patch_length)

    def _embed(
        self, patches: Float[Tensor, "batch patch within covariate"], window: PatchedWindow
    ) -> Tokens:
        channels, n_tokens = window.values.shape[1:3]
        known = patches[..., : self.n_known]
        steps = [known[:, k : k + n_tokens] for k in range(1 + self.config.n_output_patches)]
        flat = "batch token step covariate -> batch 1 token (step covariate)"
        wide = "batch 1 token feature -> batch channel token feature"
        columns = repeat(rearrange(torch.cat(steps, 2), flat), wide, channel=channels)
        past = rearrange(patches[:, :n_tokens, :, self.n_known :], flat)
        past = repeat(past, wide, channel=channels)
        past = torch.where(window.observed.any(-1, keepdim=True), past, torch.nan)
        columns = torch.cat([columns, past], -1)
        features = torch.cat([columns.nan_to_num(), columns.isfinite().to(columns.dtype)], -1)
        tokens: Tokens = self.covariate_embedding(features)
        return tokens


class WithCovariates(nn.Module):
    """A `CovariateTimer` with the covariates of the windows that it will be asked about.

    Offers what `next_patch` and `roll_out` ask of a backbone. More windows than covariates are
    read as a repetition of the first ones.
    """

    def __init__(
        self, backbone: CovariateTimer, covariates: Float[Tensor, "batch step covariate"]
    ) -> None:
        super().__init__()
        self.backbone, self.covariates = backbone, covariates
        self.config, self.horizon = backbone.config, backbone.horizon
        self.patch_length, self.quantile_levels = backbone.patch_length, backbone.quantile_levels

    def forecast_patches(self, values: Values, observed: Observed, inside: Inside) -> PatchForecast:
        """Forecast with the covariates."""
        rows = torch.arange(len(values), device=values.device) % len(self.covariates)
        return self.backbone.forecast_patches(values, observed, inside, self.covariates[rows])

    def predict_next(self, values: Values, observed: Observed, inside: Inside) -> Values:
        """Return at the place of patch k the point forecast of patch k + 1, in input units."""
        forecast = self.forecast_patches(values, observed, inside)
        return forecast.next_steps(self.patch_length)[:, -values.shape[1] :]


def with_covariates(timer: Timer, known: tuple[str, ...], past: tuple[str, ...]) -> CovariateTimer:
    """Return a copy of a `Timer` that takes covariates, and does not use them yet."""
    own = {one.name: getattr(timer.config, one.name) for one in fields(TimerConfig)}
    config = CovariateTimerConfig(**own, known_covariates=known, past_covariates=past)
    backbone = CovariateTimer(config)
    backbone.load_state_dict(timer.state_dict(), strict=False)
    return backbone
