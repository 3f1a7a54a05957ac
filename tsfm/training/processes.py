"""Several processes train one model: started by torchrun, they agree on every gradient."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Processes:
    """The place of a process among all that train together."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes, logs and shows."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return a module whose gradients are the mean over all processes."""
        if self.count == 1:
            return module
        # An objective need not use every weight of a backbone.
        return DistributedDataParallel(module, find_unused_parameters=True)

    def hold_back(self, module: nn.Module, *, hold: bool) -> AbstractContextManager[None]:
        """Let gradients wait for a later micro-batch of the step before they are exchanged."""
        if hold and isinstance(module, DistributedDataParallel):
            context: AbstractContextManager[None] = module.no_sync()
            return context
        return nullcontext()

    def sum_(self, numbers: torch.Tensor) -> torch.Tensor:
        """Replace `numbers` by their sum over all processes."""
        if self.count > 1:
            distributed.all_reduce(numbers)
        return numbers

    def map(
        self, function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor
    ) -> torch.Tensor:
        """Return `function` of `rows`, which all processes have: each computes its part of them.

        `function` must treat every row by itself and keep its shape.
        """
        if self.count == 1:
            return function(rows)
        n_each = -(-len(rows) // self.count)
        first = min(self.rank * n_each, len(rows) - n_each)  # the last ones may overlap
        own = function(rows[first : first + n_each]).contiguous()
        parts = [torch.empty_like(own) for _ in range(self.count)]
        distributed.all_gather(parts, own)
        mapped = torch.empty_like(rows)
        for rank, part in enumerate(parts):
            first = min(rank * n_each, len(rows) - n_each)
            mapped[first : first + n_each] = part
        return mapped


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started; without it there is just this one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
