"""Deterministic maps that look like noise, and a forced oscillator."""

import numpy as np

from tsfm.synthetic.draws import Rows, standardized

ESCAPED = 5.0


def chaos(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw orbits of the logistic map, the Hénon map or a sine-circle map, some held for steps."""
    logistic, henon, circle = (generator.random(n_series) for _ in range(3))
    rate = generator.uniform(3.55, 4.0, n_series)
    fold = generator.uniform(1.05, 1.4, n_series)
    winding = generator.random(n_series)
    before = np.zeros(n_series)
    orbits = np.empty((3, n_series, length))
    for step in range(length):
        logistic = rate * logistic * (1 - logistic)
        henon, before = 1 - fold * henon**2 + before, 0.3 * henon
        escaped = np.abs(henon) > ESCAPED
        henon = np.where(escaped, 0.1, henon)
        circle = (circle + winding + 0.9 / (2 * np.pi) * np.sin(2 * np.pi * circle)) % 1.0
        orbits[:, :, step] = logistic, henon, np.sin(2 * np.pi * circle)
    chosen = orbits[generator.integers(0, 3, n_series), np.arange(n_series)]
    hold = generator.integers(1, 9, (n_series, 1))
    return standardized(np.take_along_axis(chosen, np.arange(length) // hold, 1))
