"""Batches from one multivariate data set with its usual splits, for training on that set."""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.series.cards import load_card
from tsfm.series.ltsf_set import read_ltsf_set
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.windows import WindowArrays, WindowBatch, gather
from tsfm.shapes import Int, ndarray
from tsfm.training.stream import STREAMS, DataInput


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class DatasetStreamConfig:
    """Windows of one card.

    Parameters
    ----------
    split
        Rows for training, validation and test; by default 70, 10 and 20 %.
    window_length
        Context and target together.
    windows_per_batch
        With several processes each has so many.
    share
        Of the training windows, for few-shot curves.
    which
        ``"random"``: windows drawn from all of the training rows, from every channel alike;
        ``"earliest"`` and ``"latest"``: a contiguous part.
    channels
        ``"apart"``: every channel is a series by itself; ``"together"``: a window has all of them.
    missing
        ``"refuse"`` a set in which a value is missing, as the protocol does, or ``"keep"`` it.
    """

    dataset: str
    split: tuple[int, int, int] | None = None
    window_length: PositiveInt = 768
    windows_per_batch: PositiveInt = 32
    share: float = Field(default=1.0, gt=0, le=1)
    which: str = Field(default="random", pattern="^(random|earliest|latest)$")
    channels: Literal["apart", "together"] = "apart"
    missing: Literal["refuse", "keep"] = "refuse"


@STREAMS.register("dataset")
class DatasetStream:
    """Every training window once per epoch, in an order that is drawn anew for each."""

    Config = DatasetStreamConfig
    synthetic_share = 0.0

    def __init__(self, config: DatasetStreamConfig, *, seed: int, process: int = 0) -> None:
        self.config = config
        self._seed, self._process = seed, process
        data = read_ltsf_set(config.dataset, config.split, missing=config.missing)
        known = data.values[: data.test_start]
        self._pool = SingleSeriesPool.from_series(
            list(known.T), train_share=data.train_end / len(known), name=config.dataset
        )
        if data.train_end < config.window_length or data.test_start == data.train_end:
            raise ConfigError(
                f"window_length must be at most the {data.train_end} training rows of "
                f"{config.dataset}, which must have validation rows, got window_length="
                f"{config.window_length} and {data.test_start - data.train_end} validation rows"
            )
        first = np.arange(config.window_length, data.train_end + 1)
        self._n_channels = data.values.shape[1]
        n_items = 1 if config.channels == "together" else self._n_channels
        self._train = self._few(first, n_items)
        ends = np.arange(data.train_end + 1, data.test_start + 1)
        self._validation = _pairs(np.arange(n_items), ends)
        self._train_end = data.train_end
        self._epoch = (-1, self._train)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The one set."""
        return (self.config.dataset,)

    @property
    def context_length(self) -> int:
        """Steps of a window."""
        return self.config.window_length

    @property
    def inputs(self) -> tuple[DataInput, ...]:
        """The set, with the checksum on its card."""
        card = load_card(self.config.dataset)
        return (DataInput(card.name, card.sha256, card.source),)

    @property
    def batches_per_epoch(self) -> int:
        """Batches until every training window was seen."""
        return -(-len(self._train) // self.config.windows_per_batch)

    def __call__(self, number: int) -> WindowBatch:
        """Return training batch `number`; the last one of an epoch may be smaller."""
        epoch, place = divmod(number, self.batches_per_epoch)
        if self._epoch[0] != epoch:
            # A process draws an order of its own, so that together they see different windows.
            generator = np.random.default_rng([self._seed, self._process, epoch])
            self._epoch = (epoch, generator.permutation(self._train))
        size = self.config.windows_per_batch
        return self._windows(self._epoch[1][place * size : (place + 1) * size])

    def validation(self, number: int) -> WindowBatch:
        """Return validation batch `number`: windows that end in the validation rows.

        Only steps in the validation rows are targets; the context reaches back before them.
        """
        generator = np.random.default_rng([self._seed, 1 << 20, number])
        size = min(4 * self.config.windows_per_batch, len(self._validation))
        pairs = generator.choice(self._validation, size, replace=False)
        batch = self._windows(pairs)
        step = pairs[:, 1:] - self.config.window_length + np.arange(self.config.window_length)
        supervised = batch.observed & torch.from_numpy(step >= self._train_end)[..., None]
        return replace(batch, supervised=supervised)

    def _few(
        self, ends: Int[ndarray, " window"], n_items: int
    ) -> Int[ndarray, "pair channel_and_end"]:
        """Return the share of the windows that training may use."""
        n_kept = max(1, round(len(ends) * self.config.share))
        items = np.arange(n_items)
        if self.config.which == "earliest":
            return _pairs(items, ends[:n_kept])
        if self.config.which == "latest":
            return _pairs(items, ends[-n_kept:])
        generator = np.random.default_rng([self._seed, 1 << 21])
        kept = [generator.choice(ends, n_kept, replace=False) for _ in items]
        return np.stack([np.repeat(items, n_kept), np.concatenate(kept)], 1)

    def _windows(self, pairs: Int[ndarray, "pair channel_and_end"]) -> WindowBatch:
        item, end = pairs.T
        span = self.config.window_length
        if self.config.channels == "apart":
            return WindowArrays(*gather(self._pool, item, end, span), item).to_batch()
        pattern = "(window channel) time -> window time channel"
        rows = np.tile(np.arange(self._n_channels), len(end)), np.repeat(end, self._n_channels)
        values, observed, inside = (
            torch.from_numpy(rearrange(x, pattern, channel=self._n_channels).copy())
            for x in gather(self._pool, *rows, span)
        )
        return WindowBatch(values, observed, inside[..., 0].contiguous(), torch.from_numpy(item))


def _pairs(
    channels: Int[ndarray, " channel"], ends: Int[ndarray, " window"]
) -> Int[ndarray, "pair channel_and_end"]:
    return np.stack([np.repeat(channels, len(ends)), np.tile(ends, len(channels))], 1)
