"""A pretext task with a wrong mask or label trains on nonsense, and its loss still falls."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tsfm.errors import ConfigError
from tsfm.models.sspt import Sspt
from tsfm.models.timer import Timer, TimerConfig
from tsfm.objectives.objective import OBJECTIVES, Objective
from tsfm.objectives.weighted_sum import WeightedSum
from tsfm.registry import discover
from tsfm.series.windows import WindowBatch
from tsfm.stocks.objectives import HeadObjective, class_loss, pooled
from tsfm.stocks.panel import StockBatch
from tsfm.training.step import TrainingStep

discover("tsfm.stocks")
CONFIGS: dict[str, dict[str, Any]] = {
    "stock_code": {"n_stocks": 8},
    "stock_sector": {"n_sectors": 3},
    "moving_average": {"spans": (3, 5, 1)},
    "return_ranking": {},
}
NAMES = list(CONFIGS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def timer() -> Timer:
    """A Timer of the same width, whose tokens are patches of three days of one feature."""
    config = TimerConfig(patch_length=3, d_model=8, n_heads=2, n_layers=1, d_ff=8)
    model = Timer(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=seeded())
    return model.eval()


@pytest.fixture
def make(backbone: Sspt) -> Callable[..., HeadObjective]:
    """An objective whose head is not zero."""

    def make(name: str, on: Any = None, **options: Any) -> HeadObjective:
        objective_class = OBJECTIVES[name]
        objective: HeadObjective = objective_class(
            objective_class.Config(**(CONFIGS[name] | options)), backbone if on is None else on
        )
        with torch.no_grad():
            objective.head.weight.normal_(0.0, 0.5, generator=seeded(1))
        return objective

    return make


Make = Callable[..., HeadObjective]


@pytest.mark.parametrize("name", NAMES)
def test_it_trains_sspt_and_timer_alike(
    make: Make, backbone: Sspt, timer: Timer, batch: StockBatch, name: str
) -> None:
    for model in (backbone, timer):
        objective = make(name, model)
        assert isinstance(objective, Objective)
        step = TrainingStep(model, objective)
        optimizer = torch.optim.Adam(step.parameters(), lr=0.03)
        losses = []
        for _ in range(8):
            optimizer.zero_grad()
            loss = step(batch, seeded())
            loss.total.backward()
            optimizer.step()
            losses.append(loss.total.item())
        assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_generator_gives_the_same_loss(
    make: Make, backbone: Sspt, batch: StockBatch, name: str
) -> None:
    objective = make(name)
    first, again = (objective(backbone, batch, seeded(3)) for _ in range(2))
    assert torch.equal(first.total, again.total)
    assert first.count == again.count


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_learn_from_is_a_loss_of_zero_that_has_a_gradient(
    make: Make, backbone: Sspt, batch: StockBatch, name: str
) -> None:
    hidden = replace(
        batch,
        values=torch.zeros_like(batch.values),
        observed=torch.zeros_like(batch.observed),
        inside=torch.zeros_like(batch.inside),
        tradable=torch.zeros_like(batch.tradable),
    )
    loss = make(name)(backbone, hidden, seeded())
    assert loss.count == 0
    assert loss.total.item() == 0.0
    loss.total.backward()
    assert all(one.grad is None or torch.isfinite(one.grad).all() for one in backbone.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_observed_has_no_influence(
    make: Make, backbone: Sspt, batch: StockBatch, name: str
) -> None:
    assert not batch.observed.all()
    noise = torch.where(batch.observed, batch.values, 7.0)
    objective = make(name)
    before = objective(backbone, batch, seeded())
    after = objective(backbone, replace(batch, values=noise), seeded())
    assert torch.equal(before.total, after.total)


@pytest.mark.parametrize("name", NAMES)
def test_permuting_stocks_permutes_what_is_said(
    make: Make, backbone: Sspt, batch: StockBatch, name: str
) -> None:
    objective = make(name)
    order = torch.randperm(len(batch), generator=seeded())
    rows = (batch.values, batch.observed, batch.inside)
    said = objective.said(backbone, *rows)
    torch.testing.assert_close(objective.said(backbone, *(x[order] for x in rows)), said[order])


@pytest.mark.parametrize("name", ["stock_code", "stock_sector", "return_ranking"])
def test_a_batch_without_stocks_is_refused(
    make: Make, backbone: Sspt, batch: StockBatch, name: str
) -> None:
    plain = WindowBatch(batch.values, batch.observed, batch.inside, batch.item)
    with pytest.raises(ConfigError, match=rf"objective '{name}' needs batches of stocks, got"):
        make(name)(backbone, plain, seeded())


@pytest.mark.parametrize("name", NAMES)
def test_a_backbone_without_tokens_is_refused(name: str) -> None:
    objective = OBJECTIVES[name]
    with pytest.raises(ConfigError, match=r"needs an Encoder, got Linear; choose another"):
        objective(objective.Config(**CONFIGS[name]), torch.nn.Linear(1, 1))


def test_the_mean_token_is_that_of_the_days_inside() -> None:
    tokens = torch.arange(12.0).reshape(2, 1, 6, 1)
    inside = torch.ones(2, 6, dtype=torch.bool)
    inside[1, :4] = False
    torch.testing.assert_close(pooled(tokens, inside, 1), torch.tensor([[2.5], [10.5]]))


def test_a_patch_with_a_day_inside_counts_and_channels_are_averaged() -> None:
    tokens = torch.tensor([[[[1.0], [3.0]], [[10.0], [30.0]]]])
    # Patches of three end with the window: the first holds padding, a day outside and one inside.
    inside = torch.tensor([[False, True, True, True, True]])
    torch.testing.assert_close(pooled(tokens, inside, 3), torch.tensor([[11.0]]))
    torch.testing.assert_close(
        pooled(tokens, torch.tensor([[False] * 2 + [True] * 3]), 3), torch.tensor([[16.5]])
    )
    assert not pooled(tokens, torch.zeros(1, 5, dtype=torch.bool), 3).any()


@pytest.mark.parametrize("name", ["stock_code", "stock_sector"])
def test_a_head_that_starts_at_zero_is_at_chance(
    backbone: Sspt, batch: StockBatch, name: str
) -> None:
    objective = OBJECTIVES[name](OBJECTIVES[name].Config(**CONFIGS[name]), backbone)
    n_labels = next(iter(CONFIGS[name].values()))
    loss = objective(backbone, batch, seeded())
    assert loss.total.item() == pytest.approx(math.log(n_labels), rel=1e-5)


def rows(values: list[list[float]]) -> Tensor:
    return torch.tensor(values)


def test_only_rows_that_count_make_the_loss_and_the_accuracy() -> None:
    said = rows([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    label, counted = torch.tensor([0, 1, -1]), torch.tensor([True, True, False])
    loss = class_loss(said, label, counted, name="n")
    expected = (math.log(1 + math.exp(-9)) + math.log(1 + math.exp(9))) / 2
    assert loss.total.item() == pytest.approx(expected)
    assert loss.count == 2
    assert loss.parts["accuracy"].item() == 0.5
    assert loss.parts["commonest"].item() == 0.5


def test_always_saying_the_commonest_label_is_no_better_than_chance_when_balanced() -> None:
    said = rows([[9.0, 0.0, 0.0]]).expand(4, 3)
    label, counted = torch.tensor([0, 0, 0, 2]), torch.ones(4, dtype=torch.bool)
    parts = class_loss(said, label, counted, name="n").parts
    assert parts["accuracy"].item() == parts["commonest"].item() == 0.75
    assert parts["balanced_accuracy"].item() == 0.5  # of the two labels that are shown


def test_balanced_sectors_weigh_alike() -> None:
    said = rows([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [9.0, 0.0]])
    label, counted = torch.tensor([0, 0, 0, 1]), torch.ones(4, dtype=torch.bool)
    plain = class_loss(said, label, counted, name="n").total.item()
    even = class_loss(said, label, counted, name="n", balanced=True).total.item()
    hard, easy = math.log(1 + math.exp(9)), math.log(2)
    assert plain == pytest.approx((3 * easy + hard) / 4)
    assert even == pytest.approx((easy + hard) / 2)


def test_an_unknown_sector_does_not_count(make: Make, backbone: Sspt, batch: StockBatch) -> None:
    objective = make("stock_sector", balanced=False)
    unknown = replace(batch, sector=torch.full_like(batch.sector, -1))
    assert objective(backbone, unknown, seeded()).count == 0
    some = batch.sector.clone()
    some[0] = -1
    assert objective(backbone, replace(batch, sector=some), seeded()).count == len(batch) - 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("stock_code", {"n_stocks": 3}, "n_stocks must exceed every label .* got n_stocks=3 and"),
        ("stock_sector", {"n_sectors": 2}, "n_sectors must exceed every label .* label 2; raise"),
    ],
)
def test_a_label_without_an_output_is_named(
    make: Make, backbone: Sspt, batch: StockBatch, name: str, options: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make(name, **options)(backbone, batch, seeded())


def test_every_task_of_the_room_is_tested_here() -> None:
    homes = {name: OBJECTIVES[name].__module__ for name in OBJECTIVES}
    assert {name for name, home in homes.items() if home.startswith("tsfm.stocks")} == set(NAMES)
    assert OBJECTIVES["weighted_sum"] is WeightedSum
