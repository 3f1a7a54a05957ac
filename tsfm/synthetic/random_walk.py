"""Walks: prices and other sums of shocks, and processes that revert to a switching level.

Stochastic volatility and jumps as in TempoPFN's financial series; the regimes of its
Ornstein-Uhlenbeck series (Moroshan et al. 2025).
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import chance, log_uniform, standardized
from tsfm.synthetic.gaussian_process import coloured, filtered, ring_size
from tsfm.synthetic.trend import characteristic_length


def random_walk(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw walks (two thirds) and mean-reverting processes (one third)."""
    n_reverting = int(generator.binomial(n_series, 1 / 3))
    parts = [
        family(generator, size, length)
        for family, size in ((walk, n_series - n_reverting), (mean_reverting, n_reverting))
        if size
    ]
    return generator.permutation(np.concatenate(parts))


def walk(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw random walks; some with a drift, changing volatility, momentum, jumps or growth.

    Momentum up to 0.98 makes walks as smooth as yearly economic series are.
    """
    momentum = 1 - log_uniform(generator, 0.02, 0.6, n_series)
    momentum *= chance(generator, 0.35, n_series)
    size = ring_size(length)
    shocks = generator.standard_normal((n_series, size), np.float32)
    delay = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    steps = standardized(filtered(shocks, 1 / (1 - momentum * delay), length))
    unsteady = np.flatnonzero(generator.random(n_series) < 0.5)
    if len(unsteady):
        spread = log_uniform(generator, 0.2, 1.2, len(unsteady))
        volatility = coloured(generator, len(unsteady), length)
        steps[unsteady] *= np.exp(np.clip(spread * volatility, -4, 4))
    jumping = np.flatnonzero(generator.random(n_series) < 0.2)
    if len(jumping):
        rate = log_uniform(generator, 0.001, 0.03, len(jumping))
        jumps = generator.random((len(jumping), length)) < rate
        steps[jumping] += jumps * generator.normal(0, 8, jumps.shape)
    rows = np.cumsum(steps + _drift(generator, n_series, length), 1)
    growing = chance(generator, 0.25, n_series) > 0
    swing = log_uniform(generator, 0.1, 1.2, n_series)
    rows = standardized(rows)
    return standardized(np.where(growing, np.exp(swing * rows), rows))


def mean_reverting(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw Ornstein-Uhlenbeck processes whose level and volatility switch between two regimes."""
    size = ring_size(length)
    memory = np.exp(-log_uniform(generator, 0.005, 0.7, n_series))
    stay = log_uniform(generator, 30.0, 4.0 * length, n_series)
    regime = np.cumsum(generator.random((n_series, size)) < 1 / stay, 1) % 2
    jump = generator.normal(0, 3, (n_series, 1)) * chance(generator, 0.7, n_series)
    spread = np.where(regime, log_uniform(generator, 0.3, 3.0, n_series), 1.0)
    shocks = generator.standard_normal((n_series, size), np.float32) * spread
    drive = shocks * np.sqrt(1 - memory**2) + regime * jump * (1 - memory)
    delay = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    return standardized(filtered(drive, 1 / (1 - memory * delay), length))


def _drift(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw drifts that change now and then, or never."""
    stay = characteristic_length(generator, n_series, length)
    phase = (np.arange(length) / stay + generator.random((n_series, 1))).astype(np.int64)
    values = generator.normal(0, 1, (n_series, int(phase.max()) + 1))
    one_sided = generator.random((n_series, 1)) < 0.5
    values = np.where(one_sided, np.abs(values), values)
    size = log_uniform(generator, 0.02, 1.5, n_series) * chance(generator, 0.5, n_series)
    return size * np.take_along_axis(values, phase, 1)
