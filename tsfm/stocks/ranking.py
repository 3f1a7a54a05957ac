"""Return ranking: squared error of returns, and a penalty for pairs in the wrong order.

References
----------
Feng et al. (2019), "Temporal Relational Ranking for Stock Prediction", equation 3; the released
code of SSPT computes something else, see ADR 0009.
"""

from typing import Any, Literal

import torch
from einops import rearrange
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.objectives.objective import OBJECTIVES, Loss
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float, Scalar, Tensor
from tsfm.stocks.objectives import HeadObjective, require_stocks

Pairs = Literal["targets", "released"]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ReturnRankingConfig:
    """Options of `ReturnRanking`.

    Parameters
    ----------
    output
        ``"return"``: the head says the return. ``"price"``: it says the next price in the units
        of the features, as released; a relative error of 2 % then drowns the return.
    ranking_weight
        Of the pairs, beside the squared error.
    pairs
        ``"targets"``: a pair is compared with the order of its true returns. ``"released"``: with
        the difference of a prediction and a truth, as in the released code.
    close_channel
        Place of the close among the features, for ``"price"``.
    unit
        Returns are counted in units of this size, 2 % being a usual day; only the size of the loss
        depends on it, and how the head starts.
    """

    output: Literal["return", "price"] = "return"
    ranking_weight: float = Field(default=5.0, ge=0)
    pairs: Pairs = "targets"
    close_channel: int = -1
    unit: float = Field(default=0.02, gt=0)


@OBJECTIVES.register("return_ranking")
class ReturnRanking(HeadObjective):
    """The loss of one day over the stocks that were traded and whose return is known."""

    Config = ReturnRankingConfig

    def __init__(self, config: ReturnRankingConfig, backbone: Any) -> None:
        super().__init__(backbone, 1)
        self.config = config

    def forward(self, model: Any, batch: WindowBatch, generator: torch.Generator) -> Loss:  # noqa: ARG002
        """Return the mean over the stocks of the day, and over their pairs."""
        stocks = require_stocks(batch, "return_ranking")
        valid = stocks.tradable & stocks.forward_return.isfinite()
        if self.config.output == "price":
            valid = valid & batch.observed[:, -1, self.config.close_channel]
        predicted = self.scores(model, batch)[valid] / self.config.unit
        actual = stocks.forward_return[valid] / self.config.unit
        count = len(actual)
        if not count:
            # A loss that the weights are part of, so that it has a gradient: zero.
            nothing = 0.0 * self.scores(model, batch).nan_to_num().sum()
            return Loss(nothing, 0, {"squared": nothing.detach(), "ranking": nothing.detach()})
        squared = (predicted - actual).square().mean()
        ranking = pairwise_ranking_loss(predicted, actual, pairs=self.config.pairs)
        total = squared + self.config.ranking_weight * ranking
        return Loss(total, count, {"squared": squared.detach(), "ranking": ranking.detach()})

    def scores(self, model: Any, batch: WindowBatch) -> Float[Tensor, " batch"]:
        """Return the predicted simple return of each stock."""
        said = self.said(model, batch.values, batch.observed, batch.inside)[:, 0]
        if self.config.output == "return":
            return said * self.config.unit
        price = batch.values[:, -1, self.config.close_channel]
        known = batch.observed[:, -1, self.config.close_channel]
        return torch.where(known, said / torch.where(known, price, 1.0) - 1, torch.nan)


def pairwise_ranking_loss(
    predicted: Float[Tensor, " stock"],
    actual: Float[Tensor, " stock"],
    *,
    pairs: Pairs = "targets",
) -> Scalar:
    """Return the mean over all ordered pairs of ``max(0, -(p_i - p_j) (r_i - r_j))``.

    Zero whenever the predictions rise with the truth, whatever their scale. A pair of a stock
    with itself adds zero and counts.

    Parameters
    ----------
    pairs
        ``"released"`` has ``p_i - r_j`` in place of ``r_i - r_j``, which is not zero for a perfect
        order at another scale.

    Examples
    --------
    >>> actual = torch.tensor([0.01, 0.02, 0.03])
    >>> float(pairwise_ranking_loss(2 * actual, actual))
    0.0
    >>> float(pairwise_ranking_loss(2 * actual, actual, pairs="released")) > 0
    True
    """
    guess = rearrange(predicted, "stock -> stock 1") - rearrange(predicted, "other -> 1 other")
    first = actual if pairs == "targets" else predicted
    truth = rearrange(first, "stock -> stock 1") - rearrange(actual, "other -> 1 other")
    return torch.relu(-guess * truth).mean()
