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
    start_of_each = generator.random((3, n_series))
    rate = generator.uniform(3.55, 4.0, n_series)
    fold = generator.uniform(1.05, 1.4, n_series)
    winding = generator.random(n_series)
    kind = generator.integers(0, 3, n_series)
    start = start_of_each[kind, np.arange(n_series)]
    is_circle = kind == 2
    chosen = np.empty((length, n_series))
    chosen[:, is_circle] = _circle(start[is_circle], winding[is_circle], length)
    # Logistic: rate * x - rate * x²; Hénon: 1 - fold * x² + 0.3 * (x before).
    is_henon = kind == 1
    by_term = np.where(is_henon, [np.ones(n_series), 0 * rate, -fold], [0 * rate, rate, -rate])
    by_term = np.concatenate([by_term, 0.3 * is_henon[None]])
    chosen[:, ~is_circle] = _quadratic(start[~is_circle], by_term[:, ~is_circle], length)
    hold = generator.integers(1, 9, (n_series, 1))
    hold = np.where(generator.random((n_series, 1)) < 0.35, hold, 1)
    return standardized(np.take_along_axis(chosen.T, np.arange(length) // hold, 1))


def flows(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw one coordinate of the Lorenz or the Rössler flow, sampled at a random rate."""
    is_lorenz = generator.random(n_series) < 0.6
    rho = generator.uniform(26, 40, n_series)
    c = generator.uniform(4, 9, n_series)
    start = generator.uniform(1, 3, (3, n_series))
    by_term = np.where(is_lorenz, _lorenz(rho), _roessler(c))
    by_term *= np.where(is_lorenz, FLOW_STEP / 2, 2 * FLOW_STEP)
    orbits = _flow(start, by_term, length + WARM_UP)
    chosen = orbits[WARM_UP:, generator.integers(0, 3, n_series), np.arange(n_series)].T
    speed = generator.uniform(0.4, 1.0, (n_series, 1))
    place = np.arange(length) * speed
    left = np.minimum(place.astype(np.int64), length - 2)
    before, after = (np.take_along_axis(chosen, left + shift, 1) for shift in (0, 1))
    return standardized(before + (place - left) * (after - before))


# Steps are many and series few, so every step below is as few operations as can be.


def _circle(
    x: Float64[ndarray, " series"], winding: Float64[ndarray, " series"], length: int
) -> Float64[ndarray, "time series"]:
    orbits = np.empty((length, len(x)))
    for step in range(length if len(x) else 0):
        x = x + winding + 0.9 / (2 * np.pi) * np.sin(2 * np.pi * x)
        orbits[step] = x
    return np.sin(2 * np.pi * orbits)


def _quadratic(
    x: Float64[ndarray, " series"], by_term: Float64[ndarray, "4 series"], length: int
) -> Float64[ndarray, "time series"]:
    """Iterate a map whose terms are 1, x, x² and the x before."""
    orbits = np.empty((length, len(x)))
    terms = np.stack([np.ones_like(x), x, x * x, np.zeros_like(x)])
    for step in range(length if len(x) else 0):
        x = (by_term * terms).sum(0)
        x[np.abs(x) > ESCAPED] = 0.1
        terms[3] = terms[1]
        terms[1] = x
        terms[2] = x * x
        orbits[step] = x
    return orbits


def _lorenz(rho: Float64[ndarray, " series"]) -> Float64[ndarray, "3 6 series"]:
    """Return how fast x, y and z move by each of the terms x, y, z, xy, xz and 1."""
    by_term = np.zeros((3, 6, len(rho)))
    by_term[0, 0], by_term[0, 1] = -10, 10
    by_term[1, 0], by_term[1, 1], by_term[1, 4] = rho, -1, -1
    by_term[2, 2], by_term[2, 3] = -8 / 3, 1
    return by_term


def _roessler(c: Float64[ndarray, " series"]) -> Float64[ndarray, "3 6 series"]:
    by_term = np.zeros((3, 6, len(c)))
    by_term[0, 1], by_term[0, 2] = -1, -1
    by_term[1, 0], by_term[1, 1] = 1, 0.2
    by_term[2, 2], by_term[2, 4], by_term[2, 5] = -c, 1, 0.2
    return by_term


def _flow(
    start: Float64[ndarray, "3 series"], by_term: Float64[ndarray, "3 6 series"], length: int
) -> Float64[ndarray, "time 3 series"]:
    orbits = np.empty((length, *start.shape))
    terms = np.ones((6, start.shape[1]))
    state, products = terms[:3], terms[3:5]  # views: both move with the terms
    state[:] = start
    for step in range(length):
        np.multiply(state[0], state[1:], out=products)
        state += (by_term * terms).sum(1)
        np.clip(state, -FARTHEST, FARTHEST, out=state)
        orbits[step] = state
    return orbits
