"""Windows: what every objective and every model receives, and how they are drawn from a pool."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from tsfm.errors import ConfigError
from tsfm.series.pool import SingleSeriesPool
from tsfm.shapes import Bool, Float, Float32, Inside, Int, Observed, Tensor, Values, ndarray


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
    """

    values: Values
    observed: Observed
    inside: Inside
    item: Int[Tensor, " batch"]

    def to(self, device: torch.device | str) -> "WindowBatch":
        """Return the same batch on `device`."""
        return WindowBatch(
            self.values.to(device),
            self.observed.to(device),
            self.inside.to(device),
            self.item.to(device),
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
    """Draws windows from the training part of a pool, without a Python loop over the batch.

    Every window that lies in the training part of its series is equally likely, except that data
    sets weigh ``windows ** temperature`` and series within a set ``windows ** series_exponent``:
    the mixture of GPHT had 92 % of its windows from two sets. Series shorter than a window count
    as one window and are padded on the left.

    Parameters
    ----------
    temperature
        1 weighs data sets by their windows, 0 alike.
    factors
        Further weight of single data sets, by name; 0 leaves one out.
    """

    pool: SingleSeriesPool
    temperature: float = 0.4
    series_exponent: float = 0.5
    factors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.factors) - set(self.pool.datasets))
        if unknown:
            raise ConfigError(
                f"factors must name data sets of the pool, got {unknown}; it has "
                f"{sorted(self.pool.datasets)}"
            )
        object.__setattr__(self, "_cumulative", np.cumsum(self._weights()))

    def _weights(self) -> Float[ndarray, " item"]:
        lengths = self.pool.train_lengths.astype(np.float64)
        n_datasets = len(self.pool.datasets)
        points = np.bincount(self.pool.dataset, lengths, n_datasets)
        within = lengths**self.series_exponent
        of_set = np.bincount(self.pool.dataset, within, n_datasets)
        factor = np.array([self.factors.get(name, 1.0) for name in self.pool.datasets])
        share = factor * np.where(points > 0, np.maximum(points, 1) ** self.temperature, 0.0)
        weights: ndarray = (share / np.maximum(of_set, 1))[self.pool.dataset] * within
        return weights / weights.sum()

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
        pool = self.pool
        draws = generator.random((2, n_windows))
        item = np.searchsorted(self._cumulative, draws[0], "right")  # type: ignore[attr-defined]
        item = np.minimum(item, len(pool) - 1)
        span = window_length * down_sample
        length = pool.train_lengths[item]
        end = np.minimum(span, length) + np.floor(
            draws[1] * (np.maximum(length - span, 0) + 1)
        ).astype(np.int64)
        step = (end - span)[:, None] + np.arange(span)
        inside = step >= 0
        position = pool.offsets[item][:, None] + np.maximum(step, 0)
        values = pool.values[position]
        observed = pool.observed[position] & inside
        values[~observed] = 0.0
        if down_sample > 1:
            values, observed, inside = _down_sampled(
                values, observed, inside, down_sample, average=average
            )
        return WindowArrays(values, observed, inside, item)


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
    count = observed.sum(-1)
    mean = values.sum(-1) / np.maximum(count, 1)
    return mean.astype(np.float32), count > 0, inside[..., -1].copy()
