"""A sum that forgets a weight, or a head, trains something else than the recipe says."""

from typing import Any

import pytest
import torch

from tsfm.errors import ConfigError
from tsfm.models.backbone import Encoder, NextPatchModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.objectives.masked_values import MaskedValues, MaskedValuesConfig
from tsfm.objectives.next_patch import NextPatch, NextPatchConfig
from tsfm.objectives.weighted_sum import (
    PartConfig,
    SharedPasses,
    WeightedSum,
    WeightedSumConfig,
)
from tsfm.series.windows import WindowBatch
from tsfm.training.step import TrainingStep


@pytest.fixture
def timer() -> Timer:
    model = Timer(TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=8))
    model.reset_parameters(torch.Generator().manual_seed(0))
    return model.eval()


@pytest.fixture
def batch() -> WindowBatch:
    values = torch.randn(3, 24, 1, generator=torch.Generator().manual_seed(0))
    full = torch.ones(3, 24, 1, dtype=torch.bool)
    return WindowBatch(values, full, full[..., 0], torch.arange(3))


def make(timer: Any, **weights: float) -> WeightedSum:
    parts = {name: PartConfig(weight=weight) for name, weight in weights.items()}
    return WeightedSum(WeightedSumConfig(parts=parts), timer)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_the_loss_is_the_weighted_sum_of_its_parts(timer: Timer, batch: WindowBatch) -> None:
    loss = make(timer, next_patch=2.0, masked_values=0.5)(timer, batch, seeded())
    generator = seeded()
    first = NextPatch(NextPatchConfig())(timer, batch, generator)
    second = MaskedValues(MaskedValuesConfig(), timer)(timer, batch, generator)
    torch.testing.assert_close(loss.total, 2 * first.total + 0.5 * second.total)
    assert loss.count == max(first.count, second.count)
    torch.testing.assert_close(loss.parts["next_patch"], first.total.detach())
    torch.testing.assert_close(loss.parts["masked_values"], second.total.detach())


def test_parts_that_read_the_same_windows_share_a_pass(timer: Timer, batch: WindowBatch) -> None:
    asked = []

    class Counted(torch.nn.Module):
        config, patch_length = timer.config, timer.patch_length

        def encode(self, *windows: torch.Tensor) -> torch.Tensor:
            asked.append(windows)
            return timer.encode(*windows)

    shared = SharedPasses(Counted())
    rows = (batch.values, batch.observed, batch.inside)
    first = shared.encode(*rows)
    assert shared.encode(*rows) is first
    other = (batch.values, batch.observed.clone(), batch.inside)  # what a mask makes
    torch.testing.assert_close(shared.encode(*other), first)
    assert len(asked) == 2
    assert shared.patch_length == timer.patch_length


def test_a_weight_of_zero_leaves_a_part_out(timer: Timer, batch: WindowBatch) -> None:
    loss = make(timer, next_patch=1.0, masked_values=0.0)(timer, batch, seeded())
    assert set(loss.parts) == {"next_patch"}


def test_heads_are_trained_copied_and_saved_with_the_step(timer: Timer) -> None:
    step = TrainingStep(timer, make(timer, next_patch=1.0, masked_values=1.0))
    assert set(step.objective.heads) == {"reconstruction"}  # type: ignore[attr-defined]
    names = [name for name in step.state_dict() if "masked_values" in name]
    assert names == [
        "objective.owned.masked_values.head.linear.weight",
        "objective.owned.masked_values.head.linear.bias",
    ]


def test_it_requires_what_its_parts_do(timer: Timer) -> None:
    assert make(timer, next_patch=1.0).requires is NextPatchModel
    assert make(timer, masked_values=1.0).requires is Encoder

    class OnlyEncoder(torch.nn.Module):
        config = timer.config
        encode = timer.encode

    both = make(OnlyEncoder(), masked_values=1.0, next_patch=1.0)
    assert both.requires is NextPatchModel
    with pytest.raises(ConfigError, match="WeightedSum needs a NextPatchModel, got OnlyEncoder"):
        TrainingStep(OnlyEncoder(), both)


def test_parts_that_cannot_be_are_named(timer: Timer) -> None:
    with pytest.raises(ConfigError, match=r"objective must be one of .*, got 'next_ptach'"):
        make(timer, next_ptach=1.0)
    wrong = WeightedSumConfig(parts={"next_patch": PartConfig(config={"units": "miles"})})
    with pytest.raises(ConfigError, match=r"parts\.next_patch\.config must fit next_patch: units"):
        WeightedSum(wrong, timer)
    with pytest.raises(ValueError, match="must have an objective with a positive weight"):
        WeightedSumConfig(parts={"next_patch": PartConfig(weight=0.0)})
