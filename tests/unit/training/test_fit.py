"""The loop must do what its options say: resume, average, accumulate and select, exactly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tsfm.errors import ConfigError, DataError
from tsfm.models.timer import Timer, TimerConfig
from tsfm.objectives.next_patch import NextPatch, NextPatchConfig
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.windows import WindowBatch
from tsfm.tracking import ListTracker
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer
from tsfm.training.pool_stream import PoolStream, PoolStreamConfig
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep
from tsfm.training.validation import held_out_loss

SMALL = TimerConfig(d_model=16, n_heads=2, n_layers=1, d_ff=32, patch_length=8, dropout=0.1)
RATE = OptimizerConfig(learning_rate=1e-2)


def new_state(config: TimerConfig = SMALL) -> TrainingState:
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    trained = TrainingStep(backbone, NextPatch(NextPatchConfig(hidden_share=0.5)))
    return TrainingState(trained, make_optimizer(trained, RATE))


def batch_of(numbers: list[int]) -> WindowBatch:
    """Waves with a phase per number."""
    phase = torch.tensor(numbers, dtype=torch.float32)[:, None]
    values = torch.sin(torch.arange(64) / 4 + phase)[..., None]
    return WindowBatch(
        values,
        torch.ones_like(values, dtype=torch.bool),
        torch.ones(values.shape[:2], dtype=torch.bool),
        torch.zeros(len(numbers), dtype=torch.int64),
    )


def four(number: int) -> WindowBatch:
    return batch_of([4 * number + one for one in range(4)])


def run(
    state: TrainingState,
    folder: Path,
    batches: Callable[[int], WindowBatch] = four,
    *,
    tracker: ListTracker | None = None,
    validate: Any = None,
    **training: Any,
) -> dict[str, Any]:
    return fit(
        state,
        batches,
        seed=0,
        optimizer=RATE,
        schedule=ScheduleConfig(warmup_steps=2),
        training=TrainingConfig(**{"log_every": 1, "save_every": 0, **training}),
        folder=folder,
        tracker=tracker or ListTracker(),
        device=torch.device("cpu"),
        validate=validate,
        progress=False,
    )


def weights(state: TrainingState) -> list[torch.Tensor]:
    return [one.detach().clone() for one in state.average.parameters()]


def gradients(state: TrainingState) -> list[torch.Tensor]:
    """After one step the optimizer's first moment is the gradient, but for a factor."""
    return [one["exp_avg"] for one in state.optimizer.state.values()]


def equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_one_batch_is_learned_by_heart(tmp_path: Path) -> None:
    state = new_state(TimerConfig(d_model=32, n_heads=2, n_layers=2, d_ff=64, patch_length=8))
    tracker = ListTracker()
    run(state, tmp_path, lambda _: batch_of([0, 1, 2]), steps=150, tracker=tracker)
    losses = [content[1]["train/loss"] for event, content in tracker.events if event == "log"]
    assert losses[-1] < 0.2 * losses[0]


def test_resuming_equals_not_stopping_dropout_included(tmp_path: Path) -> None:
    whole = new_state()
    options = {"steps": 12, "save_every": 6, "average_decay": 0.9, "accumulate": 2}
    run(whole, tmp_path / "whole", **options)

    class StoppedError(Exception):
        pass

    def stopping(number: int) -> WindowBatch:
        if number == 15:
            raise StoppedError
        return four(number)

    with pytest.raises(StoppedError):
        run(new_state(), tmp_path / "stopped", stopping, **options)
    resumed = new_state()
    assert resumed.restore(tmp_path / "stopped")
    assert resumed.step == 6
    run(resumed, tmp_path / "stopped", **options)
    assert equal(weights(whole), weights(resumed))
    assert resumed.points == whole.points


