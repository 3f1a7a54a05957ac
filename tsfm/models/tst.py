"""TST: a bidirectional encoder over time steps, all channels of a step in one token.

Zerveas et al., "A Transformer-based Framework for Multivariate Time Series Representation
Learning", KDD 2021 (arXiv 2010.02803), section 3. Names here and there: `n_channels` is m,
`context_length` is w (the longest sample), `d_model` is d. It learns by filling short runs that
are hidden from every channel by itself (`tsfm.objectives.masked_values`); heads for classes and
values are in `tsfm.models.heads`. Values must be standardised before they come here.

Notable: blocks normalise after the residual sum, by the moments of a batch (batch normalisation)
in place of those of a token; the paper finds that outliers in time series are better borne so.

Departures, each but the last three a config word, with the published setting named:

- `missing="learned"`: what is missing or hidden is marked; ``"zero"`` as published, where it looks
  like the mean of its channel.
- `patch_length=1` is as published; longer patches make fewer tokens of long samples.
- `kernel_length=1` is as published; a longer one lets a token see its neighbours' values, which the
  paper names as an alternative (a one-dimensional convolution, section 3.1).
- `attention_dropout=None` is as published, weights of attention being dropped like all else; 0
  halves the time of a step.
- `positions="learned"` is as published: drawn so small that steps are told apart late, if at all;
  ``"sinusoidal"`` starts from sines as large as the tokens, and learns from there.
- `norm="batch"` as published; ``"layer"`` is the variant it is compared with.
- Steps of padding are no part of the moments of a batch; in the release they are.
- Positions count from the end of a window, since windows are right-aligned; for samples of one
  length this is the same.
- Every block is drawn by itself; in the release all are copies of the first.
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
from tsfm.models.layers.feed_forward import FeedForward
from tsfm.models.layers.patching import to_patches
from tsfm.models.layers.positions import sinusoidal_code
from tsfm.shapes import Bool, Float, Inside, Observed, Patches, Tensor, Values

LARGEST_POSITION = 0.02


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TstConfig:
    """Sizes and variants of a `Tst`; the defaults of the sizes are the published ones.

    Parameters
    ----------
    n_channels
        Values per step.
    context_length
        The longest window, in steps; a shorter one is right-aligned.
    kernel_length
        Steps that are read for every step of a token: itself and as many on either side.
    positions
        Where the positions start, see above.
    attention_dropout
        Share of attention weights dropped in training; None stands for `dropout`.
    """

    n_channels: PositiveInt
    context_length: PositiveInt
    patch_length: PositiveInt = 1
    kernel_length: PositiveInt = 1
    d_model: PositiveInt = 128
    n_heads: PositiveInt = 16
    n_layers: PositiveInt = 3
    d_ff: PositiveInt = 256
    norm: Literal["batch", "layer"] = "batch"
    positions: Literal["learned", "sinusoidal"] = "learned"
    missing: Literal["learned", "zero"] = "learned"
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float | None = Field(default=None, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> "TstConfig":
        if self.d_model % self.n_heads:
            raise ValueError(
                f"d_model must be a multiple of n_heads, got d_model={self.d_model} and "
                f"n_heads={self.n_heads}"
            )
        if self.kernel_length % 2 == 0:
            raise ValueError(
                f"kernel_length must be odd, as many steps on either side, got {self.kernel_length}"
            )
        return self

    @property
    def n_tokens(self) -> int:
        """Tokens of the longest window."""
        return -(-self.context_length // self.patch_length)


@BACKBONES.register("tst")
class Tst(nn.Module):
    """Encoder over time steps; every token sees all others of its window.

    Examples
    --------
    >>> config = TstConfig(n_channels=6, context_length=100, d_model=32, n_heads=4, n_layers=1)
    >>> values = torch.randn(3, 80, 6)
    >>> observed, inside = torch.ones(3, 80, 6).bool(), torch.ones(3, 80).bool()
    >>> tuple(Tst(config).encode(values, observed, inside).shape)
    (3, 1, 80, 32)
    """

    Config = TstConfig

    def __init__(self, config: TstConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_length = config.patch_length
        d_in = config.n_channels * (config.patch_length + config.kernel_length - 1)
        self.embedding = nn.Linear(d_in, config.d_model)
        self.missing: nn.Module | None = None
        if config.missing == "learned":
            self.missing = nn.Linear(d_in, config.d_model, bias=False)
        self.positions = nn.Parameter(torch.zeros(config.n_tokens, config.d_model))
        self.blocks = nn.ModuleList(StepBlock(config) for _ in range(config.n_layers))
        self.dropout = nn.Dropout(config.dropout)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator) -> None:
        """Draw all weights anew, matrices with the variance of torch's own linear layers."""
        for name, parameter in self.named_parameters():
            if name == "positions" and self.config.positions == "sinusoidal":
                code = sinusoidal_code(torch.arange(len(parameter)), self.config.d_model)
                parameter.copy_(code * self.config.d_model**0.5)
            elif name == "positions":
                parameter.uniform_(-LARGEST_POSITION, LARGEST_POSITION, generator=generator)
            elif parameter.ndim == 1:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            else:
                std = (3 * parameter.shape[1]) ** -0.5
                parameter.normal_(0.0, std, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.reset_running_stats()

    def encode(
        self, values: Values, observed: Observed, inside: Inside
    ) -> Float[Tensor, "batch 1 token d_model"]:
        """Return one token per step (or patch), in a single channel; zeros for padding.

        What is not observed has no influence, whatever number sits there; its step is attended
        to all the same. Steps that are not inside are attended to by none.

        Raises
        ------
        ConfigError
            When the windows are longer, or have other channels, than the backbone is made for.
        """
        _, time, n_channels = values.shape
        if n_channels != self.config.n_channels or time > self.config.context_length:
            raise ConfigError(
                f"windows must have n_channels={self.config.n_channels} and at most "
                f"context_length={self.config.context_length} steps, got {n_channels} channels and "
                f"{time} steps; change model.config or the data"
            )
        window = to_patches(values, observed, inside, self.patch_length)
        valid = window.inside[:, 0]
        x = self.embedding(self._seen(window.values))
        if self.missing is not None:
            x = x + self.missing(1 - self._seen(window.observed.to(x.dtype)))
        n_tokens = valid.shape[1]
        x = x * self.config.d_model**0.5 + self.positions[self.config.n_tokens - n_tokens :]
        x = self.dropout(x)
        # Most batches have no padding, and are read in half the time without a mask.
        padded = None if bool(valid.all()) else valid
        for block in self.blocks:
            x = block(x, padded)
        x = torch.where(valid[..., None], self.dropout(F.gelu(x)), 0.0)
        return rearrange(x, "batch token d -> batch 1 token d")

    def _seen(self, patches: Patches) -> Float[Tensor, "batch token d_in"]:
        """Return what every token reads: its own steps and its neighbours', zero past the ends."""
        beside = (self.config.kernel_length - 1) // 2
        if beside:
            steps = rearrange(patches, "batch channel token patch -> batch channel (token patch)")
            span = self.patch_length + 2 * beside
            patches = F.pad(steps, (beside, beside)).unfold(-1, span, self.patch_length)
        return rearrange(patches, "batch channel token patch -> batch token (channel patch)")


class StepBlock(nn.Module):
    """Attention, then a feed-forward network, each normalised after its residual sum."""

    def __init__(self, config: TstConfig) -> None:
        super().__init__()
        d_model, dropout = config.d_model, config.dropout
        dropped = dropout if config.attention_dropout is None else config.attention_dropout
        self.attention = SelfAttention(d_model, config.n_heads, bias=True, dropout=dropped)
        self.feed_forward = FeedForward(d_model, config.d_ff, bias=True, dropout=dropout)
        norm = TokenBatchNorm if config.norm == "batch" else TokenLayerNorm
        self.attention_norm, self.feed_forward_norm = norm(d_model), norm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "batch token d_model"],
        valid: Bool[Tensor, "batch token"] | None,
    ) -> Float[Tensor, "batch token d_model"]:
        """Return the tokens of the next layer; `valid` says which are no padding, None all."""
        attend = None
        if valid is not None:
            itself = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
            attend = rearrange(valid, "batch key -> batch 1 1 key") | itself
        mixed, _ = self.attention(x, attend)
        x = self.attention_norm(x + self.dropout(mixed), valid)
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)), valid)


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the tokens that are no padding, which become zero.

    In training the result of a row depends on the other rows of its batch; afterwards not. A
    batch of a single token has no moments, and is normalised by the running ones.
    """

    def forward(  # type: ignore[override] # also which tokens count
        self, x: Float[Tensor, "batch token d_model"], valid: Bool[Tensor, "batch token"] | None
    ) -> Float[Tensor, "batch token d_model"]:
        """Return normalised tokens."""
        tokens = rearrange(x, "batch token d -> (batch token) d") if valid is None else x[valid]
        if self.training and len(tokens) > 1:
            normalized = super().forward(tokens)
        else:
            normalized = F.batch_norm(
                tokens, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if valid is None:
            return normalized.reshape(x.shape)
        return torch.zeros_like(x).masked_scatter(valid[..., None], normalized)


class TokenLayerNorm(nn.LayerNorm):
    """Layer normalisation, for which padding does not matter."""

    def forward(  # type: ignore[override] # the same call as for `TokenBatchNorm`
        self, x: Float[Tensor, "batch token d_model"], _valid: Bool[Tensor, "batch token"] | None
    ) -> Float[Tensor, "batch token d_model"]:
        """Return normalised tokens."""
        return super().forward(x)
