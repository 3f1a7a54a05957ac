"""A policy that freezes nothing, silently, is how the release compares the same thing twice."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tsfm.errors import ConfigError
from tsfm.models.sspt import Sspt
from tsfm.models.timer import Timer, TimerConfig
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.panel import StockBatch
from tsfm.stocks.phases import Freeze, PhaseConfig, freeze, run_phase, thawed
from tsfm.stocks.ranking import ReturnRanking, ReturnRankingConfig
from tsfm.stocks.split import SplitDays
from tsfm.stocks.stream import DayStream
from tsfm.tracking import ListTracker, NoTracker
from tsfm.training.optimizer import OptimizerConfig, make_optimizer
from tsfm.training.step import TrainingStep

MakeSections = Callable[..., CrossSections]
SPLIT = SplitDays(np.arange(20, 40), np.arange(45, 50), np.arange(55, 60))
FROZEN: dict[Freeze, tuple[str, ...]] = {
    "nothing": (),
    "embedding": ("embedding", "missing"),
    "embedding_attention": ("embedding", "missing", "blocks.0.attention."),
    "extractor": ("embedding", "missing", "positions", "blocks.0"),
    "backbone": ("embedding", "missing", "positions", "blocks", "norm"),
}


@pytest.fixture
def step(backbone: Sspt) -> TrainingStep:
    return TrainingStep(backbone, ReturnRanking(ReturnRankingConfig(), backbone))


def train(
    step: TrainingStep,
    sections: CrossSections,
    tracker: ListTracker | None = None,
    validate: Callable[[TrainingStep], float] | None = None,
    **phase: float,
) -> tuple[TrainingStep, dict[str, float]]:
    return run_phase(
        step,
        DayStream(sections, SPLIT, seed=0),
        PhaseConfig(**phase),  # type: ignore[arg-type]
        seed=0,
        device=torch.device("cpu"),
        tracker=tracker or NoTracker(),
        name="phase",
        validate=validate,
    )


def moved(step: TrainingStep, batch: StockBatch, thaw: Callable[[float], None] | None) -> None:
    """Take three steps, the last of them near the end of a run."""
    optimizer = make_optimizer(step, OptimizerConfig(learning_rate=0.01, weight_decay=0.0))
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for done in (0.0, 0.5, 0.99):
        if thaw is not None:
            thaw(done)
        optimizer.zero_grad()
        step(batch, torch.Generator()).total.backward()
        optimizer.step()


@pytest.mark.parametrize("policy", FROZEN)
def test_exactly_what_a_policy_names_stays(
    step: TrainingStep, batch: StockBatch, policy: Freeze
) -> None:
    before = {name: one.clone() for name, one in step.backbone.state_dict().items()}
    moved(step, batch, freeze(step, policy, rank=2, generator=torch.Generator()))
    for name, one in step.backbone.state_dict().items():
        is_frozen = name.startswith(FROZEN[policy])
        assert torch.equal(one, before[name]) == is_frozen, name
    assert step.objective.head.weight.any()  # type: ignore[attr-defined]
    assert all(one.requires_grad for one in thawed(step).parameters())


@pytest.mark.parametrize("policy", ["gradual", "lora"])
def test_the_shared_policies_fit_too(step: TrainingStep, batch: StockBatch, policy: Freeze) -> None:
    before = {name: one.clone() for name, one in step.backbone.state_dict().items()}
    thaw = freeze(step, policy, rank=2, generator=torch.Generator().manual_seed(0))
    assert (thaw is not None) == (policy == "gradual")
    moved(step, batch, thaw)
    after = thawed(step).backbone.state_dict()
    assert set(after) == set(before)
    assert not torch.equal(after["blocks.1.expand.weight"], before["blocks.1.expand.weight"])
    if policy == "lora":
        assert torch.equal(after["embedding.weight"], before["embedding.weight"])
        change = after["blocks.1.expand.weight"] - before["blocks.1.expand.weight"]
        assert torch.linalg.matrix_rank(change, atol=1e-5) <= 2


def test_policies_fit_timer(make_sections: MakeSections) -> None:
    timer = Timer(TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=2, d_ff=8))
    step = TrainingStep(timer, ReturnRanking(ReturnRankingConfig(), timer))
    freeze(step, "embedding_attention", rank=2, generator=torch.Generator())
    frozen = {name for name, one in timer.named_parameters() if not one.requires_grad}
    assert any(name.startswith("embedding.") for name in frozen)
    assert any(name.startswith("blocks.0.attention.") for name in frozen)
    assert not any(name.startswith("blocks.1.") for name in frozen)


def test_a_policy_that_finds_nothing_is_refused(step: TrainingStep) -> None:
    other = torch.nn.Linear(2, 2)
    step.backbone = other
    with pytest.raises(
        ConfigError, match="freeze='embedding' needs a backbone with a module named"
    ):
        freeze(step, "embedding", rank=2, generator=torch.Generator())


@pytest.mark.parametrize(("epochs", "accumulate", "n_steps"), [(0.4, 1, 8), (1.0, 4, 5)])
def test_a_phase_has_the_steps_of_its_epochs_and_logs_under_its_name(
    step: TrainingStep,
    make_sections: MakeSections,
    epochs: float,
    accumulate: int,
    n_steps: int,
) -> None:
    tracker = ListTracker()
    _, result = train(step, make_sections(), tracker, epochs=epochs, accumulate=accumulate)
    assert result["steps"] == n_steps
    logged = [content for event, content in tracker.events if event == "log"]
    assert [number for number, _ in logged] == list(range(1, n_steps + 1))
    assert all("phase/train/loss" in metrics for _, metrics in logged)


def test_the_best_validation_is_delivered(step: TrainingStep, make_sections: MakeSections) -> None:
    losses = iter([5.0, 1.0, 3.0])
    weights: list[torch.Tensor] = []

    def validate(trained: TrainingStep) -> float:
        weights.append(trained.objective.head.weight.clone())  # type: ignore[attr-defined]
        return next(losses)

    delivered, result = train(
        step, make_sections(), validate=validate, epochs=2, accumulate=4, learning_rate=0.01
    )
    assert result["best_step"] == 5
    assert torch.equal(delivered.objective.head.weight, weights[1])  # type: ignore[attr-defined]
    assert not torch.equal(weights[1], weights[2])
