"""Counts: intermittent demand, over-dispersed events, small whole numbers with a season.

Zero inflation and sizes as in the demand of spare parts (Croston 1972; Syntetos and Boylan 2005).
"""

import numpy as np

from tsfm.shapes import Float, Float64, ndarray
from tsfm.synthetic.draws import chance, log_uniform, periods
from tsfm.synthetic.gaussian_process import slow_wave
from tsfm.synthetic.seasonal import one_season
from tsfm.synthetic.trend import characteristic_length


def counts(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw counts whose rate has a season, a slow wave, both or neither."""
    season = one_season(generator, length, periods(generator, n_series))
    season *= generator.uniform(0.1, 0.9, (n_series, 1)) * chance(generator, 0.6, n_series)
    wave = slow_wave(generator, length, characteristic_length(generator, n_series, length))
    wave *= generator.uniform(0.1, 0.9, (n_series, 1)) * chance(generator, 0.6, n_series)
    return counts_of(generator, season + wave)


def counts_of(
    generator: np.random.Generator, log_rate: Float[ndarray, "series time"]
) -> Float64[ndarray, "series time"]:
    """Draw counts of all sizes: steady (Poisson), over-dispersed, or mostly zero."""
    n_series, _ = log_rate.shape
    rate = log_uniform(generator, 0.1, 100.0, n_series) * np.exp(np.clip(log_rate, -4, 4))
    dispersed = np.flatnonzero(generator.random(n_series) < 0.5)
    shape = log_uniform(generator, 0.3, 20.0, len(dispersed))
    rate[dispersed] *= generator.gamma(shape, 1 / shape, (len(dispersed), rate.shape[1]))
    drawn = generator.poisson(rate).astype(np.float64)
    index = np.flatnonzero(generator.random(n_series) < 0.45)
    drawn[index] = _intermittent(generator, drawn[index])
    return drawn


def _intermittent(
    generator: np.random.Generator, drawn: Float64[ndarray, "series time"]
) -> Float64[ndarray, "series time"]:
    """Let demand occur at random, in clusters, or at a fixed distance; else it is zero."""
    n_series, length = drawn.shape
    distance = log_uniform(generator, 1.2, 15.0, n_series)
    single = generator.random(drawn.shape) < 1 / distance
    wave = slow_wave(generator, length, log_uniform(generator, 4.0, 60.0, n_series))
    clustered = wave > generator.uniform(-0.5, 1.5, (n_series, 1))
    fixed = np.arange(length) % np.ceil(distance) == 0
    kind = generator.random((n_series, 1))
    occurs = np.where(kind < 0.65, single, np.where(kind < 0.9, clustered, fixed))
    return np.where(occurs, np.maximum(drawn, 1), 0.0)
