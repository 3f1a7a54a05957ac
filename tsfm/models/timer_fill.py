"""Timer read from both sides: the same layers without the causal mask, for filling gaps.

Liu et al. (ICML 2024, arXiv 2402.02368) fill a segment from what came before it alone; the values
after a gap are there as well, and half of what is known. Departures from Timer, with the reason:

- Every token attends to every token.
- Location and scale are those of all visible values of the window.
- A step is given by the straight line between its visible neighbours, by whether it is visible
  itself, by the logarithms of its distances to both neighbours, and by what the season of the
  window would make of it, since a period is seldom a whole number of patches.
- The head, which starts at zero, says how far every step moves from that line toward the season,
  and corrects the result, so the model begins as linear interpolation and a constant series stays
  constant. The unit of a correction is by how much the line may miss there: long gaps miss by the
  deviation of the window, short ones by the size of a step or less.
"""

from typing import NamedTuple

import torch
from einops import rearrange, reduce, repeat
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from tsfm.models.backbone import BACKBONES, Filled
from tsfm.models.layers.block import Block
from tsfm.models.layers.feed_forward import ResidualMLP
from tsfm.models.layers.gaps import Bridged, bridge, roughness
from tsfm.models.layers.initial import INTO_RESIDUAL, draw_weights
from tsfm.models.layers.normalization import WindowNorm
from tsfm.models.layers.positions import rotary_angles
from tsfm.models.layers.season import Season, seasonal_bridge
from tsfm.models.sizes import DECILES, check_heads, check_levels
from tsfm.shapes import Float, Inside, Observed, Tensor, Tokens, Values

FEATURES_PER_STEP, SEASON_FEATURES = 5, 2
# Logarithms of distances come out near one.
DISTANCE_UNIT = 5.0


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TimerFillConfig:
    """Sizes of a `TimerFill`.

    Parameters
    ----------
    quantile_levels
        Levels that are filled, 0.5 in the middle.
    season
        Whether a step is also given by what the season of the window would make of it, toward which
        it can move.
    """

    patch_length: PositiveInt = 8
    d_model: PositiveInt = 128
    n_heads: PositiveInt = 4
    n_layers: PositiveInt = 4
    d_ff: PositiveInt = 512
    quantile_levels: tuple[float, ...] = DECILES
    season: bool = True
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "TimerFillConfig":
        check_heads(self.d_model, self.n_heads)
        check_levels(self.quantile_levels)
        return self


