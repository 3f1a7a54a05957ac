"""Changes to drawn or real windows: what sensors, ledgers and people do to a clean series.

Every function works on all rows at once and leaves its argument as it is. Rows must be finite;
only `missing_stretches` returns NaN.
"""

import numpy as np

from tsfm.shapes import Float, ndarray
from tsfm.synthetic.draws import Rows, chance, log_uniform, standardized

N_KNOTS = 5


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


def sign_flipped(generator: np.random.Generator, rows: Rows, share: float) -> Rows:
    """Turn a share of the rows upside down."""
    return np.where(generator.random((len(rows), 1)) < share, -rows, rows)


def time_reversed(generator: np.random.Generator, rows: Rows, share: float) -> Rows:
    """Let a share of the rows run backwards; only for processes without a direction of time."""
    return np.where(generator.random((len(rows), 1)) < share, rows[:, ::-1], rows)


def amplitude_modulated(generator: np.random.Generator, rows: Rows) -> Rows:
    """Multiply by a slow broken line between 0.3 and 2 (TiRex, Reverso)."""
    return rows * _broken_line(generator, 0.3, 2.0, rows.shape)


def time_warped(generator: np.random.Generator, rows: Rows) -> Rows:
    """Read the rows at a speed that is constant, or changes slowly; between steps by lines.

    No step is read twice as fast as another row's length allows: the last step read is at most the
    last one there is.
    """
    n_series, length = rows.shape
    steady = generator.random((n_series, 1)) < 0.5
    speed = np.where(steady, 1.0, _broken_line(generator, 0.6, 1.6, rows.shape))
    place = np.cumsum(speed, 1) - speed[:, :1]
    place *= (length - 1) / place[:, -1:] * generator.uniform(0.4, 1.0, (n_series, 1))
    left = np.minimum(place.astype(np.int64), length - 2)
    before, after = (np.take_along_axis(rows, left + shift, 1) for shift in (0, 1))
    return before + (place - left) * (after - before)


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


def level_shifted(generator: np.random.Generator, rows: Rows) -> Rows:
    """Add a jump at one random step, for good or for a while."""
    n_series, length = rows.shape
    step = np.arange(length)
    start = generator.integers(0, length, (n_series, 1))
    stay = log_uniform(generator, 8.0, 4.0 * length, n_series)
    shifted = (step >= start) & (step < start + stay)
    return rows + shifted * generator.normal(0, 2, (n_series, 1)) * rows.std(1, keepdims=True)


def censored(generator: np.random.Generator, rows: Rows) -> Rows:
    """Cut a series at a floor, a ceiling or both, as saturating meters do."""
    ordered = np.sort(rows[:, :: max(1, rows.shape[1] // 128)], 1)
    last = ordered.shape[1] - 1
    low = (generator.uniform(0, 0.5, (len(rows), 1)) * last).astype(int)
    high = (generator.uniform(0.6, 1.0, (len(rows), 1)) * last).astype(int)
    floor = np.where(
        chance(generator, 0.7, len(rows)), np.take_along_axis(ordered, low, 1), -np.inf
    )
    ceiling = np.where(
        chance(generator, 0.4, len(rows)), np.take_along_axis(ordered, high, 1), np.inf
    )
    return np.clip(rows, floor, ceiling)


def quantised(generator: np.random.Generator, rows: Rows) -> Rows:
    """Round to a coarse grid, as sensors and price ticks do."""
    grid = rows.std(1, keepdims=True) * log_uniform(generator, 0.05, 1.0, len(rows)) + 1e-12
    return np.round(rows / grid) * grid


def rounded(generator: np.random.Generator, rows: Rows) -> Rows:
    """Give a row a deviation between 1 and 100 and a level, then round to whole numbers."""
    n_series = len(rows)
    size = log_uniform(generator, 1.0, 100.0, n_series)
    level = size * generator.uniform(0, 10, (n_series, 1))
    return np.round(standardized(rows) * size + level)


def missing_stretches(generator: np.random.Generator, rows: Rows) -> Rows:
    """Replace one to three stretches of up to a tenth of a row by NaN."""
    n_series, length = rows.shape
    step = np.arange(length)
    missing = np.zeros(rows.shape, bool)
    for share in (1.0, 0.4, 0.4):
        start = generator.integers(0, length, (n_series, 1))
        size = log_uniform(generator, 1.0, max(2.0, length / 10), n_series)
        size *= chance(generator, share, n_series)
        missing |= (step >= start) & (step < start + size)
    return np.where(missing, np.nan, rows)


def _broken_line(
    generator: np.random.Generator, low: float, high: float, shape: tuple[int, ...]
) -> Rows:
    """Return lines through a few knots, whose logarithms are uniform."""
    n_series, length = shape
    knots = log_uniform(generator, low, high, n_series * N_KNOTS).reshape(n_series, N_KNOTS)
    place = np.linspace(0, N_KNOTS - 1, length)
    left = np.minimum(place.astype(int), N_KNOTS - 2)
    weight = place - left
    return knots[:, left] * (1 - weight) + knots[:, left + 1] * weight
