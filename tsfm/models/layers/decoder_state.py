"""What a causal decoder knows after the tokens it has read, so that it can read on from there."""

from typing import NamedTuple

import torch
from einops import rearrange

from tsfm.models.layers.attention import KeyValue
from tsfm.models.layers.normalization import Statistics
from tsfm.models.layers.patching import PatchedWindow
from tsfm.models.layers.season_reader import SeasonUnits
from tsfm.shapes import Bool, Float, Float64, Tensor, Tokens


class DecoderState(NamedTuple):
    """What a decoder keeps of the tokens it has read: keys, values, statistics, validity.

    The steps themselves are kept only where seasons are looked for in them.
    """

    layers: list[KeyValue]
    attend: Bool[Tensor, "batch key"]
    sums: Float64[Tensor, "moment batch channel"]
    last: Statistics
    read: PatchedWindow | None = None


class Decoded(NamedTuple):
    """What a decoder makes of the tokens of a window."""

    tokens: Tokens
    statistics: Statistics
    seasons: SeasonUnits | None
    state: DecoderState

    def last(self) -> "Decoded":
        """Return the last token alone."""
        statistics = last_token(self.statistics)
        seasons = self.seasons and SeasonUnits(*(part[:, :, -1:] for part in self.seasons))
        return Decoded(self.tokens[:, :, -1:], statistics, seasons, self.state)


def last_token(statistics: Statistics) -> Statistics:
    """Return the statistics that the last token knows."""
    return Statistics(statistics.loc[..., -1:], statistics.scale[..., -1:], statistics.sums)


def joined(before: PatchedWindow, after: PatchedWindow) -> PatchedWindow:
    """Return both end to end."""
    return PatchedWindow(*(torch.cat(parts, 2) for parts in zip(before, after, strict=True)))


def in_steps(
    window: PatchedWindow,
) -> tuple[Float[Tensor, "batch channel time"], Bool[Tensor, "batch channel time"]]:
    """Return the values of a window step by step, and which are observed."""
    flat = "batch channel token patch -> batch channel (token patch)"
    return rearrange(window.values, flat), rearrange(window.observed, flat)
