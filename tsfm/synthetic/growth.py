"""Saturating growth: logistic, Gompertz, Richards and Bass curves towards a capacity that moves.

Verhulst (1838), Gompertz (1825), Richards (1959), Bass (1969); the logistic trend of Prophet
(Taylor and Letham 2018). Adoption, populations, cumulated cases, and what declines as they do.
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import chance, log_uniform, standardized
from tsfm.synthetic.gaussian_process import slow_wave
from tsfm.synthetic.trend import characteristic_length

# Beyond this many widths a curve is flat to the last bit.
FARTHEST = 40.0
SECOND_WAVE_SHARE = 0.3


def growth(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw one wave of growth within the row, some with a second one; a quarter decline."""
    rows = _wave(generator, n_series, length)
    second = log_uniform(generator, 0.3, 3.0, n_series)
    second *= chance(generator, SECOND_WAVE_SHARE, n_series)
    rows = rows + second * _wave(generator, n_series, length)
    capacity = slow_wave(generator, length, characteristic_length(generator, n_series, length))
    deep = log_uniform(generator, 0.01, 0.3, n_series) * chance(generator, 0.5, n_series)
    rows *= np.exp(deep * capacity)
    noise = log_uniform(generator, 0.001, 0.2, n_series) * chance(generator, 0.7, n_series)
    rows *= np.exp(noise * generator.standard_normal(rows.shape))
    declining = generator.random((n_series, 1)) < 0.25
    return standardized(np.where(declining, -rows, rows))


def _wave(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw curves from 0 to 1 that are half way somewhere within the row."""
    middle = length * generator.uniform(0.05, 0.95, (n_series, 1))
    width = characteristic_length(generator, n_series, length)
    width = width * generator.uniform(0.03, 0.3, (n_series, 1))
    along = np.clip((np.arange(length) - middle) / width, -FARTHEST, FARTHEST)
    logistic = 1 / (1 + np.exp(-along))
    gompertz = np.exp(-np.exp(-along))
    bend = log_uniform(generator, 0.1, 10.0, n_series)
    richards = (1 + bend * np.exp(-along)) ** (-1 / bend)
    # Innovators begin at once: a logistic curve that is cut where adoption starts.
    bass = np.maximum(logistic - logistic[:, :1], 0)
    kind = generator.random((n_series, 1))
    chosen = np.select([kind < 0.35, kind < 0.6, kind < 0.8], [logistic, gompertz, richards], bass)
    highest = np.maximum(chosen.max(1, keepdims=True), 1e-12)
    return chosen / highest
