"""Training on labels: an encoder and a head learn from whole samples until a held-out part stalls.

This is a loop of its own: the one of `tsfm.training.fit` counts steps of a stream of windows,
resumes, and measures the machine, which takes longer than training on forty samples does.
"""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from tsfm.errors import NonFiniteLossError
from tsfm.models.heads import SeriesHead
from tsfm.models.model import TimeSeriesModel
from tsfm.series.samples import SampleSet
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float, Int, Scalar, Tensor, ndarray
from tsfm.tasks.samples.augmentation import augmented
from tsfm.training.optimizer import (
    OptimizerConfig,
    Optimizers,
    ScheduleConfig,
    make_optimizer,
    rate_at,
)
from tsfm.training.progress import Progress

Measure = Callable[[Float[Tensor, "batch output"], Tensor], Scalar]
# Without held-out samples nothing picks a good moment, so the rate falls until the weights rest.
SCHEDULE = ScheduleConfig(warmup_steps=20, decay_share=0.0)
TO_THE_END = ScheduleConfig(warmup_steps=20, decay_share=0.7, final_share=0.0)
# That of the release.
GRADIENT_CLIP = 4.0


@dataclass(frozen=True)
class LabelTask:
    """Scaled samples, the target of each, and how outputs are compared with targets.

    Parameters
    ----------
    loss
        What training lowers, a mean over samples.
    error
        What the weights are chosen by, a mean over samples; of equal ones the lower loss wins.
    """

    samples: SampleSet
    targets: Tensor
    loss: Measure
    error: Measure


@dataclass(frozen=True)
class LabelTraining:
    """How long and how fast; see `SeriesClassifier`."""

    learning_rate: float
    weight_decay: float
    max_epochs: int
    patience: int
    samples_per_batch: int
    batch_size: int
    seed: int
    augmentation: float = 0.0


class LabelKind(ABC):
    """What a kind of label must say for itself: `_head` is the name of its head."""

    _head: str

    @abstractmethod
    def _targets(self, labels: ndarray) -> tuple[Tensor, dict[str, Any]]:
        """Return what the head learns, and its own options."""

    @abstractmethod
    def _build_head(self, options: dict[str, Any]) -> SeriesHead:
        """Return a head."""

    @abstractmethod
    def _loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean loss of outputs of the head."""

    def _error(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean of what the epoch is chosen by: the loss, unless a kind says else."""
        return self._loss(output, target)


class Trained(NamedTuple):
    """What a training was like: one entry per epoch, and the epoch whose weights were kept.

    Epoch 0 is the start.
    """

    history: list[dict[str, float]]
    best_epoch: int

    @property
    def lowest_loss(self) -> float:
        """On held-out samples where there are any, else in training."""
        return min(entry.get("validation_loss", entry["train_loss"]) for entry in self.history)


class Labelled(nn.Module):
    """A model and one of its heads: windows of whole samples in, outputs of the head out.

    `is_frozen` says that only the head learns: the encoder then works as in prediction, without
    dropout and with the moments it has.
    """

    def __init__(self, model: TimeSeriesModel, head: str, *, is_frozen: bool = False) -> None:
        super().__init__()
        self.backbone: Any = model.backbone.requires_grad_(not is_frozen)
        self.head = model.heads[head]
        self.is_frozen = is_frozen
        config: Any = self.head.config
        # The first patch of the longest series may have fewer steps than it could.
        whole: int = config.n_tokens * config.patch_length
        self.window_length = min(whole, getattr(self.backbone.config, "context_length", whole))

    def train(self, mode: bool = True) -> "Labelled":
        """Switch to training or to prediction."""
        super().train(mode)
        if self.is_frozen:
            self.backbone.eval()
        return self

    def forward(self, batch: WindowBatch) -> Float[Tensor, "batch output"]:
        """Return the outputs of the head."""
        tokens = self.backbone.encode(batch.values, batch.observed, batch.inside)
        return self.head(tokens, batch.inside)

    def batches(
        self, samples: SampleSet, rows: Int[ndarray, " chosen"], size: int
    ) -> Iterator[tuple[ndarray, WindowBatch]]:
        """Yield so many rows at a time with their windows, as long as the longest of them."""
        device = next(self.head.parameters()).device
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            length = min(self.window_length, int(samples.lengths[chosen].max()))
            yield chosen, samples.windows(chosen, length).to(device)


