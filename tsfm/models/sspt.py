"""SSPT: a small bidirectional transformer over the days of one stock.

Wang, Ma and Cohen, "Pre-training Time Series Models with Stock Data Customization", KDD 2025
(arXiv 2506.16746). Names here and there: `context_length` is L; the first block is their feature
extractor, the second their predictor. A window of daily features becomes one token per day; heads
for stock code, sector, moving average and return belong to the objectives (`tsfm.stocks`).

Departures, each a config word, with the released setting named:

- `layer_norm=True`: blocks normalise their inputs; ``False`` as released, where nothing does.
- `missing="learned"`: what is missing or hidden is marked; ``"zero"`` as released, where it looks
  like a price of zero.
- `position_std=0.02`: learned positions start small; ``1.0`` as released, where they start larger
  than the features.

References
----------
Section 3 of the paper; the sizes are those of its code: with 25 features and 32 days the trunk and
a linear head have 403,073 weights.
"""

from typing import Literal

import torch
from einops import rearrange
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from tsfm.errors import ConfigError
from tsfm.models.backbone import BACKBONES
from tsfm.models.layers.attention import SelfAttention
from tsfm.shapes import Bool, Float, Inside, Observed, Tensor, Values


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SsptConfig:
    """Sizes and variants of an `Sspt`; the sizes are the published ones.

    Parameters
    ----------
    n_channels
        Features per day.
    context_length
        The longest window, in days; a shorter one is right-aligned.
    """

    n_channels: PositiveInt = 5
    context_length: PositiveInt = 32
    d_model: PositiveInt = 128
    n_heads: PositiveInt = 4
    n_layers: PositiveInt = 2
    d_ff: PositiveInt = 512
    layer_norm: bool = True
    missing: Literal["learned", "zero"] = "learned"
    position_std: float = Field(default=0.02, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "SsptConfig":
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model must be a multiple of n_heads, got d_model={self.d_model} and "
                f"n_heads={self.n_heads}"
            )
        return self


@BACKBONES.register("sspt")
class Sspt(nn.Module):
    """Encoder over days; all features of a day make one token.

    Examples
    --------
    >>> model = Sspt(SsptConfig(n_channels=5, context_length=16, d_model=32, d_ff=64))
    >>> values = torch.randn(3, 16, 5)
    >>> observed, inside = torch.ones(3, 16, 5).bool(), torch.ones(3, 16).bool()
    >>> tuple(model.encode(values, observed, inside).shape)
    (3, 1, 16, 32)
    """

    Config = SsptConfig

    def __init__(self, config: SsptConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Linear(config.n_channels, config.d_model)
        if config.missing == "learned":
            self.missing: nn.Module | None = nn.Linear(
                config.n_channels, config.d_model, bias=False
            )
        else:
            self.missing = None
        self.positions = nn.Parameter(
            torch.randn(config.context_length, config.d_model) * config.position_std
        )
        self.blocks = nn.ModuleList(DayBlock(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model) if config.layer_norm else nn.Identity()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights anew, matrices with the variance of torch's own linear layers."""
        for name, parameter in self.named_parameters():
            if name == "positions":
                parameter.normal_(0.0, self.config.position_std, generator=generator)
            elif parameter.ndim == 1:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            else:
                std = (3 * parameter.shape[1]) ** -0.5
                parameter.normal_(0.0, std, generator=generator)

    def encode(
        self, values: Values, observed: Observed, inside: Inside
    ) -> Float[Tensor, "batch 1 time d_model"]:
        """Return one token per day, in a single channel.

        What is not observed has no influence, whatever number sits there; days that are not
        inside are attended to by none but themselves.

        Raises
        ------
        ConfigError
            When the windows are longer, or have other features, than the backbone is made for.
        """
        _, time, n_channels = values.shape
        if n_channels != self.config.n_channels or time > self.config.context_length:
            raise ConfigError(
                f"windows must have n_channels={self.config.n_channels} and at most "
                f"context_length={self.config.context_length} days, got {n_channels} channels and "
                f"{time} days; change model.config or the features"
            )
        observed = observed & inside[..., None]
        x = self.embedding(torch.where(observed, values, 0.0))
        if self.missing is not None:
            x = x + self.missing((inside[..., None] & ~observed).to(x.dtype))
        x = x + self.positions[self.config.context_length - time :]
        attend = None
        if not inside.all():  # a mask of full windows would cost a third of attention for nothing
            itself = torch.eye(time, dtype=torch.bool, device=inside.device)
            attend = rearrange(inside, "batch key -> batch 1 1 key") | itself
        for block in self.blocks:
            x = block(x, attend)
        return rearrange(self.norm(x), "batch token d -> batch 1 token d")


class DayBlock(nn.Module):
    """Attention, then two linear maps with a ReLU between; dropout on the two branches only."""

    def __init__(self, config: SsptConfig) -> None:
        super().__init__()
        d_model = config.d_model
        self.attention = SelfAttention(d_model, config.n_heads, bias=True, dropout=0.0)
        self.expand = nn.Linear(d_model, config.d_ff)
        self.contract = nn.Linear(config.d_ff, d_model)
        self.attention_norm = nn.LayerNorm(d_model) if config.layer_norm else nn.Identity()
        self.feed_forward_norm = nn.LayerNorm(d_model) if config.layer_norm else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Float[Tensor, "batch token d_model"],
        attend: Bool[Tensor, "batch 1 token key"] | None,
    ) -> Float[Tensor, "batch token d_model"]:
        """Return the tokens of the next layer; without `attend` all see all."""
        mixed, _ = self.attention(self.attention_norm(x), attend)
        x = x + self.dropout(mixed)
        hidden = F.relu(self.expand(self.feed_forward_norm(x)))
        return x + self.dropout(self.contract(hidden))
