"""GPHT: stages that see the series at rising resolutions, each correcting those before it.

Liu et al., "Generative Pretrained Hierarchical Transformer for Time Series Forecasting", KDD 2024
(arXiv 2402.16516). Every channel is read by itself. All stages have the same tokens, of
`patch_length` steps: a stage pools the steps of every patch (`pools`), passes the tokens through
causal blocks, and its head forecasts the next patch at full resolution. The next stage reads what
is left: patch k + 1 minus what all stages so far said of it at token k. The forecast is the sum
over the stages. The first patch is forecast by nobody, and all stages read it as it is.

Blocks that are pooled lie within patches, patches end with the window, and a forecast is
subtracted from the patch after the token that made it, so nothing reaches an earlier token.

Departures, each a config word, with the published setting named:

- `normalization="causal"`: running statistics per token, a residual being in the units of the
  token that made the forecast; ``"window"`` is as released, where early tokens see the level and
  spread of those they are asked to predict.
- `positions="rotary"`: relative, so left padding does not matter; ``"sinusoidal"`` as published.
- `norm_first=True`, `bias=False`; ``False`` and ``True`` as published.
- `embedding="residual"` also sees which values are missing and how the scale moved; ``"linear"``
  as published, where a missing value is a zero.
- `n_output_patches` and `quantile_levels`: several patches ahead, with quantiles, of which the
  median is subtracted; published is one patch and a point.
- `arcsinh`: heavy tails are compressed after scaling; published is without.
- `pooling="max"` as published keeps peaks and discards troughs; ``"average"`` is the control.

A constant window is forecast as that constant exactly; the released code adds 1e-5 to the variance.
The published model has `patch_length=48`, `d_model=512`, `n_heads=8`, `n_layers=3`, `d_ff=2048`,
`dropout=0.1`: 37,977,280 parameters.
"""

from typing import Literal, NamedTuple

import torch
from einops import rearrange
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.errors import ConfigError
from tsfm.models.backbone import BACKBONES, PatchForecast
from tsfm.models.layers.attention import KeyValue
from tsfm.models.layers.decoder_state import last_token
from tsfm.models.layers.initial import INTO_RESIDUAL, draw_weights
from tsfm.models.layers.normalization import TOKEN_NORMS, Statistics
from tsfm.models.layers.patching import PatchedWindow, to_patches
from tsfm.models.layers.places import Places, causal_places
from tsfm.models.layers.pooling import Pooling
from tsfm.models.layers.stage import Stage
from tsfm.models.layers.units import drift, in_units, of_token_before
from tsfm.models.sizes import DECILES, check_heads, check_levels
from tsfm.shapes import Bool, Float, Float64, Inside, Observed, Patches, Tensor, Tokens, Values


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class GPHTConfig:
    """Sizes and variants of a `GPHT`; see the module docstring for the published ones.

    Parameters
    ----------
    pools
        Steps that make one point, for every stage from first to last; ``(1, 1, 1, 1)`` is the
        control without a hierarchy.
    n_layers
        Of every stage.
    quantile_levels
        Levels of the quantile heads, 0.5 in the middle, since the median is the point forecast;
        empty for a point model trained on squared error.
    """

    patch_length: PositiveInt = 16
    pools: tuple[PositiveInt, ...] = (8, 4, 2, 1)
    pooling: Pooling = "max"
    d_model: PositiveInt = 128
    n_heads: PositiveInt = 4
    n_layers: PositiveInt = 1
    d_ff: PositiveInt = 512
    n_output_patches: int = 1
    quantile_levels: tuple[float, ...] = DECILES
    normalization: Literal["causal", "window"] = "causal"
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    embedding: Literal["residual", "linear"] = "residual"
    norm_first: bool = True
    bias: bool = False
    arcsinh: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "GPHTConfig":
        if not self.pools or any(self.patch_length % pool for pool in self.pools):
            raise ValueError(
                "pools must be divisors of patch_length, at least one, got "
                f"pools={self.pools} and patch_length={self.patch_length}"
            )
        check_heads(self.d_model, self.n_heads)
        if not 1 <= self.n_output_patches <= 8:
            raise ValueError(f"n_output_patches must be 1 to 8, got {self.n_output_patches}")
        if self.quantile_levels:
            check_levels(self.quantile_levels)
        return self


class HierarchyState(NamedTuple):
    """What the stages keep of the tokens they have read.

    Keys and values of every layer of every stage, validity, statistics, and what the stages up to
    each one said of the patch that comes next.
    """

    layers: list[list[KeyValue]]
    attend: Bool[Tensor, "batch key"]
    sums: Float64[Tensor, "moment batch channel"]
    last: Statistics
    said: list[Patches]


class Reading(NamedTuple):
    """What all stages make of a window; `outputs` and `tokens` have one entry per stage."""

    outputs: list[Float[Tensor, "batch channel token quantile horizon"]]
    tokens: list[Tokens]
    statistics: Statistics
    state: HierarchyState


