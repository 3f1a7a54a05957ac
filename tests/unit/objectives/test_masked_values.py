"""Filling hidden values teaches only what is hidden: a leak would make the loss look wonderful."""

import dataclasses
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from tsfm.errors import ConfigError
from tsfm.models.timer import Timer, TimerConfig
from tsfm.models.tst import Tst, TstConfig
from tsfm.objectives.masked_values import MaskedValues, MaskedValuesConfig, draw_mask
from tsfm.objectives.objective import OBJECTIVES, Objective
from tsfm.series.windows import WindowBatch
from tsfm.training.step import TrainingStep

CHANNELS, LENGTH = 3, 22


def make_backbone(name: str) -> Any:
    if name == "timer":
        model: Any = Timer(TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=8))
    else:
        sizes = {"d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 8, "dropout": 0.0}
        patch_length = 4 if name == "tst of patches" else 1
        model = Tst(
            TstConfig(
                n_channels=CHANNELS, context_length=LENGTH, patch_length=patch_length, **sizes
            )
        )
    return drawn(model)


def drawn(module: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return module


def make_objective(backbone: Any, **options: Any) -> MaskedValues:
    return drawn(MaskedValues(MaskedValuesConfig(**options), backbone))


def make_batch(missing: float = 0.2) -> WindowBatch:
    """Random walks with gaps; the first rows start late."""
    generator = torch.Generator().manual_seed(5)
    values = torch.randn(4, LENGTH, CHANNELS, generator=generator).cumsum(1)
    inside = torch.arange(LENGTH) >= torch.tensor([9, 5, 0, 0])[:, None]
    observed = torch.rand(values.shape, generator=generator) >= missing
    observed &= inside[..., None]
    return WindowBatch(values * observed, observed, inside, torch.arange(4))


def replaced(batch: WindowBatch, values: torch.Tensor) -> WindowBatch:
    return WindowBatch(values, batch.observed, batch.inside, batch.item)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Recorder(torch.nn.Module):
    """An encoder that keeps what it was shown."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config, self.observed = model, model.config, torch.empty(0)

    def encode(
        self, values: torch.Tensor, observed: torch.Tensor, inside: torch.Tensor
    ) -> torch.Tensor:
        self.observed = observed
        return self.model.encode(values, observed, inside)


BACKBONES = ["tst", "tst of patches", "timer"]


@pytest.mark.parametrize("name", BACKBONES)
def test_the_loss_equals_plain_loops(name: str) -> None:
    backbone, batch = make_backbone(name), make_batch()
    objective, recorder = make_objective(backbone, masked_share=0.4), Recorder(backbone)
    loss = objective(recorder, batch, seeded())
    visible = recorder.observed
    tokens = backbone.encode(batch.values, visible, batch.inside)
    filled = objective.head(tokens, LENGTH)
    errors = [
        (filled[place] - batch.values[place]).item() ** 2
        for place in map(tuple, (batch.observed & ~visible).nonzero().tolist())
    ]
    assert loss.count == len(errors) > 20
    assert loss.total.item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_hidden_values_do_not_reach_the_model_but_are_the_targets(name: str) -> None:
    backbone, batch = make_backbone(name), make_batch()
    objective, recorder = make_objective(backbone), Recorder(backbone)
    before = objective(recorder, batch, seeded())
    hidden = batch.observed & ~recorder.observed
    assert hidden.any()
    changed = replaced(batch, torch.where(hidden, batch.values + 0.5, batch.values))
    tokens = [backbone.encode(b.values, recorder.observed, b.inside) for b in (batch, changed)]
    assert torch.equal(*tokens)
    after = objective(recorder, changed, seeded())
    assert after.count == before.count
    assert after.total.item() != pytest.approx(before.total.item(), rel=1e-3)


def test_only_what_is_there_is_hidden_and_missing_values_are_nothing_else() -> None:
    backbone, batch = make_backbone("tst"), make_batch(missing=0.5)
    objective, recorder = make_objective(backbone, masked_share=0.5), Recorder(backbone)
    before = objective(recorder, batch, seeded())
    assert not (recorder.observed & ~batch.observed).any()
    noise = replaced(batch, torch.where(batch.observed, batch.values, float("nan")))
    after = objective(recorder, noise, seeded())
    assert torch.equal(after.total, before.total)
    after.total.backward()
    assert all(p.grad.isfinite().all() for p in objective.parameters() if p.grad is not None)


@pytest.mark.parametrize("missing", [0.0, 1.1])
def test_without_anything_to_hide_the_loss_is_zero_and_trains_nothing(missing: float) -> None:
    backbone, batch = make_backbone("tst"), make_batch(missing=missing)
    objective = make_objective(backbone, masked_share=1e-9, mean_run=2.0)
    loss = objective(backbone, batch, seeded())
    assert (loss.total.item(), loss.count) == (0.0, 0)
    loss.total.backward()
    assert not any(p.grad is not None and p.grad.any() for p in backbone.parameters())


def test_a_perfect_answer_has_no_loss() -> None:
    batch = make_batch()

    class Oracle(torch.nn.Module):
        """Its tokens are the values of their steps."""

        config = TstConfig(n_channels=CHANNELS, context_length=LENGTH, d_model=3, n_heads=3)

        def encode(
            self, values: torch.Tensor, observed: torch.Tensor, inside: torch.Tensor
        ) -> torch.Tensor:
            return values[:, None]

    objective = MaskedValues(MaskedValuesConfig(), Oracle())
    with torch.no_grad():
        objective.head.linear.weight.copy_(torch.eye(3))
    loss = objective(Oracle(), batch, seeded())
    assert loss.count > 0
    assert loss.total.item() == 0.0


@pytest.mark.parametrize("name", BACKBONES)
def test_one_step_trains_the_backbone_and_the_head(name: str) -> None:
    backbone = make_backbone(name)
    step = TrainingStep(backbone, make_objective(backbone))
    step(make_batch(), seeded()).total.backward()
    assert backbone.embedding is not None
    for module in (backbone.embedding, step.objective.head):
        assert all(parameter.grad.any() for parameter in module.parameters())
    assert set(step.objective.heads) == {"reconstruction"}


def test_the_same_generator_gives_the_same_loss() -> None:
    backbone, batch = make_backbone("tst").eval(), make_batch()
    objective = make_objective(backbone)
    first, again, other = (objective(backbone, batch, seeded(seed)).total for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_channels_are_hidden_together_only_when_asked() -> None:
    shape = (8, 40, 3)
    together = draw_mask(shape, MaskedValuesConfig(synchronous=True), seeded())
    apart = draw_mask(shape, MaskedValuesConfig(), seeded())
    assert together.shape == apart.shape == shape
    assert together.any()
    assert torch.equal(together.any(-1), together.all(-1))
    assert not torch.equal(apart.any(-1), apart.all(-1))


def test_it_is_registered_with_what_it_needs() -> None:
    assert OBJECTIVES["masked_values"] is MaskedValues
    backbone = make_backbone("tst")
    objective = make_objective(backbone)
    assert isinstance(objective, Objective)
    assert isinstance(backbone, objective.requires)
    with pytest.raises(ConfigError, match="MaskedValues needs an Encoder, got Linear; choose"):
        MaskedValues(MaskedValuesConfig(), torch.nn.Linear(1, 1))


def test_of_a_tail_the_last_steps_of_all_channels_are_hidden() -> None:
    config = MaskedValuesConfig(masking="tail", tail_length=5)
    mask = draw_mask((2, 12, 3), config, seeded())
    assert mask[:, -5:].all()
    assert not mask[:, :-5].any()


def test_a_tail_does_not_reach_the_model_and_is_all_that_is_asked_for() -> None:
    """Look-ahead: with another future the tokens, and so the forecast, stay what they are."""
    backbone, batch = make_backbone("tst"), make_batch()
    objective = make_objective(backbone, masking="tail", tail_length=6)
    recorder = Recorder(backbone)
    before = objective(recorder, batch, seeded())
    assert before.count == int(batch.observed[:, -6:].sum())
    future = batch.values.clone()
    future[:, -6:] += 100 * batch.observed[:, -6:]
    shown = recorder.observed
    assert not shown[:, -6:].any()
    tokens = [backbone.encode(x, shown, batch.inside) for x in (batch.values, future)]
    assert torch.equal(*tokens)
    assert objective(recorder, replaced(batch, future), seeded()).total > 10 * before.total


def test_where_targets_are_named_no_others_count() -> None:
    backbone, batch = make_backbone("tst"), make_batch()
    objective = make_objective(backbone, masked_share=0.5)
    late = batch.observed & (torch.arange(LENGTH) >= 15)[:, None]
    some = dataclasses.replace(batch, supervised=late)
    recorder = Recorder(backbone)
    loss = objective(recorder, some, seeded())
    hidden = batch.observed & ~recorder.observed
    assert loss.count == int((hidden & late).sum()) < int(hidden.sum())


@pytest.mark.parametrize("name", BACKBONES)
def test_scaled_by_the_window_only_shape_matters(name: str) -> None:
    """In other units the loss is the same, in these units; hidden values move no statistic."""
    backbone, batch = make_backbone(name), make_batch()
    objective = make_objective(backbone, scaling="window", masked_share=0.3)
    assert objective.head.config.scaling == "window"
    before = objective(backbone, batch, seeded()).total
    other = torch.where(batch.observed, 1000 + 10 * batch.values, 0.0)
    after = objective(backbone, replaced(batch, other), seeded()).total
    assert after.item() == pytest.approx(100 * before.item(), rel=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masking": "tail"}, "tail_length must be at least 1 with masking='tail'.*tail_length=0"),
        ({"tail_length": 3}, "and 0 otherwise, got masking='geometric' and tail_length=3"),
        ({"masked_share": 0.0}, "masked_share\n.*greater than 0"),
        ({"masked_share": 1.0}, "masked_share\n.*less than 1"),
        ({"mean_run": 0.5}, "mean_run\n.*greater than or equal to 1"),
        ({"mean_run": 1.1}, "mean of independent steps, got mean_run=1.1 and masked_share=0.15"),
        ({"masking": "runs"}, "masking\n.*'geometric', 'bernoulli' or 'tail'"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MaskedValuesConfig(**options)


def test_independent_steps_need_no_run_length() -> None:
    assert MaskedValuesConfig(masking="bernoulli", mean_run=1.0).renewal == 1.0
