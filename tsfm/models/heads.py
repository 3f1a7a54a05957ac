"""Heads: what a task puts on the tokens of any encoder. They are saved with the model, by name.

Every head is drawn at zero: it starts from the mean of what it predicts, and needs no generator.
"""

from dataclasses import asdict
from typing import Any, Literal, NamedTuple

import torch
from einops import rearrange, reduce
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from tsfm.errors import ConfigError
from tsfm.registry import Registry
from tsfm.series.sample_form import SampleForm
from tsfm.shapes import Bool, Float, Inside, Tensor, Values

HEADS: Registry[Any] = Registry("head")


class TokenSizes(NamedTuple):
    """What a head must know of the tokens that an encoder makes.

    `n_channels` is the number of channels in one token: 1 when every channel has its own.
    """

    d_model: int
    patch_length: int
    n_channels: int

    @staticmethod
    def of(encoder: Any) -> "TokenSizes":
        """Return the sizes of an encoder, from its config.

        Examples
        --------
        >>> from tsfm.models.tst import Tst, TstConfig
        >>> TokenSizes.of(Tst(TstConfig(n_channels=3, context_length=20)))
        TokenSizes(d_model=128, patch_length=1, n_channels=3)
        """
        config = encoder.config
        patch_length = getattr(config, "patch_length", 1)
        return TokenSizes(config.d_model, patch_length, getattr(config, "n_channels", 1))


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ReconstructionHeadConfig:
    """Sizes of a `ReconstructionHead`; see `TokenSizes`.

    Parameters
    ----------
    scaling
        How values come to the encoder: ``"none"``: as they are given; ``"window"``: by mean and
        deviation of what is observed of their channel in the window.
    """

    d_model: PositiveInt
    patch_length: PositiveInt = 1
    n_channels: PositiveInt = 1
    scaling: Literal["none", "window"] = "none"


@HEADS.register("reconstruction")
class ReconstructionHead(nn.Module):
    """A linear map from every token to the values of its patch, of all the channels in it.

    Examples
    --------
    >>> head = ReconstructionHead(ReconstructionHeadConfig(d_model=8, patch_length=4))
    >>> tuple(head(torch.zeros(2, 3, 5, 8), time=18).shape)
    (2, 18, 3)
    """

    Config = ReconstructionHeadConfig

    def __init__(self, config: ReconstructionHeadConfig) -> None:
        super().__init__()
        self.config = config
        self.linear = _zero(nn.Linear(config.d_model, config.n_channels * config.patch_length))

    @staticmethod
    def on(encoder: Any, **options: Any) -> "ReconstructionHead":
        """Return a head for the tokens of `encoder`; see `ReconstructionHeadConfig`."""
        sizes = TokenSizes.of(encoder)._asdict()
        return ReconstructionHead(ReconstructionHeadConfig(**sizes, **options))

    def forward(self, tokens: Float[Tensor, "batch group token d_model"], time: int) -> Values:
        """Return the last `time` steps of what the tokens stand for."""
        joined = rearrange(
            self.linear(tokens),
            "batch group token (channel patch) -> batch (token patch) (group channel)",
            patch=self.config.patch_length,
        )
        return joined[:, -time:]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SeriesHeadConfig:
    """Sizes of a head on a whole series, and the form and scale of what it was trained on.

    Parameters
    ----------
    n_groups
        Tokens per patch: 1 for an encoder that mixes channels, else the number of channels.
    n_tokens
        Tokens of the longest series; a longer one counts with its last tokens.
    pooling
        ``"concat"``: all tokens side by side, as published; ``"mean"``: their mean.
    loc, scale
        Of every input channel, subtracted and divided before the encoder.
    form
        What is done to a series before that; the channels it appends are input channels.
    """

    d_model: PositiveInt
    patch_length: PositiveInt = 1
    n_groups: PositiveInt = 1
    n_tokens: PositiveInt
    pooling: Literal["concat", "mean"] = "concat"
    loc: tuple[float, ...]
    scale: tuple[float, ...]
    form: SampleForm = SampleForm()

    @property
    def d_in(self) -> int:
        """Width of what the linear map reads."""
        return self.n_groups * self.d_model * (self.n_tokens if self.pooling == "concat" else 1)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ClassHeadConfig(SeriesHeadConfig):
    """Options of a `ClassHead`: the labels that it tells apart, in the order of its outputs."""

    classes: tuple[str | bool | int | float, ...]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ValueHeadConfig(SeriesHeadConfig):
    """Options of a `ValueHead`: location and scale of its target, which is learned standardised."""

    target_loc: float = 0.0
    target_scale: float = 1.0


