"""Only hidden values whose truth is known may teach, and what is hidden must not be seen."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.metrics import mean_pinball_loss

from tsfm.models.backbone import Filled
from tsfm.models.layers.gaps import bridge
from tsfm.models.timer_fill import TimerFill, TimerFillConfig
from tsfm.objectives import gap_masks
from tsfm.objectives.fill_gaps import FillGaps, FillGapsConfig
from tsfm.objectives.objective import OBJECTIVES, Objective
from tsfm.series.windows import WindowBatch

LEVELS = (0.1, 0.5, 0.8)


def make_model(*, drawn: bool = False) -> TimerFill:
    config = TimerFillConfig(
        patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=8, quantile_levels=LEVELS
    )
    model = TimerFill(config)
    generator = torch.Generator().manual_seed(0)
    model.reset_parameters(generator)
    if drawn:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.3, generator=generator)
    return model


def make_batch(batch: int = 6, length: int = 48, missing: float = 0.2) -> WindowBatch:
    generator = torch.Generator().manual_seed(length)
    values = torch.randn(batch, length, 2, generator=generator).cumsum(1)
    inside = torch.arange(length) >= torch.tensor([9, 5, *[0] * (batch - 2)])[:, None]
    observed = torch.rand(values.shape, generator=generator) >= missing
    observed &= inside[..., None]
    return WindowBatch(values * observed, observed, inside, torch.arange(batch))


def loss(model: Any, batch: WindowBatch, seed: int = 0, **options: Any) -> Any:
    objective = FillGaps(FillGapsConfig(**options))
    return objective(model, batch, torch.Generator().manual_seed(seed))


class Recorder(torch.nn.Module):
    """A filler that keeps what it was shown, and whose correction can be set."""

    patch_length, quantile_levels = 4, LEVELS

    def __init__(self, truth: torch.Tensor | None = None) -> None:
        super().__init__()
        self.truth, self.observed = truth, torch.empty(0)

    def fill(self, values: torch.Tensor, observed: torch.Tensor, inside: torch.Tensor) -> Filled:
        self.observed = observed
        line = bridge(values, observed).values
        miss = torch.zeros_like(line) if self.truth is None else self.truth - line
        correction = torch.stack([miss] * len(LEVELS), 1)
        return Filled(line, (~observed).to(line.dtype), correction)


def test_it_is_registered_and_an_objective() -> None:
    assert OBJECTIVES["fill_gaps"] is FillGaps
    assert isinstance(FillGaps(FillGapsConfig()), Objective)


@pytest.mark.parametrize("masking", ["mixed", "points", "segments", "both"])
def test_linear_interpolation_scores_a_half_in_its_own_units(masking: Any) -> None:
    batch = make_batch(batch=60)
    found = loss(make_model(), batch, masking=masking)
    # With levels that are not symmetric the mean weight of an error is near a half only.
    assert 0.4 < found.total < 0.6
    assert found.count > 100


def test_a_share_of_the_rows_hides_its_end_alone() -> None:
    batch = make_batch()
    n_rows, time = batch.values.shape[0] * batch.values.shape[2], batch.values.shape[1]
    tasks = {share: FillGaps(FillGapsConfig(tail_share=share)) for share in (0.0, 1.0)}
    none, every = (
        task.draw(batch, torch.Generator().manual_seed(0)).transpose(1, 2).reshape(n_rows, time)
        for task in tasks.values()
    )
    ends = torch.arange(time) >= time - every.sum(1)[:, None]
    assert (every == ends).all()
    assert torch.equal(none, gap_masks.mixed_gaps(n_rows, time, torch.Generator().manual_seed(0)))


def test_the_truth_scores_zero() -> None:
    batch = make_batch()
    assert loss(Recorder(batch.values), batch).total < 1e-6


def test_in_input_units_it_is_the_pinball_loss_of_the_hidden_values() -> None:
    batch, model = make_batch(), make_model(drawn=True)
    objective = FillGaps(FillGapsConfig(masking="points", units="input"))
    found = objective(model, batch, torch.Generator().manual_seed(3))
    masked = objective.draw(batch, torch.Generator().manual_seed(3)) & batch.observed
    filled = model.fill(batch.values, batch.observed & ~masked, batch.inside)
    counted = masked & (filled.unit > 0)
    unsorted = (filled.line[:, None] + filled.correction).detach()
    expected = sum(
        mean_pinball_loss(batch.values[counted], unsorted[:, number][counted], alpha=level)
        for number, level in enumerate(LEVELS)
    ) / len(LEVELS)
    assert found.count == int(counted.sum())
    assert found.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("masking", ["mixed", "points", "segments", "both"])
def test_values_are_hidden_and_missing_ones_are_not_seen(masking: Any) -> None:
    batch, model = make_batch(), Recorder()
    found = loss(model, batch, masking=masking, segment_length=8)
    hidden = batch.observed & ~model.observed
    assert hidden.any()
    assert not (model.observed & ~batch.observed).any()
    assert found.count == int(hidden.sum())


def test_what_is_missing_never_teaches() -> None:
    batch, model = make_batch(), make_model(drawn=True)
    values = torch.where(batch.observed, batch.values, 1e6)
    other = WindowBatch(values, batch.observed, batch.inside, batch.item)
    assert torch.equal(loss(model, batch).total, loss(model, other).total)


@pytest.mark.parametrize("change", ["constant", "missing"])
def test_a_batch_without_anything_to_learn_has_loss_zero_and_a_gradient(change: str) -> None:
    batch, model = make_batch(), make_model(drawn=True)
    observed = batch.observed if change == "constant" else torch.zeros_like(batch.observed)
    values = torch.where(observed, torch.tensor(7.0), 0.0)
    found = loss(model, WindowBatch(values, observed, batch.inside, batch.item))
    assert found.total == 0
    assert found.count == 0
    found.total.backward()


def test_smooth_and_rough_series_weigh_alike() -> None:
    batch, model = make_batch(missing=0.0), make_model()
    scaled = batch.values * torch.tensor([1.0, 1e-3, 1e3, 1.0, 10.0, 1.0])[:, None, None]
    other = WindowBatch(scaled, batch.observed, batch.inside, batch.item)
    torch.testing.assert_close(
        loss(model, other).total, loss(model, batch).total, rtol=1e-3, atol=0
    )


def test_the_same_generator_gives_the_same_loss() -> None:
    batch, model = make_batch(), make_model(drawn=True)
    draws: Callable[[int], Any] = lambda seed: loss(model, batch, seed).total  # noqa: E731
    assert torch.equal(draws(1), draws(1))
    assert not torch.equal(draws(1), draws(2))
