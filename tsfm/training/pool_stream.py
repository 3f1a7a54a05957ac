"""Batches from a single-series pool and from the synthetic prior, augmented, of many lengths.

Every batch has a generator of its own, seeded by run, process and number.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt, model_validator
from pydantic.dataclasses import dataclass

from tsfm.series.pool import SingleSeriesPool, read_index
from tsfm.series.windows import WindowArrays, WindowBatch, WindowSampler
from tsfm.synthetic import augment
from tsfm.synthetic.mixture import SHARES, SyntheticMixture
from tsfm.training.stream import STREAMS, DataInput

# Steps of a synthetic row, of which windows are crops; and rows drawn at once.
ROWS_AT_ONCE = 128
# Standardised values beyond this are outliers that no loss should follow.
LARGEST_VALUE = 1e4
VALIDATION_SEED = 0
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PoolStreamConfig:
    """What a training batch is made of.

    Parameters
    ----------
    points_per_batch
        Windows times window length; short windows come in larger batches. With several processes
        each has so many.
    window_lengths, length_shares
        Lengths in steps and how often each is drawn.
    pool
        Folder of a single-series pool; empty for synthetic series only.
    real_share
        Share of the windows that come from the pool.
    temperature, series_exponent, factors
        See `WindowSampler`.
    synthetic_shares
        Weights of families of the prior that differ from its own; see `SyntheticMixture`.
    bank_rows, refresh_every
        Synthetic rows kept, and after how many batches 128 of them are drawn anew.
    down_sampled_share, most_down_sampled
        Share of the batches whose real windows are shown at a lower rate, and the lowest rate.
    flipped_share, mixed_share
        Share of the real windows turned upside down, and of all windows mixed with others.
    cut_share, missing_share
        Share of the windows shortened from the left, and of those with values taken out.
    """

    points_per_batch: PositiveInt = 32_768
    window_lengths: tuple[PositiveInt, ...] = (512,)
    length_shares: tuple[Share, ...] = (1.0,)
    pool: str = ""
    real_share: Share = 0.5
    temperature: float = 0.4
    series_exponent: float = 0.5
    factors: Mapping[str, float] = field(default_factory=dict)
    synthetic_shares: Mapping[str, float] = field(default_factory=dict)
    bank_rows: PositiveInt = 6144
    refresh_every: PositiveInt = 8
    down_sampled_share: Share = 0.4
    most_down_sampled: PositiveInt = 24
    flipped_share: Share = 0.2
    mixed_share: Share = 0.15
    cut_share: Share = 0.5
    missing_share: Share = 0.1

    @model_validator(mode="after")
    def _check(self) -> "PoolStreamConfig":
        shares = self.length_shares
        if len(shares) != len(self.window_lengths) or abs(sum(shares) - 1) > 1e-6:
            raise ValueError(
                "length_shares must sum to 1 and be as many as window_lengths, got "
                f"length_shares={shares} and window_lengths={self.window_lengths}"
            )
        return self

    def located(self) -> "PoolStreamConfig":
        """Return the same with the pool named from the root, so that a replay elsewhere finds it.

        ``~`` is the user's home.
        """
        if not self.pool:
            return self
        return replace(self, pool=str(Path(self.pool).expanduser().absolute()))


@STREAMS.register("pool")
class PoolStream:
    """Batches of a run; see `PoolStreamConfig`."""

    Config = PoolStreamConfig

    def __init__(
        self,
        config: PoolStreamConfig,
        *,
        seed: int,
        process: int = 0,
        pool: SingleSeriesPool | None = None,
    ) -> None:
        self.config = config
        self._seed = (seed, process)
        self._sampler = self._validation_sampler = None
        if config.pool:
            pool = SingleSeriesPool.open(Path(config.pool).expanduser())
        if pool is not None:
            mixture = (config.temperature, config.series_exponent, config.factors)
            self._sampler = WindowSampler(pool, *mixture)
            self._validation_sampler = WindowSampler(pool, *mixture, part="validation")
        self._mixture = SyntheticMixture(
            length=max(config.window_lengths) + 256,
            shares={**SHARES, **config.synthetic_shares},
        )
        n_chunks = max(1, config.bank_rows // ROWS_AT_ONCE) if self.synthetic_share else 0
        self._chunk_numbers = [-1] * n_chunks
        self._bank = np.zeros((n_chunks * ROWS_AT_ONCE, self._mixture.length), np.float32)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data sets that can be drawn."""
        if self._sampler is None:
            return ()
        factors = self.config.factors
        return tuple(n for n in self._sampler.pool.datasets if factors.get(n, 1.0) > 0)

    @property
    def inputs(self) -> tuple[DataInput, ...]:
        """The pool, with the digest that `tsfm data build` wrote."""
        if not self.config.pool:
            return ()
        folder = Path(self.config.located().pool)
        return (DataInput(folder.name, read_index(folder)["sha256"]["values"], str(folder)),)

    @property
    def context_length(self) -> int:
        """The longest window."""
        return max(self.config.window_lengths)

    @property
    def synthetic_share(self) -> float:
        """Share of the windows that no card stands for."""
        return 1.0 - self.config.real_share if self._sampler is not None else 1.0

    def validation(self, number: int) -> WindowBatch:
        """Return held-out windows as they are: of the end of every series, or newly drawn ones.

        They are the same for every seed, so that losses of two runs on one pool can be compared.
        """
        config = self.config
        generator = np.random.default_rng([VALIDATION_SEED, 2, number])
        length = config.window_lengths[number % len(config.window_lengths)]
        n_windows = max(1, config.points_per_batch // length)
        if self._validation_sampler is not None:
            windows = self._validation_sampler.sample(n_windows, length, generator)
        else:
            values = self._mixture.sample(n_windows, generator)[:, -length:]
            full = np.ones(values.shape, bool)
            windows = WindowArrays(values, full, full.copy(), np.full(n_windows, -1))
        values, observed, inside, item = windows
        values = np.where(observed, _standardized(values, observed), 0).astype(np.float32)
        return WindowArrays(values, observed, inside, item).to_batch()

    def __call__(self, number: int) -> WindowBatch:
        """Return training batch `number`."""
        config = self.config
        generator = np.random.default_rng([*self._seed, 0, number])
        # The same in all processes, or those with short windows would wait for the others.
        common = np.random.default_rng([self._seed[0], 3, number])
        length = int(common.choice(config.window_lengths, p=config.length_shares))
        n_windows = max(1, config.points_per_batch // length)
        n_real = round(n_windows * config.real_share) if self._sampler is not None else 0
        parts = []
        if n_real < n_windows:
            parts.append(self._synthetic(n_windows - n_real, length, generator, number))
        if n_real:
            parts.append(self._real(n_real, length, generator))
        windows = WindowArrays(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        return self._augmented(windows, generator).to_batch()

    def _synthetic(
        self, n_windows: int, length: int, generator: np.random.Generator, number: int
    ) -> WindowArrays:
        self._refresh(number)
        row = generator.integers(0, len(self._bank), n_windows)
        start = generator.integers(0, self._bank.shape[1] - length + 1, n_windows)
        values = self._bank[row[:, None], start[:, None] + np.arange(length)]
        full = np.ones(values.shape, bool)
        return WindowArrays(values, full, full.copy(), np.full(n_windows, -1))

    def _refresh(self, number: int) -> None:
        """Bring the bank to the state it has at batch `number`, however we came here."""
        n_chunks = len(self._chunk_numbers)
        newest = n_chunks - 1 + number // self.config.refresh_every
        for chunk in range(newest - n_chunks + 1, newest + 1):
            place = chunk % n_chunks
            if self._chunk_numbers[place] != chunk:
                rows = slice(place * ROWS_AT_ONCE, (place + 1) * ROWS_AT_ONCE)
                generator = np.random.default_rng([*self._seed, 1, chunk])
                self._bank[rows] = self._mixture.sample(ROWS_AT_ONCE, generator)
                self._chunk_numbers[place] = chunk

    def _real(self, n_windows: int, length: int, generator: np.random.Generator) -> WindowArrays:
        factor = 1
        if generator.random() < self.config.down_sampled_share:
            highest = np.log(self.config.most_down_sampled + 1)
            factor = max(2, int(np.exp(generator.uniform(np.log(2), highest))))
        average = generator.random() < 0.7
        if self._sampler is None:
            raise RuntimeError("real windows need a pool")
        return self._sampler.sample(
            n_windows, length, generator, down_sample=factor, average=average
        )

    def _augmented(self, windows: WindowArrays, generator: np.random.Generator) -> WindowArrays:
        values, observed, inside, item = windows
        values = _standardized(values, observed)
        whole = observed.all(1)
        if whole.any():
            values[whole] = augment.mixed_up(generator, values[whole], self.config.mixed_share)
        flip = generator.random((len(values), 1)) < self.config.flipped_share
        values = np.where(flip & (item >= 0)[:, None], -values, values)
        inside = inside & ~self._cut(values.shape, generator)
        observed = observed & inside & ~self._missing(values.shape, generator)
        values = np.where(observed, values, 0).astype(np.float32)
        return WindowArrays(values, observed, inside, item)

    def _cut(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Shorten windows from the left: most by part of a patch, some by much."""
        amount = generator.random((shape[0], 1))
        much = generator.random((shape[0], 1)) < 0.3
        start = np.where(much, amount * 0.8 * shape[1], amount * 32)
        start *= generator.random((shape[0], 1)) < self.config.cut_share
        cut: np.ndarray = np.arange(shape[1]) < start
        return cut

    def _missing(self, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
        """Hide single values or a stretch from model and loss alike."""
        n_windows, length = shape
        chosen = generator.random((n_windows, 1)) < self.config.missing_share
        rate = generator.uniform(0, 0.4, (n_windows, 1))
        single = generator.random(shape) < rate
        start = generator.integers(0, length, (n_windows, 1))
        size = generator.uniform(0, 0.3 * length, (n_windows, 1))
        step = np.arange(length)
        stretch = (step >= start) & (step < start + size)
        kind = generator.random((n_windows, 1)) < 0.5
        hidden: np.ndarray = chosen & np.where(kind, single, stretch)
        return hidden


def _standardized(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Put windows on one scale for mixing; the model scales causally by itself."""
    count = np.maximum(observed.sum(1, keepdims=True), 1)
    centred = values.astype(np.float64)
    centred -= (centred * observed).sum(1, keepdims=True) / count
    std = np.sqrt((centred**2 * observed).sum(1, keepdims=True) / count)
    scaled = np.where(std > 0, centred / np.where(std > 0, std, 1.0), 0.0)
    return np.clip(scaled * observed, -LARGEST_VALUE, LARGEST_VALUE).astype(np.float32)
