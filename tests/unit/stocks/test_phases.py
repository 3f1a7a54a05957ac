"""A policy that freezes nothing, silently, is how the release compares the same thing twice."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tsfm.errors import ConfigError
from tsfm.models.sspt import Sspt
from tsfm.models.timer import Timer, TimerConfig
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.phases import Freeze, PhaseConfig, freeze, run_phase, thawed
from tsfm.stocks.ranking import ReturnRanking, ReturnRankingConfig
from tsfm.stocks.split import SplitDays
from tsfm.stocks.stream import DayStream
from tsfm.tracking import ListTracker, NoTracker
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
    step: TrainingStep, sections: CrossSections, tracker: ListTracker | None = None, **phase: float
) -> tuple[TrainingStep, dict[str, float]]:
    return run_phase(
        step,
        DayStream(sections, SPLIT, seed=0),
        PhaseConfig(**phase),  # type: ignore[arg-type]
        seed=0,
        device=torch.device("cpu"),
        tracker=tracker or NoTracker(),
        name="phase",
    )


@pytest.mark.parametrize("policy", FROZEN)
def test_exactly_what_a_policy_names_stays(
    step: TrainingStep, make_sections: MakeSections, policy: Freeze
) -> None:
    before = {name: one.clone() for name, one in step.backbone.state_dict().items()}
    freeze(step, policy, rank=2, generator=torch.Generator())
    moved, _ = train(step, make_sections(), learning_rate=0.01, epochs=0.5)
    for name, one in moved.backbone.state_dict().items():
        is_frozen = name.startswith(FROZEN[policy])
        assert torch.equal(one, before[name]) == is_frozen, name
    assert moved.objective.head.weight.any()  # type: ignore[attr-defined]
    assert all(one.requires_grad for one in thawed(moved).parameters())


@pytest.mark.parametrize("policy", ["gradual", "lora"])
def test_the_shared_policies_fit_too(
    step: TrainingStep, make_sections: MakeSections, policy: Freeze
) -> None:
    names = [name for name, _ in step.backbone.named_parameters()]
    before = {name: one.clone() for name, one in step.backbone.state_dict().items()}
    thaw = freeze(step, policy, rank=2, generator=torch.Generator().manual_seed(0))
    assert (thaw is not None) == (policy == "gradual")
    moved, _ = run_phase(
        step,
        DayStream(make_sections(), SPLIT, seed=0),
        PhaseConfig(learning_rate=0.01),
        seed=0,
        device=torch.device("cpu"),
        tracker=NoTracker(),
        name="phase",
        thaw=thaw,
    )
    merged = thawed(moved).backbone
    assert [name for name, _ in merged.named_parameters()] == names
    after = merged.state_dict()
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


def test_a_phase_has_the_steps_of_its_epochs(
    step: TrainingStep, make_sections: MakeSections
) -> None:
    sections = make_sections()
    for epochs, accumulate, n_steps in ((2.0, 1, 40), (1.0, 4, 5), (0.001, 1, 1)):
        _, result = train(step, sections, epochs=epochs, accumulate=accumulate)
        assert result["steps"] == n_steps


def test_losses_are_logged_under_the_name_of_the_phase(
    step: TrainingStep, make_sections: MakeSections
) -> None:
    tracker = ListTracker()
    train(step, make_sections(), tracker)
    logged = [content for event, content in tracker.events if event == "log"]
    assert len(logged) == 20
    assert all("phase/train/loss" in metrics for _, metrics in logged)


def test_the_best_validation_is_delivered(step: TrainingStep, make_sections: MakeSections) -> None:
    losses = iter([5.0, 1.0, 3.0, 4.0])
    weights: list[torch.Tensor] = []

    def validate(trained: TrainingStep) -> float:
        weights.append(trained.objective.head.weight.clone())  # type: ignore[attr-defined]
        return next(losses)

    delivered, result = run_phase(
        step,
        DayStream(make_sections(), SPLIT, seed=0),
        PhaseConfig(epochs=3, learning_rate=0.01),
        seed=0,
        device=torch.device("cpu"),
        tracker=NoTracker(),
        name="phase",
        validate=validate,
    )
    assert result["best_step"] == 20
    assert torch.equal(delivered.objective.head.weight, weights[1])  # type: ignore[attr-defined]