class SeriesHead(nn.Module):
    """One linear map on all tokens of a series, padding being zero (section 3.2 of the paper)."""

    def __init__(self, config: SeriesHeadConfig, n_outputs: int) -> None:
        super().__init__()
        self.config: Any = config
        self.linear = _zero(nn.Linear(config.d_in, n_outputs))

    def forward(
        self, tokens: Float[Tensor, "batch group token d_model"], inside: Inside
    ) -> Float[Tensor, "batch output"]:
        """Return one row per series; `inside` is that of the steps."""
        config = self.config
        valid = token_inside(inside, tokens.shape[2], config.patch_length)
        valid = rearrange(valid, "batch token -> batch 1 token 1")
        tokens = torch.where(valid, tokens, 0.0)
        if config.pooling == "mean":
            count = valid.sum(2).clamp(min=1)
            pooled = reduce(tokens, "batch group token d -> batch group d", "sum") / count
            return self.linear(rearrange(pooled, "batch group d -> batch (group d)"))
        tokens = F.pad(tokens, (0, 0, config.n_tokens - tokens.shape[2], 0))
        return self.linear(rearrange(tokens, "batch group token d -> batch (group token d)"))


@HEADS.register("class")
class ClassHead(SeriesHead):
    """Logits of the classes of a series."""

    Config = ClassHeadConfig

    def __init__(self, config: ClassHeadConfig) -> None:
        super().__init__(config, len(config.classes))


@HEADS.register("value")
class ValueHead(SeriesHead):
    """One number per series, in units of the target's scale."""

    Config = ValueHeadConfig

    def __init__(self, config: ValueHeadConfig) -> None:
        super().__init__(config, 1)


def series_sizes(backbone: Any, n_channels: int, longest: int) -> dict[str, int]:
    """Return the sizes of a `SeriesHead` for series of `n_channels` and at most `longest` steps.

    A backbone that cannot read so many steps reads the last ones.
    """
    sizes, config = TokenSizes.of(backbone), backbone.config
    longest = min(longest, getattr(config, "context_length", longest))
    return {
        "d_model": sizes.d_model,
        "patch_length": sizes.patch_length,
        "n_groups": 1 if hasattr(config, "n_channels") else n_channels,
        "n_tokens": -(-longest // sizes.patch_length),
    }


def token_inside(inside: Inside, n_tokens: int, patch_length: int) -> Bool[Tensor, "batch token"]:
    """Say which tokens have a step inside; windows end with their last patch."""
    padded = F.pad(inside, (n_tokens * patch_length - inside.shape[1], 0))
    return reduce(padded, "batch (token patch) -> batch token", "any", patch=patch_length)


def describe(head: nn.Module) -> dict[str, Any]:
    """Return what a checkpoint must say to build `head` again.

    Raises
    ------
    ConfigError
        When the head is of a class that is not registered.
    """
    kinds = [name for name in HEADS if HEADS[name] is type(head)]
    if not kinds:
        raise ConfigError(
            f"a head that is saved must be one of {list(HEADS)}, got {type(head).__name__}; "
            "register its class with HEADS.register"
        )
    config: Any = head.config
    return {"kind": kinds[0], "config": asdict(config)}


def _zero(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
