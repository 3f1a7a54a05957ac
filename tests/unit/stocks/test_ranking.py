"""The loss that decides what is bought: it must look at the right stocks, in the right units."""

from dataclasses import replace

import pytest
import torch

from tsfm.models.sspt import Sspt
from tsfm.stocks.panel import StockBatch
from tsfm.stocks.ranking import ReturnRanking, ReturnRankingConfig, pairwise_ranking_loss


def make(backbone: Sspt, **options: object) -> ReturnRanking:
    objective = ReturnRanking(ReturnRankingConfig(**options), backbone)  # type: ignore[arg-type]
    with torch.no_grad():
        objective.head.weight.normal_(0.0, 0.5, generator=torch.Generator().manual_seed(1))
    return objective


GENERATOR = torch.Generator()


def test_the_loss_is_its_two_parts(backbone: Sspt, batch: StockBatch) -> None:
    objective = make(backbone, ranking_weight=3.0)
    loss = objective(backbone, batch, GENERATOR)
    scores, unit = objective.scores(backbone, batch), objective.config.unit
    squared = (scores - batch.forward_return).square().mean() / unit**2
    ranking = pairwise_ranking_loss(scores, batch.forward_return) / unit**2
    torch.testing.assert_close(loss.parts["squared"], squared)
    torch.testing.assert_close(loss.parts["ranking"], ranking)
    torch.testing.assert_close(loss.total, squared + 3 * ranking)
    assert loss.count == len(batch)


def test_what_was_not_traded_or_is_not_known_does_not_count(
    backbone: Sspt, batch: StockBatch
) -> None:
    objective = make(backbone)
    tradable, returns = batch.tradable.clone(), batch.forward_return.clone()
    tradable[0], returns[1] = False, torch.nan
    found = objective(
        backbone, replace(batch, tradable=tradable, forward_return=returns), GENERATOR
    )
    given = {name: value for name, value in vars(batch).items() if value is not None}
    few = StockBatch(**{name: value[2:] for name, value in given.items()})
    torch.testing.assert_close(found.total, objective(backbone, few, GENERATOR).total)
    assert found.count == len(batch) - 2
    assert torch.isfinite(found.total)


def test_the_unit_changes_only_the_size_of_the_loss(backbone: Sspt, batch: StockBatch) -> None:
    small, large = (make(backbone, unit=unit) for unit in (0.01, 0.02))
    with torch.no_grad():
        small.head.weight.mul_(2)  # so that both say the same returns
    torch.testing.assert_close(small.scores(backbone, batch), large.scores(backbone, batch))
    one, other = (objective(backbone, batch, GENERATOR) for objective in (small, large))
    torch.testing.assert_close(one.total, 4 * other.total)


def test_a_price_is_compared_with_the_last_one(backbone: Sspt, batch: StockBatch) -> None:
    prices = replace(batch, values=batch.values.abs() + 0.5, observed=batch.observed | True)
    objective = make(backbone, output="price")
    said = objective.said(backbone, prices.values, prices.observed, prices.inside)[:, 0]
    expected = (said - prices.values[:, -1, -1]) / prices.values[:, -1, -1]
    torch.testing.assert_close(objective.scores(backbone, prices), expected)
    unknown = prices.observed.clone()
    unknown[0, -1] = False
    missing = replace(prices, observed=unknown)
    assert torch.isnan(objective.scores(backbone, missing)[0])
    loss = objective(backbone, missing, GENERATOR)
    assert loss.count == len(batch) - 1
    loss.total.backward()
    assert all(
        torch.isfinite(one.grad).all() for one in backbone.parameters() if one.grad is not None
    )


def test_a_new_head_says_no_return(backbone: Sspt, batch: StockBatch) -> None:
    objective = ReturnRanking(ReturnRankingConfig(), backbone)
    assert not objective.scores(backbone, batch).any()
    loss = objective(backbone, batch, GENERATOR)
    assert loss.parts["ranking"].item() == 0
    assert loss.parts["squared"].item() == pytest.approx(
        (batch.forward_return / 0.02).square().mean().item(), rel=1e-5
    )