@BACKBONES.register("timer_fill")
class TimerFill(nn.Module):
    """Encoder over patches; every token corrects the line through the gaps of its own patch.

    Examples
    --------
    >>> model = TimerFill(TimerFillConfig(d_model=32, n_layers=1, d_ff=64))
    >>> model.reset_parameters(torch.Generator().manual_seed(0))
    >>> values, observed = torch.arange(20.0)[None, :, None], torch.ones(1, 20, 1).bool()
    >>> observed[0, 5:8] = False
    >>> filled = model.fill(values, observed, torch.ones(1, 20).bool())
    >>> filled.quantiles[0, 4, 5:8, 0].tolist()
    [5.0, 6.0, 7.0]
    """

    Config = TimerFillConfig

    def __init__(self, config: TimerFillConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_length = config.patch_length
        self.quantile_levels = config.quantile_levels
        self.statistics = WindowNorm()
        d_in = (FEATURES_PER_STEP + SEASON_FEATURES * config.season) * config.patch_length
        self.embedding = ResidualMLP(d_in, 2 * config.d_model, config.d_model)
        self.blocks = nn.ModuleList(
            Block(
                config.d_model,
                config.n_heads,
                config.d_ff,
                norm_first=True,
                bias=False,
                dropout=config.dropout,
            )
            for _ in range(config.n_layers)
        )
        self.norm = nn.LayerNorm(config.d_model, bias=False)
        d_out = config.patch_length * (len(config.quantile_levels) + config.season)
        self.head = ResidualMLP(config.d_model, 2 * config.d_model, d_out)
        self.dropout = nn.Dropout(config.dropout)

    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights anew; with a head at zero the model is linear interpolation."""
        zero = (*INTO_RESIDUAL, "head.skip.weight", "head.correction.weight")
        draw_weights(self, generator, zero=zero)

    def encode(self, values: Values, observed: Observed, inside: Inside) -> Tokens:
        """Return one token per patch; every one knows the whole window."""
        visible = observed & inside[..., None]
        return self._tokens(self._units(values, visible), visible, inside)

    def fill(self, values: Values, observed: Observed, inside: Inside) -> Filled:
        """Return the line through the gaps of every channel by itself, and its correction."""
        visible = observed & inside[..., None]
        units = self._units(values, visible)
        outputs = rearrange(
            self.head(self._tokens(units, visible, inside)),
            "batch channel token (output patch) -> batch output (token patch) channel",
            patch=self.patch_length,
        )[:, :, -values.shape[1] :]
        unit, n_levels = units.of_line(), len(self.quantile_levels)
        correction = outputs[:, :n_levels] * unit[:, None]
        if units.season is not None:
            toward = outputs[:, n_levels:]
            correction = correction + toward * (units.season.values - units.bridged.values)[:, None]
        return Filled(units.bridged.values, unit, correction)

    def _units(self, values: Values, visible: Observed) -> "_Units":
        everywhere = rearrange(values, "batch time channel -> batch channel 1 time")
        seen = rearrange(visible, "batch time channel -> batch channel 1 time")
        statistics = self.statistics(torch.where(seen, everywhere, 0.0), seen)
        bridged = bridge(values, visible)
        return _Units(
            bridged,
            seasonal_bridge(values, visible, bridged.values) if self.config.season else None,
            statistics.loc[..., 0],
            statistics.scale[..., 0],
            roughness(values, visible),
        )

    def _tokens(self, units: "_Units", visible: Observed, inside: Inside) -> Tokens:
        padding = -visible.shape[1] % self.patch_length
        features = F.pad(units.features(visible, inside), (0, 0, 0, 0, padding, 0))
        inside = F.pad(inside, (padding, 0))
        tokens = rearrange(
            features,
            "batch (token patch) channel feature -> (batch channel) token (patch feature)",
            patch=self.patch_length,
        )
        n_tokens, channels = tokens.shape[1], visible.shape[2]
        valid = reduce(inside, "batch (token patch) -> batch token", "any", token=n_tokens)
        valid = repeat(valid, "batch token -> (batch channel) 1 1 token", channel=channels)
        itself = torch.eye(n_tokens, dtype=torch.bool, device=tokens.device)
        position = torch.arange(n_tokens, device=tokens.device)
        angles = rotary_angles(position, self.config.d_model // self.config.n_heads)
        x = self.dropout(self.embedding(tokens))
        for block in self.blocks:
            x, _ = block(x, valid | itself, angles)
        return rearrange(
            self.norm(x), "(batch channel) token d -> batch channel token d", channel=channels
        )


class _Units(NamedTuple):
    """A bridged window, and what makes its values comparable with those of others."""

    bridged: Bridged
    season: Season | None
    loc: Float[Tensor, "batch channel"]
    scale: Float[Tensor, "batch channel"]
    rough: Float[Tensor, "batch channel"]

    def of_line(self) -> Values:
        """Return by how much the line may miss: steps along the line, at most the deviation."""
        before, after = self.bridged.before, self.bridged.after
        reach = (before * after).to(self.rough.dtype) / (before + after).clamp(min=1)
        return torch.minimum(self.rough[:, None] * reach, self.scale[:, None])

    def features(
        self, visible: Observed, inside: Inside
    ) -> Float[Tensor, "batch time channel feature"]:
        """Return level, step, visibility and both distances of every step; zero in padding."""
        line = self.bridged.values
        level = (line - self.loc[:, None]) / _or_one(self.scale)[:, None]
        step = torch.diff(line, dim=1, prepend=line[:, :1]) / _or_one(self.rough)[:, None]
        distances = [
            side.to(line.dtype).log1p() / DISTANCE_UNIT
            for side in (self.bridged.before, self.bridged.after)
        ]
        seen = visible.to(line.dtype)
        parts = [level.asinh(), step.asinh(), seen, *distances]
        if self.season is not None:
            by_season = (self.season.values - line) / _or_one(self.scale)[:, None]
            parts += [by_season.asinh(), self.season.strength[:, None].expand_as(line)]
        features = torch.stack(parts, -1)
        return torch.where(inside[..., None, None], features, 0.0)


def _or_one(size: Float[Tensor, "batch channel"]) -> Float[Tensor, "batch channel"]:
    return torch.where(size > 0, size, 1.0)
