"""Deterministic motion that looks like noise: maps on an interval, and flows in space.

Logistic map (May 1976), Hénon map (1976), sine-circle map (Arnold 1961), Lorenz flow (1963) and
Rössler flow (1976). Chaotic systems as a prior: Panda (Lai et al. 2025).
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import standardized

# States beyond this have left the attractor and are set back.
ESCAPED = 5.0
# A flow whose parameters let it run away stays at this bound.
FARTHEST = 500.0
FLOW_STEP = 0.02
WARM_UP = 100


def chaos(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw orbits, some of them held for a few steps (maps) or slowed down (flows)."""
    n_flows = int(generator.binomial(n_series, 0.4))
    parts = [
        family(generator, size, length)
        for family, size in ((maps, n_series - n_flows), (flows, n_flows))
        if size
    ]
    return generator.permutation(np.concatenate(parts))


def maps(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw orbits of the logistic map, the Hénon map or a sine-circle map, a third of them held."""
    logistic, henon, circle = (generator.random(n_series) for _ in range(3))
    rate = generator.uniform(3.55, 4.0, n_series)
    fold = generator.uniform(1.05, 1.4, n_series)
    winding = generator.random(n_series)
    before = np.zeros(n_series)
    orbits = np.empty((length, 3, n_series))
    for step in range(length):
        logistic = rate * logistic * (1 - logistic)
        henon, before = 1 - fold * henon**2 + before, 0.3 * henon
        henon = np.where(np.abs(henon) > ESCAPED, 0.1, henon)
        circle = circle + winding + 0.9 / (2 * np.pi) * np.sin(2 * np.pi * circle)
        orbits[step] = logistic, henon, circle
    orbits[:, 2] = np.sin(2 * np.pi * orbits[:, 2])
    chosen = orbits[:, generator.integers(0, 3, n_series), np.arange(n_series)].T
    hold = generator.integers(1, 9, (n_series, 1))
    hold = np.where(generator.random((n_series, 1)) < 0.35, hold, 1)
    return standardized(np.take_along_axis(chosen, np.arange(length) // hold, 1))


def flows(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw one coordinate of the Lorenz or the Rössler flow, sampled at a random rate."""
    is_lorenz = generator.random(n_series) < 0.6
    rho = generator.uniform(26, 40, n_series)
    c = generator.uniform(4, 9, n_series)
    x, y, z = generator.uniform(1, 3, (3, n_series))
    step_size = np.where(is_lorenz, FLOW_STEP / 2, 2 * FLOW_STEP)
    orbits = np.empty((length + WARM_UP, 3, n_series))
    for step in range(length + WARM_UP):
        moves = (
            np.where(is_lorenz, 10 * (y - x), -y - z),
            np.where(is_lorenz, x * (rho - z) - y, x + 0.2 * y),
            np.where(is_lorenz, x * y - 8 / 3 * z, 0.2 + z * (x - c)),
        )
        x, y, z = (
            np.clip(value + step_size * move, -FARTHEST, FARTHEST)
            for value, move in zip((x, y, z), moves, strict=True)
        )
        orbits[step] = x, y, z
    chosen = orbits[WARM_UP:, generator.integers(0, 3, n_series), np.arange(n_series)].T
    speed = generator.uniform(0.4, 1.0, (n_series, 1))
    place = np.arange(length) * speed
    left = np.minimum(place.astype(np.int64), length - 2)
    before, after = (np.take_along_axis(chosen, left + shift, 1) for shift in (0, 1))
    return standardized(before + (place - left) * (after - before))
