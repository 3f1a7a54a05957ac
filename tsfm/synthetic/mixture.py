"""The prior: series composed of a trend, seasons, noise and walks, then disturbed.

The composition follows ForecastPFN and TempoPFN; every family is one file of this room.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsfm.shapes import Float32, ndarray
from tsfm.synthetic import augment
from tsfm.synthetic.chaos import chaos
from tsfm.synthetic.counts import counts
from tsfm.synthetic.draws import Rows, chance, log_uniform, standardized
from tsfm.synthetic.noise import autoregressive, coloured, gaussian_process
from tsfm.synthetic.seasonal import seasonal
from tsfm.synthetic.trend import level_shifts, trend
from tsfm.synthetic.walks import mean_reverting, random_walk

Family = Callable[[np.random.Generator, int, int], Rows]

# Chance that a family takes part in a series, and the spread of its size when it does.
PARTS: tuple[tuple[Family, float, float, float], ...] = (
    (seasonal, 0.7, 0.3, 4.0),
    (trend, 0.6, 0.3, 6.0),
    (gaussian_process, 0.2, 0.3, 2.0),
    (coloured, 0.3, 0.1, 1.0),
    (autoregressive, 0.2, 0.1, 1.0),
    (random_walk, 0.3, 0.3, 3.0),
    (mean_reverting, 0.1, 0.3, 2.0),
    (level_shifts, 0.06, 0.5, 3.0),
    (chaos, 0.02, 0.5, 2.0),
)
AUGMENTATIONS: tuple[tuple[Callable[[np.random.Generator, Rows], Rows], float], ...] = (
    (augment.spikes, 0.08),
    (augment.censored, 0.06),
    (augment.quantised, 0.05),
    (augment.amplitude_modulated, 0.06),
)
POSITIVE_SHARE = 0.35
COUNT_SHARE = 0.07
LARGEST = 1e6


@dataclass(frozen=True)
class SyntheticMixture:
    """Draws series of `length` steps from the prior.

    Examples
    --------
    >>> rows = SyntheticMixture(length=200).sample(8, np.random.default_rng(0))
    >>> rows.shape, bool(np.isfinite(rows).all())
    ((8, 200), True)
    """

    length: int

    def sample(
        self, n_series: int, generator: np.random.Generator
    ) -> Float32[ndarray, "series time"]:
        """Return finite series in units of their own; the same generator state, the same series."""
        rows = self._composed(n_series, generator)
        rows = self._positive(rows, generator)
        for change, share in AUGMENTATIONS:
            chosen = np.flatnonzero(generator.random(n_series) < share)
            if len(chosen):
                rows[chosen] = change(generator, rows[chosen])
        chosen = np.flatnonzero(generator.random(n_series) < COUNT_SHARE)
        if len(chosen):
            rows[chosen] = counts(generator, standardized(rows[chosen]))
        flip = generator.random((n_series, 1)) < 0.15
        rows = np.where(flip, -rows, rows)
        return np.clip(rows, -LARGEST, LARGEST).astype(np.float32)

    def _composed(self, n_series: int, generator: np.random.Generator) -> Rows:
        """Add up the parts that were drawn for each series, and white noise of any size."""
        taken = generator.random((len(PARTS), n_series)) < np.array(
            [part[1] for part in PARTS]
        ).reshape(-1, 1)
        surely = generator.choice(len(PARTS), n_series, p=_shares())
        taken[surely, np.arange(n_series)] = True
        rows = np.zeros((n_series, self.length))
        for (family, _, low, high), chosen in zip(PARTS, taken, strict=True):
            index = np.flatnonzero(chosen)
            if len(index):
                size = log_uniform(generator, low, high, len(index))
                rows[index] += size * family(generator, len(index), self.length)
        noise = log_uniform(generator, 0.003, 1.5, n_series) * chance(generator, 0.85, n_series)
        spread = rows.std(1, keepdims=True)
        return rows + noise * spread * generator.standard_normal(rows.shape)

    def _positive(self, rows: Rows, generator: np.random.Generator) -> Rows:
        """Make a share of the series positive, so that seasons and noise grow with the level."""
        swing = log_uniform(generator, 0.05, 1.0, len(rows))
        positive = np.exp(np.clip(standardized(rows) * swing, -10, 10))
        chosen = generator.random((len(rows), 1)) < POSITIVE_SHARE
        return np.where(chosen, positive, rows)


def _shares() -> np.ndarray:
    shares = np.array([part[1] for part in PARTS])
    return shares / shares.sum()
