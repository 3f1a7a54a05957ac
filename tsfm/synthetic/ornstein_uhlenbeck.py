"""Ornstein-Uhlenbeck processes whose level, speed and noise switch between regimes, with jumps.

Uhlenbeck and Ornstein (1930); regimes after Hamilton (1989), jumps after Merton (1976). In
`random_walk` two regimes share one speed and nothing jumps; here power prices, queues and rates
of interest are at home.
"""

import numpy as np

from tsfm.shapes import Float64, Int, ndarray
from tsfm.synthetic.draws import chance, log_uniform, standardized

N_REGIMES = 3


def ornstein_uhlenbeck(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw the exact transition from step to step; a quarter are exponents of what was drawn."""
    regime = _regimes(generator, n_series, length)
    size = n_series * N_REGIMES
    levels = generator.normal(0, 2, (n_series, N_REGIMES)) * chance(generator, 0.8, n_series)
    speeds = log_uniform(generator, 0.003, 1.5, size).reshape(n_series, N_REGIMES)
    spreads = log_uniform(generator, 0.2, 3.0, size).reshape(n_series, N_REGIMES)
    memory = np.exp(-np.take_along_axis(speeds, regime, 1))
    level = np.take_along_axis(levels, regime, 1)
    noise = generator.standard_normal((n_series, length))
    noise *= np.take_along_axis(spreads, regime, 1) * np.sqrt(1 - memory**2)
    rate = log_uniform(generator, 0.001, 0.03, n_series) * chance(generator, 0.5, n_series)
    sizes = generator.normal(0, 3, (n_series, length)) + generator.normal(0, 3, (n_series, 1))
    drive = (1 - memory) * level + noise + (generator.random(noise.shape) < rate) * sizes
    rows = _recursion(memory, drive, start=level[:, 0])
    grown = np.exp(log_uniform(generator, 0.2, 1.0, n_series) * standardized(rows))
    return standardized(np.where(generator.random((n_series, 1)) < 0.25, grown, rows))


def _regimes(
    generator: np.random.Generator, n_series: int, length: int
) -> Int[ndarray, "series time"]:
    """Draw Markov chains that stay for 20 steps to four rows, and then go to another regime."""
    stay = log_uniform(generator, 20.0, 4.0 * length, n_series)
    moves = generator.integers(1, N_REGIMES, (n_series, length))
    moves *= generator.random((n_series, length)) < 1 / stay
    return np.cumsum(moves, 1) % N_REGIMES


def _recursion(
    memory: Float64[ndarray, "series time"],
    drive: Float64[ndarray, "series time"],
    *,
    start: Float64[ndarray, " series"],
) -> Float64[ndarray, "series time"]:
    """Return x with ``x[t] = memory[t] * x[t - 1] + drive[t]``, all series at once."""
    # Steps lie together in memory, since the loop goes over them.
    memory, drive = np.ascontiguousarray(memory.T), np.ascontiguousarray(drive.T)
    value = start
    for step in range(len(drive)):
        value = memory[step] * value + drive[step]
        drive[step] = value
    return np.ascontiguousarray(drive.T)
