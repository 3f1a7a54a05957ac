"""Slow movement: lines, growth, saturation, damped and broken trends on every time scale.

ForecastPFN (Dooley et al. 2023) draws one linear and one exponential trend for a whole row. Here a
trend is a path through knots, whose distance is a characteristic length of the series, so that a
short window too sees a trend begin, bend, saturate or turn.
"""

import numpy as np

from tsfm.shapes import Float, Float64, ndarray
from tsfm.synthetic.draws import Column, chance, log_uniform, standardized

# Distances between knots, as shares of the characteristic length.
SHORTEST_GAP, LONGEST_GAP = 0.4, 1.6


def characteristic_length(generator: np.random.Generator, n_series: int, length: int) -> Column:
    """Draw the number of steps over which a series' level changes, from 30 to all of the row.

    Windows are cut from the rows, and most real series are short: changes must happen on all
    time scales, not only on that of a whole row.
    """
    return log_uniform(generator, 30.0, max(60.0, float(length)), n_series)


def trend(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw paths as they are, as exponents (growth) or as arguments of a logistic (saturation)."""
    spacing = characteristic_length(generator, n_series, length)
    rows = path(generator, length, spacing)
    swing = log_uniform(generator, 0.3, 2.5, n_series)
    link = generator.random((n_series, 1))
    exponent = swing * np.clip(rows, -4, 4)
    linked = np.exp(exponent)
    rows = np.where(link < 0.25, linked, np.where(link < 0.4, linked / (1 + linked), rows))
    slope = generator.normal(0, 3, (n_series, 1)) * chance(generator, 0.3, n_series)
    return standardized(standardized(rows) + slope * np.linspace(0, 1, length))


def path(
    generator: np.random.Generator, length: int, spacing: Column
) -> Float64[ndarray, "series time"]:
    """Draw standardised paths through random knots that are about `spacing` steps apart.

    The knots wander, climb or revert; between two knots a path is straight, smooth, saturating or
    accelerating.
    """
    segment, position = _segments(generator, length, spacing)
    levels = _knot_levels(generator, len(spacing), int(segment.max()) + 2)
    rise = _rise(generator, position)
    before = np.take_along_axis(levels, segment, 1)
    after = np.take_along_axis(levels, segment + 1, 1)
    return standardized(before + (after - before) * rise)


def _segments(
    generator: np.random.Generator, length: int, spacing: Column
) -> tuple[ndarray, Float64[ndarray, "series time"]]:
    """Return for each step the number of its segment and its place within it, from 0 to 1."""
    n_series = len(spacing)
    n_gaps = int(length / (SHORTEST_GAP * spacing.min())) + 3
    gaps = spacing * generator.uniform(SHORTEST_GAP, LONGEST_GAP, (n_series, n_gaps))
    ends = np.cumsum(gaps, 1) - generator.random((n_series, 1)) * gaps[:, :1]
    starts = ends - gaps
    first_step = np.minimum(np.ceil(ends), length).astype(np.int64)
    flat = first_step + (length + 1) * np.arange(n_series)[:, None]
    counts = np.bincount(flat.ravel(), minlength=n_series * (length + 1))
    segment = np.cumsum(counts.reshape(n_series, length + 1)[:, :length], 1)
    start, gap = (np.take_along_axis(part, segment, 1) for part in (starts, gaps))
    return segment, (np.arange(length) - start) / gap


def _knot_levels(
    generator: np.random.Generator, n_series: int, n_knots: int
) -> Float64[ndarray, "series knot"]:
    shocks = generator.standard_normal((n_series, n_knots))
    kind = generator.random((n_series, 1))
    drift = generator.normal(0, 1.0, (n_series, 1))
    climbing = np.where(kind < 0.35, np.abs(shocks), shocks + drift * (kind < 0.5))
    levels = np.where(kind < 0.8, np.cumsum(climbing, 1), shocks)
    return levels * (1 - 2 * chance(generator, 0.3, n_series))


def _rise(
    generator: np.random.Generator, position: Float[ndarray, "series time"]
) -> Float64[ndarray, "series time"]:
    n_series = len(position)
    kind = generator.random((n_series, 1))
    smooth = position**2 * (3 - 2 * position)
    bend = log_uniform(generator, 0.7, 7.0, n_series) * (1 - 2 * chance(generator, 0.4, n_series))
    damped = np.expm1(-bend * position) / np.expm1(-bend)
    return np.where(kind < 0.4, position, np.where(kind < 0.65, smooth, damped))
