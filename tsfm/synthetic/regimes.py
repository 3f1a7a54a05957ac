"""Regime switches: a series behaves in one way, then in another, and perhaps as before again.

Markov switching of Hamilton (1989), here between processes that other families draw: a season
stops, a walk becomes noise, a machine is replaced.
"""

import numpy as np

from tsfm.shapes import Bool, Float64, ndarray
from tsfm.synthetic.autoregressive import autoregressive
from tsfm.synthetic.draws import chance, log_uniform, standardized
from tsfm.synthetic.random_walk import random_walk
from tsfm.synthetic.seasonal import seasonal

KINDS = (seasonal, autoregressive, random_walk)
KIND_SHARES = (0.5, 0.3, 0.2)


def regimes(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw two processes per series and switch between them, at other levels and scales."""
    first, second = (_processes(generator, n_series, length) for _ in range(2))
    size = log_uniform(generator, 0.2, 3.0, n_series)
    level = generator.normal(0, 2, (n_series, 1)) * chance(generator, 0.6, n_series)
    return standardized(np.where(_other(generator, n_series, length), level + size * second, first))


def _processes(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    of_kind = generator.choice(len(KINDS), n_series, p=KIND_SHARES)
    rows = np.empty((n_series, length))
    for kind, draw in enumerate(KINDS):
        index = np.flatnonzero(of_kind == kind)
        if len(index):
            rows[index] = draw(generator, len(index), length)
    return rows


def _other(
    generator: np.random.Generator, n_series: int, length: int
) -> Bool[ndarray, "series time"]:
    """Say at which steps the second process is seen; at least one switch lies within the row."""
    stay = log_uniform(generator, 24.0, 2.0 * length, n_series)
    switches = generator.random((n_series, length)) < 1 / stay
    certain = generator.integers(length // 8, length - length // 8, n_series)
    switches[np.arange(n_series), certain] = True
    return np.cumsum(switches, 1) % 2 == 1
