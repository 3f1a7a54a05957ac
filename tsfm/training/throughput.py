"""How much of what the machine can do a run uses."""

import copy
import time
from collections import Counter

import torch
from torch.utils.flop_counter import FlopCounterMode

from tsfm.series.windows import WindowBatch
from tsfm.training.optimizer import Optimizers
from tsfm.training.step import TrainingStep

SQUARE = 1536
REPEATS = 8


class FlopCount:
    """Floating-point operations of the matrix products of a run: those of model and optimizer.

    One batch of every shape is kept and counted when the run is over, on a copy of the weights:
    counting takes another path through the operators, which ends in other last bits.
    """

    def __init__(self) -> None:
        self._batches: dict[torch.Size, WindowBatch] = {}
        self._times: Counter[torch.Size] = Counter()

    def add(self, batch: WindowBatch) -> None:
        """Note one forward and backward pass over `batch`."""
        shape = batch.values.shape
        self._batches.setdefault(shape, batch)
        self._times[shape] += 1

    def total(
        self, trained: TrainingStep, optimizer: Optimizers, n_steps: int, device: torch.device
    ) -> tuple[float, float]:
        """Return the operations of all passes, and those of the steps that moved the weights.

        The gradients of the last step must still be there: what has none is not moved.
        """
        flops = 0.0
        module = copy.deepcopy(trained).train()
        for shape, batch in self._batches.items():
            with FlopCounterMode(display=False) as counter:
                module(batch.to(device), torch.Generator().manual_seed(0)).total.backward()
            flops += counter.get_total_flops() * self._times[shape]
        return flops, float(_flops_of_step(optimizer) * n_steps)


def _flops_of_step(optimizer: Optimizers) -> int:
    spare = copy.deepcopy(optimizer)
    for group, original in zip(spare.param_groups, optimizer.param_groups, strict=True):
        for one, its_original in zip(group["params"], original["params"], strict=True):
            one.grad = its_original.grad  # a copy of a weight has none
    with FlopCounterMode(display=False) as counter:
        spare.step()
    return counter.get_total_flops()


@torch.no_grad()
def matrix_product_gflops(device: torch.device) -> float:
    """Return the billions of operations per second of a large product: the limit of this machine.

    The best of several, since a busy neighbour only ever slows one down.
    """
    left, right = torch.randn(2, SQUARE, SQUARE, device=device)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        (left @ right)[0, 0].item()  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    return 2 * SQUARE**3 / min(seconds) / 1e9
