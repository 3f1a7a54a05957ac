"""Windows: what every objective and every model receives, and how they are drawn from a pool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from tsfm.errors import ConfigError
from tsfm.series.pool import SingleSeriesPool
from tsfm.shapes import Bool, Float32, Float64, Inside, Int, Observed, Tensor, Values, ndarray


@dataclass(frozen=True)
class WindowBatch:
    """Equal-length windows of many series, one contiguous block per row, right-aligned.

    Parameters
    ----------
    values
        Zero wherever `observed` is False.
    observed
        True where a real value is present; only ever True where `inside`.
    inside
        True where a step lies within the series; False where it is padding (on the left).
    item
        Which series of the pool each row came from.
    supervised
        Where given, the only steps that may be targets of a forecast: those of the rows that a
        validation is about, while the context reaches back before them.
    """

    values: Values
    observed: Observed
    inside: Inside
    item: Int[Tensor, " batch"]
    supervised: Observed | None = None

    def to(self, device: torch.device | str) -> "WindowBatch":
        """Return the same batch on `device`."""
        return WindowBatch(
            self.values.to(device),
            self.observed.to(device),
            self.inside.to(device),
            self.item.to(device),
            None if self.supervised is None else self.supervised.to(device),
        )

    def __len__(self) -> int:
        return self.values.shape[0]


class WindowArrays(NamedTuple):
    """The same as a `WindowBatch` of one channel, as arrays."""

    values: Float32[ndarray, "batch time"]
    observed: Bool[ndarray, "batch time"]
    inside: Bool[ndarray, "batch time"]
    item: Int[ndarray, " batch"]

    def to_batch(self) -> WindowBatch:
        """Return a `WindowBatch` of one channel."""
        return WindowBatch(
            torch.from_numpy(self.values)[..., None],
            torch.from_numpy(self.observed)[..., None],
            torch.from_numpy(self.inside),
            torch.from_numpy(self.item),
        )


@dataclass(frozen=True)
class WindowSampler:
    """Draws windows from a pool, without a Python loop over the batch.

    Data sets weigh ``points ** temperature`` and series within a set ``length ** series_exponent``,
    in steps of the part that is drawn from: the mixture of GPHT had 92 % of its windows from two
    sets. Within a series all windows are equally likely. A series shorter than a window gives one
    window, which is padded on the left.

    Parameters
    ----------
    temperature
        1 weighs data sets by their points, 0 alike.
    series_exponent
        1 weighs the series of a set by their length, 0 alike.
    factors
        Further weight of single data sets, by name; 0 leaves one out.
    part
        Windows end in the training part of their series, or after it.

    Examples
    --------
    >>> pool = SingleSeriesPool.from_series([np.arange(100.0), np.arange(5.0)])
    >>> windows = WindowSampler(pool).sample(4, 32, np.random.default_rng(0))
    >>> windows.values.shape
    (4, 32)
    """

    pool: SingleSeriesPool
    temperature: float = 0.4
    series_exponent: float = 0.5
    factors: Mapping[str, float] = field(default_factory=dict)
    part: Literal["train", "validation"] = "train"
    _cumulative: Float64[ndarray, " item"] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.factors) - set(self.pool.datasets))
        if unknown:
            raise ConfigError(
                f"factors must name data sets of the pool, got {unknown}; it has "
                f"{sorted(self.pool.datasets)}"
            )
        wrong = {name: value for name, value in self.factors.items() if not 0 <= value < np.inf}
        if wrong:
            raise ConfigError(f"factors must be zero or positive, got {wrong}")
        cumulative = np.cumsum(self._weights())
        if not len(cumulative) or not cumulative[-1] > 0:
            raise ConfigError(
                f"the {self.part} part of the pool must have a series with a weight, got "
                f"{len(self.pool)} series and factors={dict(self.factors)}; build it with longer "
                "series or give a data set a factor"
            )
        object.__setattr__(self, "_cumulative", cumulative / cumulative[-1])

    def _bounds(self, item: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps of the first and the last end of a window, of whatever length."""
        train = self.pool.train_lengths[item]
        if self.part == "train":
            return np.ones_like(train), train
        return train + 1, self.pool.lengths[item]

    def _weights(self) -> Float64[ndarray, " item"]:
        first, last = self._bounds(slice(None))
        lengths = np.maximum(last - first + 1, 0).astype(np.float64)
        n_datasets = len(self.pool.datasets)
        points = np.bincount(self.pool.dataset, lengths, n_datasets)
        within = np.where(lengths > 0, np.maximum(lengths, 1) ** self.series_exponent, 0.0)
        of_set = np.bincount(self.pool.dataset, within, n_datasets)
        factor = np.array([self.factors.get(name, 1.0) for name in self.pool.datasets])
        share = factor * np.where(points > 0, np.maximum(points, 1) ** self.temperature, 0.0)
        weights: ndarray = (share / np.maximum(of_set, 1))[self.pool.dataset] * within
        return weights

    def sample(
        self,
        n_windows: int,
        window_length: int,
        generator: np.random.Generator,
        *,
        down_sample: int = 1,
        average: bool = True,
    ) -> WindowArrays:
        """Draw windows of `window_length` steps.

        Parameters
        ----------
        down_sample
            Take blocks of so many steps as one, which shows the series at a lower rate.
        average
            Whether a block becomes the mean of its observed values, or its last value.
        """
        if min(n_windows, window_length, down_sample) < 1:
            raise ConfigError(
                "n_windows, window_length and down_sample must be at least 1, got "
                f"n_windows={n_windows}, window_length={window_length}, down_sample={down_sample}"
            )
        draws = generator.random((2, n_windows))
        item = np.searchsorted(self._cumulative, draws[0], "right")
        span = window_length * down_sample
        first, last = self._bounds(item)
        first = np.maximum(first, np.minimum(span, last))
        end = first + np.floor(draws[1] * (last - first + 1)).astype(np.int64)
        values, observed, inside = gather(self.pool, item, end, span)
        if down_sample > 1:
            values, observed, inside = _down_sampled(
                values, observed, inside, down_sample, average=average
            )
        return WindowArrays(values, observed, inside, item)


