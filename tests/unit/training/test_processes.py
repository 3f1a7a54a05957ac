"""What several processes share must be what one of them does alone."""

from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from tsfm.training.muon import Muon, orthogonalised
from tsfm.training.optimizer import Optimizers
from tsfm.training.processes import Processes
from tsfm.training.throughput import _flops_of_step

SHAPES = [(8, 8)] * 5 + [(24, 8)]


def weights() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    found = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]
    for one in found:
        one.grad = torch.randn(one.shape, generator=generator)
    return found


def moved(processes: Processes) -> tuple[list[torch.Tensor], int]:
    """The weights after two steps, and the operations that this process spent on one more."""
    mine = weights()
    optimizer = Muon(mine, lr=0.1, weight_decay=0.01, processes=processes)
    for _ in range(2):
        optimizer.step()
    flops = _flops_of_step(Optimizers(optimizer))
    return [one.data for one in mine], flops


def work(rank: int, count: int, folder: Path) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=count)
    torch.save(moved(Processes(rank, count)), folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize("count", [2, 3])
def test_shared_muon_moves_weights_as_one_process_does(tmp_path: Path, count: int) -> None:
    multiprocessing.spawn(work, (count, tmp_path), nprocs=count)
    alone, flops_alone = moved(Processes())
    found = [torch.load(tmp_path / f"{rank}.pt") for rank in range(count)]
    for shared, flops in found:
        for mine, expected, same in zip(shared, alone, found[0][0], strict=True):
            torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-6)
            assert torch.equal(mine, same)
        assert flops < 0.8 * flops_alone


def test_one_process_maps_all_rows() -> None:
    rows = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Processes().map(orthogonalised, rows), orthogonalised(rows))
