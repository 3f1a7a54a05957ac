"""Walks: prices and other sums of shocks, with changing volatility, jumps and mean reversion."""

import numpy as np

from tsfm.synthetic.draws import Rows, chance, log_uniform, standardized
from tsfm.synthetic.noise import coloured


def random_walk(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw random walks with drift; half have stochastic volatility, some jumps, some momentum."""
    shocks = generator.standard_t(5, (n_series, length))
    volatility = np.exp(
        0.7 * coloured(generator, n_series, length) * chance(generator, 0.5, n_series)
    )
    jumps = (generator.random((n_series, length)) < 0.004) * generator.normal(
        0, 8, (n_series, length)
    )
    drift = generator.normal(0, 0.08, (n_series, 1)) * chance(generator, 0.5, n_series)
    steps = shocks * volatility + drift + jumps * chance(generator, 0.2, n_series)
    smooth = chance(generator, 0.15, n_series) * generator.uniform(0.3, 0.95, (n_series, 1))
    for step in range(1, length):
        steps[:, step] += smooth[:, 0] * steps[:, step - 1]
    return standardized(np.cumsum(steps, 1))


def mean_reverting(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw Ornstein-Uhlenbeck processes whose level and volatility switch between two regimes."""
    reversion = log_uniform(generator, 0.005, 0.5, n_series)[:, 0]
    stay = log_uniform(generator, 30, 4 * length, n_series)
    regime = np.cumsum(generator.random((n_series, length)) < 1 / stay, 1) % 2
    level = np.where(regime, generator.normal(0, 2, (n_series, 1)), 0.0)
    spread = np.where(regime, log_uniform(generator, 0.3, 3, n_series), 1.0)
    shocks = generator.standard_normal((n_series, length)) * spread
    shocks *= np.sqrt(2 * reversion)[:, None]
    values = np.empty((n_series, length))
    values[:, 0] = level[:, 0]
    for step in range(1, length):
        before = values[:, step - 1]
        values[:, step] = before + reversion * (level[:, step] - before) + shocks[:, step]
    return standardized(values)
