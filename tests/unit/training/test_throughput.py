"""A share of the machine's limit is worth reading only if the operations are counted right."""

import torch
from torch import nn

from tsfm.objectives.objective import Loss
from tsfm.series.windows import WindowBatch
from tsfm.training.muon import ITERATIONS, Muon
from tsfm.training.optimizer import OptimizerConfig, Optimizers, make_optimizer
from tsfm.training.step import TrainingStep
from tsfm.training.throughput import FlopCount, matrix_product_gflops


class OneMatrix:
    """An objective of one product, whose input has a gradient."""

    requires = nn.Linear

    def __call__(self, model: nn.Linear, batch: WindowBatch, generator: torch.Generator) -> Loss:
        x = batch.values[..., 0].clone().requires_grad_(True)
        return Loss(model(x).sum(), 1)


def batch_of(n_windows: int) -> WindowBatch:
    values = torch.zeros(n_windows, 16, 1)
    return WindowBatch(
        values,
        torch.ones_like(values).bool(),
        torch.ones(n_windows, 16).bool(),
        torch.zeros(n_windows, dtype=torch.int64),
    )


def test_forward_and_backward_of_a_matrix_are_three_products() -> None:
    flops = FlopCount()
    for n_windows in (8, 4, 8):
        flops.add(batch_of(n_windows))
    trained = TrainingStep(nn.Linear(16, 32, bias=False), OneMatrix())
    optimizer = make_optimizer(trained, OptimizerConfig())
    passes, moves = flops.total(trained, optimizer, 3, torch.device("cpu"))
    assert moves == 0
    assert passes == 3 * 2 * (8 + 4 + 8) * 16 * 32
    assert trained.backbone.weight.grad is None


def test_products_of_the_optimizer_count_once_a_step() -> None:
    weight = nn.Parameter(torch.ones(16, 32))
    weight.grad = torch.ones_like(weight)
    optimizer = Optimizers(Muon([weight], lr=0.1))
    trained = TrainingStep(nn.Linear(16, 32), OneMatrix())
    passes, moves = FlopCount().total(trained, optimizer, 5, torch.device("cpu"))
    assert passes == 0
    # Of 16 rows with 32 columns twice, of 16 with 16 once and four times in every later iteration.
    assert moves == 5 * (2 * 2 * 16 * 16 * 32 + (1 + 4 * (ITERATIONS - 1)) * 2 * 16**3)
    assert torch.equal(weight, torch.ones(16, 32))
    assert not optimizer.state


def test_the_limit_is_a_rate_of_this_machine() -> None:
    assert 0.1 < matrix_product_gflops(torch.device("cpu")) < 1e6
