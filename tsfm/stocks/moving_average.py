"""Moving average prediction: the mean price of the days that cannot be seen.

As released, 30 % of the cells of a window are zeroed, each column by itself, and the target is the
mean of the window's closes with their level left in: the last 30-day average, an input, answers it
with an R² of 0.9998. Here whole days are hidden, drawn anew at every step, together with every
average that they are part of; the target is their mean close relative to the last day, which is
never hidden.
"""

from typing import Any

import torch
from einops import rearrange, repeat
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.objectives.objective import OBJECTIVES, Loss
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Bool, Float, Inside, Tensor
from tsfm.stocks.objectives import HeadObjective


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class MovingAverageConfig:
    """Options of `MovingAverage`.

    Parameters
    ----------
    hidden_share
        Of the days of a window.
    spans
        Days that each feature is made of, as `FeatureConfig.spans` has them.
    close_channel
        Place of the close among the features.
    released
        The task as released: hidden cells, level left in.
    """

    hidden_share: float = Field(default=0.3, gt=0, lt=1)
    spans: tuple[int, ...] = (5, 10, 20, 30, 1)
    close_channel: int = -1
    released: bool = False


@OBJECTIVES.register("moving_average")
class MovingAverage(HeadObjective):
    """Squared error of the mean close, in the units of the features.

    The parts hold the errors of rivals that learn nothing: ``last_value_error`` of the last day's
    close, ``visible_mean_error`` of the mean of the closes that can be seen, and
    ``batch_mean_error`` of the mean target of the batch, to which an R² compares.
    """

    Config = MovingAverageConfig

    def __init__(self, config: MovingAverageConfig, backbone: Any) -> None:
        super().__init__(backbone, 1)
        self.config = config

    def forward(self, model: Any, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Return the mean over windows with a hidden close and a visible last one."""
        if batch.values.shape[-1] != len(self.config.spans):
            raise ConfigError(
                f"spans must name the days of every feature, got {len(self.config.spans)} for "
                f"{batch.values.shape[-1]} features; take FeatureConfig.spans"
            )
        closes = batch.values[..., self.config.close_channel]
        known = batch.observed[..., self.config.close_channel]
        if self.config.released:
            visible, asked, start = self._released(batch, known, generator)
        else:
            visible, asked = self._hidden_days(batch, known, generator)
            start = closes[:, -1]
        target = _mean(closes, asked) - start
        counted = asked.any(-1) & known[:, -1]
        count = int(counted.sum())
        usual = torch.where(counted, target, 0.0).sum() / max(count, 1)
        said = self.said(model, batch.values, visible, batch.inside)[:, 0]
        seen = visible[..., self.config.close_channel]
        guesses = {
            "last_value_error": closes[:, -1] - start,
            "visible_mean_error": _mean(closes, seen) - start,
            "batch_mean_error": usual.expand(len(target)),
        }

        def error(guess: Float[Tensor, " batch"]) -> Float[Tensor, ""]:
            squared = torch.where(counted, (guess - target).square(), 0.0)
            return squared.sum() / max(count, 1)

        return Loss(
            error(said), count, {name: error(guess).detach() for name, guess in guesses.items()}
        )

    def _hidden_days(
        self,
        batch: WindowBatch,
        known: Bool[Tensor, "batch time"],
        generator: torch.Generator,
    ) -> tuple[Bool[Tensor, "batch time channel"], Bool[Tensor, "batch time"]]:
        """Hide the same days in all columns, and the averages that they are part of."""
        days = torch.zeros_like(batch.inside)
        days[:, :-1] = batch.inside[:, :-1]  # the last day, to which all is relative, stays
        hidden = draw_hidden(days, self.config.hidden_share, generator)
        running = hidden.long().cumsum(-1)
        by_span = {}
        for span in set(self.config.spans):
            before = torch.zeros_like(running)
            before[:, span:] = running[:, :-span]
            by_span[span] = running > before
        touched = torch.stack([by_span[span] for span in self.config.spans], -1)
        return batch.observed & ~touched, hidden & known

    def _released(
        self,
        batch: WindowBatch,
        known: Bool[Tensor, "batch time"],
        generator: torch.Generator,
    ) -> tuple[
        Bool[Tensor, "batch time channel"], Bool[Tensor, "batch time"], Float[Tensor, " batch"]
    ]:
        n_columns = batch.values.shape[-1]
        rows = repeat(batch.inside, "batch time -> (batch column) time", column=n_columns)
        drawn = draw_hidden(rows, self.config.hidden_share, generator)
        hidden = rearrange(drawn, "(batch column) time -> batch time column", column=n_columns)
        return batch.observed & ~hidden, known, batch.values.new_zeros(len(batch))


def draw_hidden(
    days: Inside, share: float, generator: torch.Generator
) -> Bool[Tensor, "batch time"]:
    """Hide exactly ``round(share * days)`` of the `days` of each row, at least one.

    Examples
    --------
    >>> days = torch.tensor([[True] * 10, [False] * 6 + [True] * 4])
    >>> draw_hidden(days, 0.3, torch.Generator().manual_seed(0)).sum(-1).tolist()
    [3, 1]
    """
    chance = torch.rand(days.shape, generator=generator).to(days.device)
    order = torch.where(days, chance, 2.0).argsort(-1)
    n_hidden = (share * days.sum(-1)).round().clamp(min=1)
    first = torch.arange(days.shape[-1], device=days.device) < n_hidden[:, None]
    return torch.zeros_like(days).scatter(-1, order, first) & days


def _mean(
    values: Float[Tensor, "batch time"], counted: Bool[Tensor, "batch time"]
) -> Float[Tensor, " batch"]:
    total = torch.where(counted, values, 0.0).sum(-1)
    return total / counted.sum(-1).clamp(min=1)
