"""The loss on held-out windows, the same ones every time."""

from collections.abc import Callable

import torch

from tsfm.errors import DataError
from tsfm.training.step import TrainingStep
from tsfm.training.stream import BatchStream


def held_out_loss(
    stream: BatchStream, n_batches: int, seed: int, device: torch.device
) -> Callable[[TrainingStep], float]:
    """Return what measures the mean loss over the targets of some validation batches.

    Parameters
    ----------
    seed
        Of what an objective draws, such as the spans that it hides.

    Raises
    ------
    DataError
        By what is returned, when no window has a target.
    """

    @torch.no_grad()
    def measure(trained: TrainingStep) -> float:
        trained.eval()
        total, count = 0.0, 0
        for number in range(n_batches):
            generator = torch.Generator().manual_seed(seed + number)
            loss = trained(stream.validation(number).to(device), generator)
            total, count = total + loss.total.item() * loss.count, count + loss.count
        if not count:
            raise DataError(
                "held-out windows must have values to measure a loss on, got none in "
                f"{n_batches} batches; give longer series, or set training.validate_every=0"
            )
        return total / count

    return measure
