"""Seasons: one shape that repeats, smooth or sharp, steady or slowly changing.

After ForecastPFN (Dooley et al. 2023), which multiplies seasons by a trend, with sharp profiles,
pulses and saw teeth added (as in TempoPFN).
"""

import numpy as np

from tsfm.synthetic.draws import Column, Rows, chance, log_uniform, periods, standardized
from tsfm.synthetic.noise import coloured

N_HARMONICS = 8
PROFILE_POINTS = 96


def seasonal(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw sums of one to three seasons, each with a deviation of its own."""
    total = np.zeros((n_series, length))
    for share in (1.0, 0.4, 0.1):
        season = one_season(generator, n_series, length, periods(generator, n_series))
        weight = log_uniform(generator, 0.3, 3, n_series) * chance(generator, share, n_series)
        total += weight * season
    return standardized(total)


def one_season(
    generator: np.random.Generator, n_series: int, length: int, period: Column
) -> Rows:
    """Draw one season of each given length; half of them keep their size, half breathe."""
    phase = np.arange(length) / period + generator.random((n_series, 1))
    position = phase % 1.0
    kind = generator.random((n_series, 1))
    shape = np.where(
        kind < 0.55,
        _harmonics(generator, position),
        np.where(kind < 0.85, _profile(generator, position), _pulse(generator, position)),
    )
    breath = 1 + 0.4 * coloured(generator, n_series, length) * chance(generator, 0.3, n_series)
    return standardized(shape) * breath


def _harmonics(generator: np.random.Generator, position: Rows) -> Rows:
    decay = generator.uniform(0.5, 2.5, (len(position), 1))
    base = np.exp(2j * np.pi * position)
    wave, total = np.ones_like(base), np.zeros_like(position)
    for harmonic in range(1, N_HARMONICS + 1):
        wave = wave * base
        cosine, sine = generator.standard_normal((2, len(position), 1)) / harmonic**decay
        total += cosine * wave.real + sine * wave.imag
    return total


def _profile(generator: np.random.Generator, position: Rows) -> Rows:
    """Read a random profile: as rough as independent points, or as smooth as a random walk."""
    n_series = len(position)
    points = generator.standard_normal((n_series, PROFILE_POINTS))
    rough = generator.random((n_series, 1)) < 0.5
    walk = np.cumsum(points, 1)
    ramp = np.linspace(0, 1, PROFILE_POINTS)
    walk = walk - ramp * (walk[:, -1:] - walk[:, :1])
    profile = np.where(rough, points, walk * 0.3)
    index = np.minimum((position * PROFILE_POINTS).astype(int), PROFILE_POINTS - 1)
    return np.take_along_axis(profile, index, 1)


def _pulse(generator: np.random.Generator, position: Rows) -> Rows:
    """On for a part of the season: square, half sine (daylight) or saw tooth."""
    n_series = len(position)
    width = generator.uniform(0.08, 0.7, (n_series, 1))
    within = np.minimum(position / width, 1.0)
    square = (position < width).astype(float)
    daylight = np.sin(np.pi * within) ** generator.uniform(0.7, 2, (n_series, 1))
    kind = generator.random((n_series, 1))
    return np.where(kind < 0.35, square, np.where(kind < 0.75, daylight * square, within))