def train_on_labels(
    labelled: Labelled,
    task: LabelTask,
    *,
    fitted: Int[ndarray, " fitted"],
    held: Int[ndarray, " held"],
    options: LabelTraining,
    progress: bool | None = None,
) -> Trained:
    """Train in place; the weights with the lowest error on the `held` samples are kept.

    Those it starts from take part, so the error there never gets worse. Without held samples the
    learning rate falls to zero and the last weights are kept. Dropout draws from torch's own
    generator, which is seeded here.

    Returns
    -------
    trained
        Entries are ``train_loss`` and, with held samples, ``validation_error`` and
        ``validation_loss``.

    Raises
    ------
    NonFiniteLossError
        When the loss is not finite.
    """
    config = OptimizerConfig(learning_rate=options.learning_rate, weight_decay=options.weight_decay)
    optimizer = make_optimizer(labelled, config)
    generator = np.random.default_rng([options.seed, 1])
    history: list[dict[str, float]] = []
    best, best_epoch = copy.deepcopy(labelled.state_dict()), 0
    schedule = SCHEDULE if len(held) else TO_THE_END
    lowest = measured(labelled, task, held, options.batch_size)
    bar = Progress(options.max_epochs, show=progress)
    started = time.perf_counter()
    torch.manual_seed(options.seed)
    for epoch in range(1, options.max_epochs + 1):
        order = generator.permutation(fitted)
        loss = _epoch(labelled, task, order, epoch - 1, optimizer, options, schedule)
        entry = {"train_loss": loss}
        if len(held):
            found = measured(labelled, task, held, options.batch_size)
            entry |= {"validation_error": found[0], "validation_loss": found[1]}
        history.append(entry)
        if not np.isfinite(list(entry.values())).all():
            raise NonFiniteLossError(
                f"loss must be finite, got {entry} in epoch {epoch}; lower learning_rate or "
                "look for extreme values"
            )
        n_points = epoch * len(fitted) * labelled.window_length
        bar.update(epoch, entry["train_loss"], n_points / (time.perf_counter() - started))
        if not len(held):
            continue
        if found < lowest:
            lowest, best_epoch = found, epoch
            best = copy.deepcopy(labelled.state_dict())
        elif epoch - best_epoch >= options.patience:
            break
    bar.close()
    if len(held):
        labelled.load_state_dict(best)
    labelled.eval().requires_grad_(True)
    return Trained(history, best_epoch if len(held) else len(history))


def _epoch(
    labelled: Labelled,
    task: LabelTask,
    rows: Int[ndarray, " fitted"],
    epoch: int,
    optimizer: Optimizers,
    options: LabelTraining,
    schedule: ScheduleConfig,
) -> float:
    """Take one step per batch; return the mean loss of the samples as they were met."""
    generator = torch.Generator().manual_seed(options.seed + epoch)
    labelled.train()
    weights = [one for one in labelled.parameters() if one.requires_grad]
    per_epoch = -(-len(rows) // options.samples_per_batch)
    total = 0.0
    batches = labelled.batches(task.samples, rows, options.samples_per_batch)
    for number, (chosen, batch) in enumerate(batches):
        step = epoch * per_epoch + number
        rate = rate_at(step, options.max_epochs * per_epoch, options.learning_rate, schedule)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if options.augmentation:
            batch = augmented(batch, options.augmentation, generator)
        optimizer.zero_grad()
        loss = task.loss(labelled(batch), task.targets[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, GRADIENT_CLIP)
        optimizer.step()
        total += loss.item() * len(chosen)
    return total / len(rows)


@torch.no_grad()
def measured(
    labelled: Labelled, task: LabelTask, rows: Int[ndarray, " chosen"], batch_size: int
) -> tuple[float, float]:
    """Return the mean error and the mean loss of the samples `rows`, both NaN without any."""
    labelled.eval()
    sums = np.zeros(2)
    for chosen, batch in labelled.batches(task.samples, rows, batch_size):
        output, target = labelled(batch), task.targets[chosen]
        both = task.error(output, target).item(), task.loss(output, target).item()
        sums += np.array(both) * len(chosen)
    error, loss = sums / len(rows) if len(rows) else (float("nan"), float("nan"))
    return float(error), float(loss)


@torch.no_grad()
def outputs(
    labelled: Labelled, samples: SampleSet, batch_size: int
) -> Float[Tensor, "sample output"]:
    """Return the outputs of the head for every sample, on the CPU."""
    labelled.eval()
    rows = np.arange(len(samples))
    found = [labelled(batch).cpu() for _, batch in labelled.batches(samples, rows, batch_size)]
    return torch.cat(found)
