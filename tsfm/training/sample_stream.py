"""Batches of whole samples for pre-training: from a set with a card, or made by the package.

Only the training part of a set is read, for batches, validation and statistics alike. Labels are
known to the objectives on labels (`tsfm.objectives.labels`) and decide nothing else, unless asked
for.
"""

from typing import Any

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.objectives.labels import LabelledSamples
from tsfm.series.cards import load_card
from tsfm.series.sample_form import SampleForm
from tsfm.series.samples import SampleSet, held_out
from tsfm.series.windows import WindowBatch
from tsfm.synthetic.samples import synthetic_samples
from tsfm.training.stream import STREAMS, DataInput


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SyntheticSamplesConfig:
    """Samples that the package makes: how many, how long at most, and of how many channels.

    Parameters
    ----------
    shortest_share
        Length of the shortest sample, as a share of the longest.
    missing_share
        Share of the values that is missing.
    """

    n_samples: PositiveInt = 512
    n_steps: PositiveInt = 64
    n_channels: PositiveInt = 3
    shortest_share: float = Field(default=0.75, gt=0, le=1)
    missing_share: float = Field(default=0.02, ge=0, lt=1)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SampleStreamConfig:
    """Whole samples of one set.

    Parameters
    ----------
    dataset
        A card, or ``card/subset``; empty for synthetic samples.
    samples_per_batch
        With several processes each has so many.
    validation_share
        Share of the training samples that is held out to choose the best weights by.
    window_length
        Steps of a window; of longer samples the last ones are taken. 0 stands for the length of
        the longest training sample.
    stratified
        Labels of all kinds, or sizes, are among the held-out samples.
    form
        What is done to every sample by itself; a model needs the channels that this appends.
    """

    dataset: str = ""
    samples_per_batch: PositiveInt = 32
    validation_share: float = Field(default=0.2, gt=0, le=0.5)
    window_length: int = Field(default=0, ge=0)
    stratified: bool = False
    form: SampleForm = SampleForm()
    synthetic: SyntheticSamplesConfig = SyntheticSamplesConfig()


@STREAMS.register("samples")
class SampleStream:
    """Every training sample once per epoch, in an order that is drawn anew for each.

    Values are standardised by the mean and deviation of every channel over the samples that are
    fitted on.
    """

    Config = SampleStreamConfig

    def __init__(self, config: SampleStreamConfig, *, seed: int, process: int = 0) -> None:
        self.config = config
        self._seed, self._process = seed, process
        # Every process makes the same samples and holds out the same.
        generator = np.random.default_rng([seed, 1 << 22])
        if config.dataset:
            samples = SampleSet.from_card(config.dataset).train
        else:
            samples = _synthetic(config.synthetic, generator)
        samples = config.form.of(samples)
        known = _ordered(samples.labels) if config.stratified else np.zeros(len(samples), int)
        fitted, self._held = held_out(known, config.validation_share, generator)
        if not len(self._held):
            raise ConfigError(
                f"validation_share must hold out a sample, got {config.validation_share} of "
                f"{len(samples)} training samples; raise it"
            )
        self._fitted = fitted
        self._scaler = samples.take(fitted).fit_scaler()
        self._samples = samples.scaled(self._scaler)
        self._epoch = (-1, fitted)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The card."""
        return (self.config.dataset.partition("/")[0],) if self.config.dataset else ()

    @property
    def synthetic_share(self) -> float:
        """All or nothing."""
        return 0.0 if self.config.dataset else 1.0

    @property
    def context_length(self) -> int:
        """Steps of a window."""
        return self.config.window_length or int(self._samples.lengths.max())

    @property
    def labelled(self) -> LabelledSamples | None:
        """The samples with their labels; None where there are no labels."""
        if self._samples.labels is None:
            return None
        return LabelledSamples(self._samples, self._scaler, self.context_length, self.config.form)

    @property
    def inputs(self) -> tuple[DataInput, ...]:
        """The set, with the checksum on its card."""
        cards = [load_card(name) for name in self.trained_on]
        return tuple(DataInput(card.name, card.sha256, card.source) for card in cards)

    @property
    def batches_per_epoch(self) -> int:
        """Batches until every training sample was seen."""
        return -(-len(self._fitted) // self.config.samples_per_batch)

    def __call__(self, number: int) -> WindowBatch:
        """Return training batch `number`; the last one of an epoch may be smaller."""
        epoch, place = divmod(number, self.batches_per_epoch)
        if self._epoch[0] != epoch:
            # A process draws an order of its own, so that together they see different samples.
            generator = np.random.default_rng([self._seed, self._process, epoch])
            self._epoch = (epoch, generator.permutation(self._fitted))
        return self._batch(self._epoch[1], place)

    def validation(self, number: int) -> WindowBatch:
        """Return validation batch `number`; they begin anew when all were seen."""
        n_batches = -(-len(self._held) // self.config.samples_per_batch)
        return self._batch(self._held, number % n_batches)

    def _batch(self, rows: np.ndarray, place: int) -> WindowBatch:
        size = self.config.samples_per_batch
        chosen = rows[place * size : (place + 1) * size]
        return self._samples.windows(chosen, self.context_length)


def _ordered(labels: Any) -> Any:
    """Return numbers as numbers, since the cards have all labels as text."""
    if labels is None:
        raise ConfigError(
            "stratified must be false for synthetic samples, which have no labels, got true; name "
            "a dataset"
        )
    try:
        return labels.astype(np.float64)
    except ValueError:
        return labels


def _synthetic(config: SyntheticSamplesConfig, generator: np.random.Generator) -> SampleSet:
    values = synthetic_samples(config.n_samples, config.n_steps, config.n_channels, generator)
    missing = generator.random(values.shape) < config.missing_share
    shortest = max(1, round(config.shortest_share * config.n_steps))
    lengths = generator.integers(shortest, config.n_steps + 1, config.n_samples)
    lengths[0] = config.n_steps
    rows = np.where(missing, np.nan, values.astype(np.float64)).transpose(0, 2, 1)
    return SampleSet.from_arrays(
        [row[:, :length] for row, length in zip(rows, lengths, strict=True)]
    )
