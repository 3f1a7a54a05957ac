"""Timer: a decoder-only transformer over patches of one series, trained on the next patch.

Liu et al., "Timer: Generative Pre-trained Transformers Are Large Time Series Models", ICML 2024
(arXiv 2402.02368), section 3. Names here and there: `patch_length` is S, `d_model` is D,
`n_layers` is L.

Departures, each a config word, with the published setting named:

- `normalization="causal"`: running statistics per token; ``"window"`` is as released.
- `positions="rotary"`: relative, so left padding does not matter; ``"sinusoidal"`` as published.
- `norm_first=True`; ``False`` as published.
- `embedding="residual"` also sees which values are missing and how the scale moved; ``"linear"``
  as published, where a missing value is a zero.
- `n_output_patches` and `quantile_levels`: several patches ahead, with quantiles; published is one
  patch and a point.
- `gated`: a third matrix in the feed-forward networks, as the 84 M successor has; published is
  without.
- `arcsinh`: heavy tails are compressed after scaling; published is without.
- `seasons`: every token is told what past seasons had at the steps that it forecasts; published is
  without.
"""

from typing import Literal

import torch
from einops import rearrange
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.errors import ConfigError
from tsfm.models.backbone import BACKBONES, PatchForecast
from tsfm.models.layers.block import Block
from tsfm.models.layers.decoder_state import Decoded, DecoderState, in_steps, joined, last_token
from tsfm.models.layers.feed_forward import ResidualMLP
from tsfm.models.layers.initial import INTO_RESIDUAL, draw_weights
from tsfm.models.layers.normalization import TOKEN_NORMS, Statistics
from tsfm.models.layers.patching import PatchedWindow, to_patches
from tsfm.models.layers.places import causal_places
from tsfm.models.layers.season_reader import SeasonReader
from tsfm.models.layers.units import drift, in_units, of_token_before
from tsfm.models.sizes import DECILES, check_heads, check_levels
from tsfm.shapes import Float, Inside, Observed, Tensor, Tokens, Values


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TimerConfig:
    """Sizes and variants of a `Timer`; see the module docstring for the published ones.

    Parameters
    ----------
    quantile_levels
        Levels of the quantile head, 0.5 in the middle, since the median is the point forecast;
        empty for a point model trained on squared error.
    """

    patch_length: PositiveInt = 16
    d_model: PositiveInt = 128
    n_heads: PositiveInt = 4
    n_layers: PositiveInt = 4
    d_ff: PositiveInt = 512
    n_output_patches: int = 1
    quantile_levels: tuple[float, ...] = DECILES
    normalization: Literal["causal", "window"] = "causal"
    positions: Literal["rotary", "sinusoidal"] = "rotary"
    embedding: Literal["residual", "linear"] = "residual"
    norm_first: bool = True
    bias: bool = False
    gated: bool = False
    arcsinh: bool = True
    seasons: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "TimerConfig":
        check_heads(self.d_model, self.n_heads)
        if not 1 <= self.n_output_patches <= 8:
            raise ValueError(f"n_output_patches must be 1 to 8, got {self.n_output_patches}")
        if self.quantile_levels:
            check_levels(self.quantile_levels)
        return self