def gather(
    pool: SingleSeriesPool, item: Int[ndarray, " row"], end: Int[ndarray, " row"], span: int
) -> tuple[Float32[ndarray, "row time"], Bool[ndarray, "row time"], Bool[ndarray, "row time"]]:
    """Copy the `span` steps before step `end` of every series; padded where it has fewer.

    Returns
    -------
    values, observed, inside
        As in a `WindowBatch`.
    """
    start = pool.offsets[item] + end - span
    n_starts = pool.n_points - span + 1
    if n_starts > 0:
        # Whole rows of the pool, of which a short series has only the right side: copying rows is
        # three times as fast as looking up every step.
        row = np.clip(start, 0, n_starts - 1)
        values = sliding_window_view(pool.values, span)[row]
        observed = sliding_window_view(pool.observed, span)[row]
        moved = np.flatnonzero(row != start)
    else:
        values = np.zeros((len(item), span), np.float32)
        observed = np.zeros((len(item), span), bool)
        moved = np.arange(len(item))
    if len(moved):
        position = np.maximum(start[moved, None] + np.arange(span), 0)
        values[moved], observed[moved] = pool.values[position], pool.observed[position]
    inside = np.ones(values.shape, bool)
    padded = np.flatnonzero(end < span)
    if len(padded):
        inside[padded] = np.arange(span) >= (span - end[padded])[:, None]
        observed[padded] &= inside[padded]
        values[padded] *= inside[padded]
    return values, observed, inside


def _down_sampled(
    values: np.ndarray,
    observed: np.ndarray,
    inside: np.ndarray,
    factor: int,
    *,
    average: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    blocks = (len(values), -1, factor)
    values, observed, inside = (x.reshape(blocks) for x in (values, observed, inside))
    if not average:
        return values[..., -1].copy(), observed[..., -1].copy(), inside[..., -1].copy()
    # Step by step within the blocks: a sum over a short last axis takes five times as long.
    count = np.zeros(values.shape[:2], np.float32)
    total = np.zeros(values.shape[:2], np.float32)
    for step in range(factor):
        count += observed[..., step]
        total += values[..., step]
    return total / np.maximum(count, 1), count > 0, inside[..., -1].copy()
