"""Lets the tokens of a decoder read their season, and move their forecasts toward it."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import nn

from tsfm.models.layers.feed_forward import ResidualMLP
from tsfm.models.layers.normalization import Statistics
from tsfm.models.layers.token_seasons import token_seasons
from tsfm.models.layers.units import in_units
from tsfm.shapes import Bool, Float, Tensor, Tokens

FEATURES_PER_STEP, FEATURES_PER_TOKEN = 3, 3
# Logarithms of periods come out near one.
PERIOD_UNIT = 5.0


class SeasonUnits(NamedTuple):
    """`TokenSeasons` in the units of the tokens; `available` is 0 or 1."""

    mean: Float[Tensor, "batch channel token horizon"]
    latest: Float[Tensor, "batch channel token horizon"]
    deviation: Float[Tensor, "batch channel token horizon"]
    available: Float[Tensor, "batch channel token 1"]
    share: Float[Tensor, "batch channel token 1"]
    period: Float[Tensor, "batch channel token 1"]


class SeasonReader(nn.Module):
    """Lets tokens know the season of what they forecast, and move their forecast toward it.

    At first neither has an effect.
    """

    def __init__(
        self, *, patch_length: int, horizon: int, d_model: int, levels: Sequence[float]
    ) -> None:
        super().__init__()
        self.patch_length, self.horizon, self.levels = patch_length, horizon, tuple(levels)
        d_in = FEATURES_PER_STEP * horizon + FEATURES_PER_TOKEN
        self.embedding = ResidualMLP(d_in, 2 * d_model, d_model)
        self.toward = nn.Linear(d_model, 2 * horizon + len(self.levels))
        self.ignore()

    @torch.no_grad()
    def ignore(self) -> None:
        """Start without any effect; the first quantiles of a season are those of normal errors."""
        for layer in (self.embedding.skip, self.embedding.correction, self.toward):
            for parameter in layer.parameters():
                parameter.zero_()
        normal = [NormalDist().inv_cdf(level) for level in self.levels]
        self.toward.bias[2 * self.horizon :] = torch.tensor(normal)

    def look_back(
        self,
        values: Float[Tensor, "batch channel time"],
        observed: Bool[Tensor, "batch channel time"],
        statistics: Statistics,
        *,
        is_arcsinh: bool,
    ) -> SeasonUnits:
        """Find the seasons of the last tokens, as many as there are statistics."""
        found = token_seasons(
            values, observed, patch_length=self.patch_length, horizon=self.horizon
        )
        n_tokens = statistics.loc.shape[2]
        mean, latest, deviation, share, period = (part[:, :, -n_tokens:] for part in found)
        available = ((share > 0) & (statistics.scale > 0))[..., None]
        upper, lower, mean, latest = (
            in_units(part, available.expand_as(part), statistics, is_arcsinh=is_arcsinh)
            for part in (mean + deviation, mean - deviation, mean, latest)
        )
        is_there = available.to(mean.dtype)
        return SeasonUnits(
            mean,
            latest,
            (upper - lower) / 2,
            is_there,
            is_there * share[..., None],
            is_there * period[..., None].clamp(min=1).to(mean.dtype).log() / PERIOD_UNIT,
        )

    def embed(self, seasons: SeasonUnits) -> Tokens:
        """Return what is added to the embedding of every token."""
        embedded: Tokens = self.embedding(torch.cat(seasons, -1))
        return seasons.available * embedded

    def move(
        self,
        forecast: Float[Tensor, "batch channel token quantile horizon"],
        tokens: Tokens,
        seasons: SeasonUnits,
    ) -> Float[Tensor, "batch channel token quantile horizon"]:
        """Move the forecast of every step toward its mean season and the latest one.

        Quantiles of the mean season lie a multiple of its deviation away, which the token says.
        """
        of_mean, of_latest, by_level = self.toward(tokens).split(
            [self.horizon, self.horizon, len(self.levels)], -1
        )
        of_mean, of_latest = seasons.available * of_mean, seasons.available * of_latest
        # forecast + of_mean * (season - forecast) + of_latest * (latest - forecast), sorted so that
        # little is computed for every quantile.
        kept = 1 - of_mean - of_latest
        middle = of_mean * seasons.mean + of_latest * seasons.latest
        width = of_mean * seasons.deviation
        added = torch.addcmul(middle[..., None, :], by_level[..., None], width[..., None, :])
        return torch.addcmul(added, forecast, kept[..., None, :])