@BACKBONES.register("timer")
class Timer(nn.Module):
    """Causal decoder over patches; every token forecasts the patches after it.

    Examples
    --------
    >>> model = Timer(TimerConfig(d_model=32, n_layers=1, d_ff=64, n_output_patches=2))
    >>> values = torch.randn(3, 100, 1)
    >>> observed, inside = torch.ones(3, 100, 1).bool(), torch.ones(3, 100).bool()
    >>> tuple(model.forecast_patches(values, observed, inside).values.shape)
    (3, 1, 7, 9, 32)
    """

    Config = TimerConfig

    def __init__(self, config: TimerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_length = config.patch_length
        self.quantile_levels = config.quantile_levels
        self.horizon = config.n_output_patches * config.patch_length
        self.normalize = TOKEN_NORMS[config.normalization]()
        if config.embedding == "linear":
            self.embedding: nn.Module = nn.Linear(config.patch_length, config.d_model, bias=False)
        else:
            d_in = 2 * config.patch_length + 2
            self.embedding = ResidualMLP(d_in, 2 * config.d_model, config.d_model)
        self.blocks = nn.ModuleList(
            Block(
                config.d_model,
                config.n_heads,
                config.d_ff,
                norm_first=config.norm_first,
                bias=config.bias,
                dropout=config.dropout,
                gated=config.gated,
            )
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.d_model, bias=config.bias)
        d_out = self.horizon * max(1, len(config.quantile_levels))
        if config.embedding == "linear":
            self.head: nn.Module = nn.Linear(config.d_model, d_out)
        else:
            self.head = ResidualMLP(config.d_model, 2 * config.d_model, d_out)
        self.season = None
        if config.seasons:
            self.season = SeasonReader(
                patch_length=config.patch_length,
                horizon=self.horizon,
                d_model=config.d_model,
                levels=config.quantile_levels or (0.5,),
            )
        self.dropout = nn.Dropout(config.dropout)

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights anew; projections into the residual stream start at zero."""
        draw_weights(self, generator, zero=INTO_RESIDUAL if self.config.norm_first else ())
        if self.season is not None:
            self.season.ignore()

    def encode(
        self, values: Values, observed: Observed, inside: Inside, n_layers: int | None = None
    ) -> Tokens:
        """Return the tokens after the last layer, or after so many, one per patch."""
        window = to_patches(values, observed, inside, self.patch_length)
        return self._decode(window, None, n_layers=n_layers).tokens

    def forecast_patches(self, values: Values, observed: Observed, inside: Inside) -> PatchForecast:
        """Return, for every patch, the following `n_output_patches` patches.

        A patch with no observed value (a gap, or a future step) is read as "nothing known", so
        appending unobserved steps asks for forecasts farther ahead in the same pass.
        """
        window = to_patches(values, observed, inside, self.patch_length)
        return self._forecast(self._decode(window, None))

    def predict_next(self, values: Values, observed: Observed, inside: Inside) -> Values:
        """Return at the place of patch k the point forecast of patch k + 1, in input units."""
        forecast = self.forecast_patches(values, observed, inside)
        return forecast.next_steps(self.patch_length)[:, -values.shape[1] :]

    def read(
        self,
        values: Values,
        observed: Observed,
        inside: Inside,
        state: DecoderState | None = None,
    ) -> tuple[PatchForecast, DecoderState]:
        """Read more steps (whole patches once a state is given); forecast from the last token.

        Only meaningful with causal statistics: whole-window ones would move earlier tokens.
        """
        if state is not None and values.shape[1] % self.patch_length:
            raise ConfigError(
                f"values must be whole patches of {self.patch_length} steps once a state is given, "
                f"got {values.shape[1]} steps; keep the rest for the next call"
            )
        window = to_patches(values, observed, inside, self.patch_length)
        decoded = self._decode(window, state)
        return self._forecast(decoded.last()), decoded.state

    def _decode(
        self,
        window: PatchedWindow,
        state: DecoderState | None,
        beside: Tokens | None = None,
        n_layers: int | None = None,
    ) -> Decoded:
        batch, _, n_tokens, _ = window.values.shape
        statistics = self.normalize(window.values, window.observed, state and state.sums)
        embedded = self.embedding(self._features(window, statistics, state))
        if beside is not None:
            embedded = embedded + beside
        read, seasons = None, None
        if self.season is not None:
            read = window if state is None or state.read is None else joined(state.read, window)
            seasons = self.season.look_back(
                *in_steps(read), statistics, is_arcsinh=self.config.arcsinh
            )
            embedded = embedded + self.season.embed(seasons)
        x = rearrange(embedded, "batch channel token d -> (batch channel) token d")
        valid = rearrange(window.inside, "batch channel token -> (batch channel) token")
        attend = valid if state is None else torch.cat([state.attend, valid], -1)
        places = causal_places(
            attend,
            n_tokens,
            self.config.d_model,
            self.config.n_heads,
            is_rotary=self.config.positions == "rotary",
        )
        x = self.dropout(x if places.code is None else x + places.code)
        layers = []
        for index, block in enumerate(list(self.blocks)[:n_layers]):
            past = state.layers[index] if state else None
            x, present = block(x, places.attend, places.angles, past)
            layers.append(present)
        tokens = rearrange(
            self.norm(x), "(batch channel) token d -> batch channel token d", batch=batch
        )
        last = last_token(statistics)
        state = DecoderState(layers, attend, statistics.sums, last, read)
        return Decoded(tokens, statistics, seasons, state)

    def _features(
        self, window: PatchedWindow, statistics: Statistics, state: DecoderState | None
    ) -> Float[Tensor, "batch channel token feature"]:
        values = in_units(
            window.values, window.observed, statistics, is_arcsinh=self.config.arcsinh
        )
        if self.config.embedding == "linear":
            return values
        moved = drift(statistics, of_token_before(statistics, state and state.last))
        return torch.cat([values, window.observed.to(values.dtype), moved], -1)

    def _forecast(self, decoded: Decoded) -> PatchForecast:
        values = rearrange(
            self.head(decoded.tokens),
            "batch channel token (quantile horizon) -> batch channel token quantile horizon",
            horizon=self.horizon,
        )
        if self.season is not None and decoded.seasons is not None:
            values = self.season.move(values, decoded.tokens, decoded.seasons)
        statistics = decoded.statistics
        return PatchForecast(values, statistics.loc, statistics.scale, self.config.arcsinh)
