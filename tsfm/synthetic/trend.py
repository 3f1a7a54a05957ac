"""Slow movement: lines, growth, saturation, broken lines, damped trends, level shifts."""

import numpy as np

from tsfm.synthetic.draws import Rows, chance, characteristic_length, standardized

N_BREAKS = 4


def trend(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw one trend each, whose changes take a characteristic number of steps."""
    scale = characteristic_length(generator, n_series, length)
    start = generator.uniform(0, length, (n_series, 1))
    time = np.arange(length)
    along = (time - start) / scale
    line = time / scale
    growth = np.exp(np.clip(line * generator.normal(0, 1, (n_series, 1)), -8, 8))
    logistic = 1 / (1 + np.exp(-np.clip(4 * along, -30, 30)))
    damped = np.sign(along) * (1 - np.exp(-np.abs(along)))
    kind = generator.random((n_series, 1))
    curve = np.where(
        kind < 0.3,
        line,
        np.where(
            kind < 0.5,
            standardized(growth) * np.sign(line + 1),
            np.where(kind < 0.65, logistic, np.where(kind < 0.8, damped, 0.0)),
        ),
    )
    broken = np.where(kind >= 0.8, _broken_line(generator, n_series, length), 0.0)
    flip = 1 - 2 * chance(generator, 0.4, n_series)
    return flip * standardized(curve + broken)


def _broken_line(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    time = np.arange(length) / length
    total = generator.normal(0, 1, (n_series, 1)) * time
    for _ in range(N_BREAKS):
        knot = generator.random((n_series, 1))
        total = total + generator.normal(0, 3, (n_series, 1)) * np.maximum(time - knot, 0)
    return total


def level_shifts(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw processes that jump between levels and stay; some return to one of two levels.

    Step processes of TempoPFN: thermostats, tariffs, on-off machines.
    """
    stay = characteristic_length(generator, n_series, length) / 2
    jump = generator.random((n_series, length)) < 1 / stay
    size = generator.standard_t(4, (n_series, length))
    walk = np.cumsum(np.where(jump, size, 0.0), 1)
    switch = np.cumsum(jump, 1) % 2
    return standardized(np.where(generator.random((n_series, 1)) < 0.6, walk, switch))
