"""Seasons: one to three repeating shapes of any common length, alone or upon a trend.

After ForecastPFN (Dooley et al. 2023), which multiplies seasons by a trend; sharp profiles,
squares, pulses and saw teeth as in TempoPFN (Moroshan et al. 2025).
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import (
    Column,
    chance,
    log_uniform,
    periods,
    standardized,
)
from tsfm.synthetic.gaussian_process import slow_wave
from tsfm.synthetic.trend import characteristic_length, path

N_HARMONICS = 10
# Points of a tabulated cycle; the longest season that can have a value of its own at each step.
TABLE_POINTS = 384


def seasonal(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw sums of seasons; half of them multiply a level, and most of the others ride on one."""
    rows = np.zeros((n_series, length))
    for share in (1.0, 0.4, 0.1):
        index = np.flatnonzero(generator.random(n_series) < share)
        if len(index):
            season = one_season(generator, length, periods(generator, len(index)))
            rows[index] += log_uniform(generator, 0.3, 3.0, len(index)) * season
    rows = standardized(rows)
    index = np.flatnonzero(generator.random(n_series) < 0.75)
    if len(index):
        rows[index] = _with_level(generator, rows[index])
    return rows


def one_season(
    generator: np.random.Generator, length: int, period: Column
) -> Float64[ndarray, "series time"]:
    """Draw one season of each given length; some slowly change in size, some in shape."""
    n_series = len(period)
    phase = (np.arange(length) / period + generator.random((n_series, 1))) % 1.0
    rows = _repeated(generator, phase, period)
    breathing = np.flatnonzero(generator.random(n_series) < 0.3)
    if len(breathing):
        scale = characteristic_length(generator, len(breathing), length)
        size = log_uniform(generator, 0.1, 0.8, len(breathing))
        rows[breathing] *= np.exp(size * slow_wave(generator, length, scale))
    changing = np.flatnonzero(generator.random(n_series) < 0.15)
    if len(changing):
        scale = characteristic_length(generator, len(changing), length)
        weight = 1 / (1 + np.exp(-2 * slow_wave(generator, length, scale)))
        other = _repeated(generator, phase[changing], period[changing])
        rows[changing] = weight * rows[changing] + (1 - weight) * other
    return rows


def cycle_tables(
    generator: np.random.Generator, period: Column
) -> tuple[Float64[ndarray, "series point"], ndarray, ndarray]:
    """Draw one cycle of each given length, tabulated.

    Returns
    -------
    The standardised tables, how many points of each are used, and whether to interpolate.
    """
    n_series = len(period)
    kind = generator.random((n_series, 1))
    own = np.clip(np.round(period), 2, TABLE_POINTS)
    few = np.minimum(own, generator.integers(3, 25, (n_series, 1)))
    sharp = (kind >= 0.5) & (kind < 0.8)
    used = np.where(sharp, np.where(generator.random((n_series, 1)) < 0.6, own, few), TABLE_POINTS)
    place = np.arange(TABLE_POINTS) / TABLE_POINTS
    table = np.where(
        kind < 0.5,
        _harmonics(generator, n_series, place),
        np.where(sharp, _profiles(generator, n_series, used), _pulses(generator, n_series, place)),
    )
    interpolated = (kind < 0.5) | (sharp & (generator.random((n_series, 1)) < 0.4))
    inside = np.arange(TABLE_POINTS) < used
    mean = (table * inside).sum(1, keepdims=True) / used
    table = (table - mean) * inside
    std = np.sqrt((table**2).sum(1, keepdims=True) / used)
    return table / np.maximum(std, 1e-9), used.astype(np.int64), interpolated


def read_cycle(
    tables: ndarray, used: ndarray, interpolated: ndarray, phase: ndarray
) -> Float64[ndarray, "series time"]:
    """Look the cycles up at a phase between 0 and 1."""
    place = phase * used
    left = np.minimum(place.astype(np.int64), used - 1)
    rows = np.take_along_axis(tables, left, 1)
    index = np.flatnonzero(interpolated)
    if len(index):
        right = left[index] + 1
        right[right == used[index]] = 0
        after = np.take_along_axis(tables[index], right, 1)
        rows[index] += (place[index] - left[index]) * (after - rows[index])
    return rows


def _repeated(
    generator: np.random.Generator, phase: ndarray, period: Column
) -> Float64[ndarray, "series time"]:
    return read_cycle(*cycle_tables(generator, period), phase)


def _with_level(
    generator: np.random.Generator, season: Float64[ndarray, "series time"]
) -> Float64[ndarray, "series time"]:
    """Set seasons upon a level: proportional to it, or added."""
    n_series, length = season.shape
    level = path(generator, length, characteristic_length(generator, n_series, length))
    growth = np.exp(log_uniform(generator, 0.1, 1.2, n_series) * np.clip(level, -3, 3))
    deep = log_uniform(generator, 0.03, 0.6, n_series)
    size = log_uniform(generator, 0.2, 5.0, n_series)
    multiplied = growth * np.exp(deep * np.clip(season, -4, 4))
    proportional = chance(generator, 0.55, n_series) > 0
    return standardized(np.where(proportional, multiplied, season + size * level))


def _harmonics(generator: np.random.Generator, n_series: int, place: ndarray) -> ndarray:
    order = np.arange(1, N_HARMONICS + 1)
    fall = generator.uniform(0.5, 2.5, (n_series, 1))
    highest = generator.integers(1, N_HARMONICS + 1, (n_series, 1))
    size = np.where(order <= highest, order**-fall, 0.0)
    cosine, sine = generator.standard_normal((2, n_series, N_HARMONICS)) * size
    angle = 2 * np.pi * order[:, None] * place
    return cosine @ np.cos(angle) + sine @ np.sin(angle)


def _profiles(generator: np.random.Generator, n_series: int, used: ndarray) -> ndarray:
    """Draw independent points, a closed random walk, or a flat line with a few peaks."""
    points = generator.standard_normal((n_series, TABLE_POINTS))
    walk = np.cumsum(points, 1)
    last = np.take_along_axis(walk, used.astype(np.int64) - 1, 1)
    walk = (walk - last * np.arange(1, TABLE_POINTS + 1) / used) / np.sqrt(used)
    n_peaks = generator.integers(1, 5, (n_series, 1))
    peaks = np.exp(points) * (generator.random(points.shape) < n_peaks / used) + 0.05 * points
    kind = generator.random((n_series, 1))
    return np.where(kind < 0.55, points, np.where(kind < 0.8, walk, peaks))


def _pulses(generator: np.random.Generator, n_series: int, place: ndarray) -> ndarray:
    """Draw squares, half sines (daylight), saw teeth and triangles, on for part of the cycle."""
    width = generator.uniform(0.08, 0.75, (n_series, 1))
    within = np.minimum(place / width, 1.0)
    on = (place < width).astype(float)
    daylight = np.sin(np.pi * within) ** generator.uniform(0.7, 2, (n_series, 1)) * on
    peak = np.where(place < width, within, (1 - place) / (1 - width))
    kind = generator.random((n_series, 1))
    shapes = [on, daylight, within * on, peak]
    return np.select([kind < 0.3, kind < 0.65, kind < 0.8], shapes[:3], shapes[3])
