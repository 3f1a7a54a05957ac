"""Changes to drawn or real windows: what sensors, ledgers and people do to a clean series."""

import numpy as np

from tsfm.shapes import Float, ndarray
from tsfm.synthetic.draws import Rows, chance, log_uniform, standardized


def spikes(generator: np.random.Generator, rows: Rows) -> Rows:
    """Add a few outliers, at random or at a regular distance."""
    n_series, length = rows.shape
    rate = log_uniform(generator, 0.001, 0.03, n_series)
    at_random = generator.random(rows.shape) < rate
    distance = np.maximum(8, 1 / rate).astype(int)
    regular = (np.arange(length) + generator.integers(0, 500, (n_series, 1))) % distance == 0
    where = np.where(chance(generator, 0.3, n_series) > 0, regular, at_random)
    size = generator.normal(0, 1, rows.shape) + generator.normal(0, 4, (n_series, 1))
    return rows + where * size * rows.std(1, keepdims=True)


def censored(generator: np.random.Generator, rows: Rows) -> Rows:
    """Cut a series at a floor, a ceiling or both, as saturating meters do."""
    ordered = np.sort(rows[:, :: max(1, rows.shape[1] // 128)], 1)
    last = ordered.shape[1] - 1
    low = (generator.uniform(0, 0.5, (len(rows), 1)) * last).astype(int)
    high = (generator.uniform(0.6, 1.0, (len(rows), 1)) * last).astype(int)
    floor = np.where(chance(generator, 0.7, len(rows)), np.take_along_axis(ordered, low, 1), -np.inf)
    ceiling = np.where(
        chance(generator, 0.4, len(rows)), np.take_along_axis(ordered, high, 1), np.inf
    )
    return np.clip(rows, floor, ceiling)


def quantised(generator: np.random.Generator, rows: Rows) -> Rows:
    """Round to a coarse grid, as sensors and price ticks do."""
    grid = rows.std(1, keepdims=True) * log_uniform(generator, 0.05, 1.0, len(rows)) + 1e-12
    return np.round(rows / grid) * grid


def amplitude_modulated(generator: np.random.Generator, rows: Rows) -> Rows:
    """Multiply by a slow broken line between 0.3 and 2 (TiRex, Reverso)."""
    n_series, length = rows.shape
    n_knots = 5
    knots = log_uniform(generator, 0.3, 2.0, n_series * n_knots).reshape(n_series, n_knots)
    place = np.linspace(0, n_knots - 1, length)
    left = np.minimum(place.astype(int), n_knots - 2)
    weight = place - left
    return rows * (knots[:, left] * (1 - weight) + knots[:, left + 1] * weight)


def mixed_up(
    generator: np.random.Generator, rows: Rows, share: float
) -> Float[ndarray, "series time"]:
    """Replace a share of the rows by convex mixtures of two or three (TSMixup of Chronos)."""
    n_series = len(rows)
    chosen = np.flatnonzero(generator.random(n_series) < share)
    if not len(chosen):
        return rows
    partners = generator.integers(0, n_series, (2, len(chosen)))
    weights = generator.dirichlet([1.5, 1.5, 1.5], len(chosen))
    weights[:, 2] *= generator.random(len(chosen)) < 0.3
    weights /= weights.sum(1, keepdims=True)
    scaled = [standardized(rows[index]) for index in (chosen, *partners)]
    result = rows.copy()
    result[chosen] = sum(
        weight[:, None] * part for weight, part in zip(weights.T, scaled, strict=True)
    )
    return result