def test_accumulated_micro_batches_weigh_by_their_values(tmp_path: Path) -> None:
    """One step over batches of three windows and one is a step over all four."""
    config = TimerConfig(d_model=16, n_heads=2, n_layers=1, d_ff=32, patch_length=8)

    def state() -> TrainingState:
        backbone = Timer(config)
        backbone.reset_parameters(torch.Generator().manual_seed(0))
        trained = TrainingStep(backbone, NextPatch(NextPatchConfig()))
        return TrainingState(trained, make_optimizer(trained, RATE))

    whole, parts = state(), state()
    options = {"steps": 1, "gradient_clip": 1e9}
    together = run(whole, tmp_path, lambda _: batch_of([0, 1, 2, 3]), **options)
    thirds = [[0, 1, 2], [3]]
    split = run(parts, tmp_path, lambda n: batch_of(thirds[n]), accumulate=2, **options)
    assert split["loss"] == pytest.approx(together["loss"], rel=1e-6)
    for one, other in zip(gradients(whole), gradients(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_the_average_is_the_exponential_one(tmp_path: Path) -> None:
    seen: list[list[np.ndarray]] = []
    state = new_state()

    def watching(number: int) -> WindowBatch:
        seen.append([one.detach().numpy().copy() for one in state.trained.parameters()])
        return four(number)

    run(state, tmp_path, watching, steps=6, average_decay=0.7, average_from=0.5)
    seen.append([one.detach().numpy() for one in state.trained.parameters()])
    # The state after step 2 is the average until step 3, the first one past half of the run.
    expected = seen[2]
    for step in (3, 4, 5, 6):
        expected = [0.7 * old + 0.3 * new for old, new in zip(expected, seen[step], strict=True)]
    for one, other in zip(expected, weights(state), strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-6)


def test_the_best_weights_are_kept_and_patience_ends_the_run(tmp_path: Path) -> None:
    measured = iter([4.0, 3.0, 1.0, 2.0, 2.0, 2.0, 2.0])
    state = new_state()
    at_best: list[torch.Tensor] = []

    def validate(trained: TrainingStep) -> float:
        loss = next(measured)
        if loss == 1.0:
            at_best.extend(one.detach().clone() for one in trained.parameters())
        return loss

    result = run(state, tmp_path, validate=validate, steps=100, validate_every=2, patience=2)
    assert result["steps"] < 12
    assert result["best_step"] == 4
    assert result["validation_loss"] == 1.0
    best = list(state.delivered(best=True).parameters())
    assert equal(best, at_best)
    last = list(state.delivered(best=False).parameters())
    assert not equal(last, at_best)


def test_a_run_that_patience_ends_between_two_records_has_taken_time(tmp_path: Path) -> None:
    measured = iter([1.0, 2.0, 2.0, 2.0])
    options = {"steps": 100, "log_every": 50, "validate_every": 1, "patience": 2}
    result = run(new_state(), tmp_path, validate=lambda _: next(measured), **options)
    assert result["steps"] == 3
    assert result["seconds"] > 0
    assert 0 < result["share_of_matrix_product_limit"] < 2


def empty(number: int) -> WindowBatch:
    """Windows in which nothing was observed."""
    batch = four(number)
    return replace(batch, observed=torch.zeros_like(batch.observed))


def test_windows_without_a_value_to_learn_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the first step must have values to learn, got none"):
        run(new_state(), tmp_path, empty, steps=2)


def test_held_out_windows_without_a_target_have_no_loss() -> None:
    short = SingleSeriesPool.from_series([np.arange(5.0)])
    stream = PoolStream(PoolStreamConfig(bank_rows=1), seed=0, pool=short)
    measure = held_out_loss(stream, 2, 0, torch.device("cpu"))
    with pytest.raises(DataError, match=r"got none in 2 batches; .*training\.validate_every=0"):
        measure(new_state().trained)


def test_an_objective_refuses_a_backbone_that_cannot_serve_it() -> None:
    with pytest.raises(ConfigError, match="NextPatch needs a NextPatchModel, got Linear"):
        TrainingStep(torch.nn.Linear(2, 2), NextPatch(NextPatchConfig()))