@BACKBONES.register("gpht")
class GPHT(nn.Module):
    """Hierarchy of causal stages; every token forecasts the patches after it.

    Examples
    --------
    >>> model = GPHT(GPHTConfig(d_model=32, d_ff=64, n_output_patches=2))
    >>> values = torch.randn(3, 100, 1)
    >>> observed, inside = torch.ones(3, 100, 1).bool(), torch.ones(3, 100).bool()
    >>> tuple(model.forecast_patches(values, observed, inside).values.shape)
    (3, 1, 7, 9, 32)
    """

    Config = GPHTConfig

    def __init__(self, config: GPHTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_length = config.patch_length
        self.quantile_levels = config.quantile_levels
        self.horizon = config.n_output_patches * config.patch_length
        self.normalize = TOKEN_NORMS[config.normalization]()
        self.stages = nn.ModuleList(
            Stage(
                config.patch_length,
                pool,
                config.d_model,
                config.n_heads,
                config.d_ff,
                n_layers=config.n_layers,
                pooling=config.pooling,
                is_linear=config.embedding == "linear",
                norm_first=config.norm_first,
                bias=config.bias,
                dropout=config.dropout,
            )
            for pool in config.pools
        )
        d_out = self.horizon * max(1, len(config.quantile_levels))
        self.heads = nn.ModuleList(nn.Linear(config.d_model, d_out) for _ in config.pools)

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights anew; projections into the residual stream start at zero."""
        draw_weights(self, generator, zero=INTO_RESIDUAL if self.config.norm_first else ())

    def encode(self, values: Values, observed: Observed, inside: Inside) -> Tokens:
        """Return one token per patch: the sum over the stages, as the forecast is one."""
        window = to_patches(values, observed, inside, self.patch_length)
        return torch.stack(self._read(window, None).tokens).sum(0)

    def forecast_patches(self, values: Values, observed: Observed, inside: Inside) -> PatchForecast:
        """Return, for every patch, the following `n_output_patches` patches.

        A patch with no observed value (a gap, or a future step) is read as "nothing known", so
        appending unobserved steps asks for forecasts farther ahead in the same pass.
        """
        window = to_patches(values, observed, inside, self.patch_length)
        return self._forecast(self._read(window, None))

    def forecast_by_stage(
        self, values: Values, observed: Observed, inside: Inside
    ) -> Float[Tensor, "stage batch channel token quantile horizon"]:
        """Return what every stage adds to the normalised forecast of `forecast_patches`."""
        window = to_patches(values, observed, inside, self.patch_length)
        return torch.stack(self._read(window, None).outputs)

    def predict_next(self, values: Values, observed: Observed, inside: Inside) -> Values:
        """Return at the place of patch k the point forecast of patch k + 1, in input units."""
        forecast = self.forecast_patches(values, observed, inside)
        return forecast.next_steps(self.patch_length)[:, -values.shape[1] :]

    def read(
        self,
        values: Values,
        observed: Observed,
        inside: Inside,
        state: HierarchyState | None = None,
    ) -> tuple[PatchForecast, HierarchyState]:
        """Read more steps (whole patches once a state is given); forecast from the last token.

        Only meaningful with causal statistics: whole-window ones would move earlier tokens.
        """
        if state is not None and values.shape[1] % self.patch_length:
            raise ConfigError(
                f"values must be whole patches of {self.patch_length} steps once a state is given, "
                f"got {values.shape[1]} steps; keep the rest for the next call"
            )
        window = to_patches(values, observed, inside, self.patch_length)
        reading = self._read(window, state)
        last = reading._replace(
            outputs=[output[:, :, -1:] for output in reading.outputs],
            statistics=reading.state.last,
        )
        return self._forecast(last), reading.state

    def _read(self, window: PatchedWindow, state: HierarchyState | None) -> Reading:
        now = self.normalize(window.values, window.observed, state and state.sums)
        # Padding knows nothing, yet whole-window statistics would give it a scale.
        now = now._replace(scale=torch.where(window.inside, now.scale, 0.0))
        before = of_token_before(now, state and state.last)
        moved = drift(now, before)
        residual = own = self._in_units(window, now)
        # In the units of the token before, in which it made its forecast of this patch.
        target = self._in_units(window, before)
        is_forecast = (before.scale > 0)[..., None] & window.observed
        places, attend = self._places(window, state)
        outputs, all_tokens, layers, all_said = [], [], [], []
        said = torch.zeros_like(own)
        for index, (stage, head) in enumerate(zip(self.stages, self.heads, strict=True)):
            past = None if state is None else state.layers[index]
            tokens, present = stage(residual, window.observed, moved, places, past)
            output = rearrange(
                head(tokens),
                "batch channel token (quantile horizon) -> batch channel token quantile horizon",
                horizon=self.horizon,
            )
            said = said + self._next_patch(output)
            first = torch.zeros_like(said[:, :, :1]) if state is None else state.said[index]
            said_before = torch.cat([first, said[:, :, :-1]], 2)
            residual = torch.where(is_forecast, target - said_before, own)
            outputs.append(output)
            all_tokens.append(tokens)
            layers.append(present)
            all_said.append(said[:, :, -1:])
        last = last_token(now)
        kept = HierarchyState(layers, attend, now.sums, last, all_said)
        return Reading(outputs, all_tokens, now, kept)

    def _places(
        self, window: PatchedWindow, state: HierarchyState | None
    ) -> tuple[Places, Bool[Tensor, "batch key"]]:
        attend = rearrange(window.inside, "batch channel token -> (batch channel) token")
        n_tokens = attend.shape[1]
        if state is not None:
            attend = torch.cat([state.attend, attend], -1)
        config = self.config
        is_rotary = config.positions == "rotary"
        sizes = (config.d_model, config.n_heads)
        return causal_places(attend, n_tokens, *sizes, is_rotary=is_rotary), attend

    def _in_units(self, window: PatchedWindow, of: Statistics) -> Patches:
        return in_units(window.values, window.observed, of, is_arcsinh=self.config.arcsinh)

    def _next_patch(
        self, forecast: Float[Tensor, "batch channel token quantile horizon"]
    ) -> Patches:
        """Return the median of the patch that comes next."""
        return forecast[..., forecast.shape[3] // 2, : self.patch_length]

    def _forecast(self, reading: Reading) -> PatchForecast:
        values = torch.stack(reading.outputs).sum(0)
        loc, scale, _ = reading.statistics
        return PatchForecast(values, loc, scale, self.config.arcsinh)
