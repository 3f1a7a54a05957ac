"""Linear recursions: AR, ARMA and SARIMA processes, and exponential smoothing in state space.

Box and Jenkins (1970); Hyndman, Koehler, Ord and Snyder (2008). A stationary linear recursion is a
filter, so the rows are drawn through its frequency response instead of step by step.
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import chance, log_uniform, periods, standardized
from tsfm.synthetic.gaussian_process import filtered, ring_size


def autoregressive(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw SARIMA processes (half, of which a third is integrated) and smoothing models (half)."""
    n_smoothing = int(generator.binomial(n_series, 0.5))
    parts = [
        family(generator, size, length)
        for family, size in ((sarima, n_series - n_smoothing), (exponential_smoothing, n_smoothing))
        if size
    ]
    return generator.permutation(np.concatenate(parts))


def sarima(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw ARMA(2, 1) processes with a seasonal lag; some are cycles of an unsteady length.

    Partial autocorrelations inside (-1, 1) keep every process stationary.
    """
    delay = _delay(length)
    first = generator.uniform(-0.3, 0.99, (n_series, 1))
    second = generator.uniform(-0.6, 0.6, (n_series, 1)) * chance(generator, 0.4, n_series)
    near, far = first * (1 - second), second
    radius = 1 - log_uniform(generator, 0.003, 0.2, n_series)
    angle = 2 * np.pi / log_uniform(generator, 4.0, 200.0, n_series)
    cyclic = generator.random((n_series, 1)) < 0.25
    near = np.where(cyclic, 2 * radius * np.cos(angle), near)
    far = np.where(cyclic, -(radius**2), far)
    average = generator.uniform(-0.6, 0.8, (n_series, 1)) * chance(generator, 0.5, n_series)
    shocks = _shocks(generator, n_series, length)
    response = (1 + average * delay) / (1 - near * delay - far * delay**2)
    response *= _seasonal_response(generator, n_series, length, 0.6)
    rows = standardized(filtered(shocks, response, length))
    integrated = standardized(np.cumsum(rows, 1))
    return np.where(generator.random((n_series, 1)) < 0.3, integrated, rows)


def exponential_smoothing(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw a local level with a damped local trend and a season that slowly changes its shape."""
    delay = _delay(length)
    shocks = _shocks(generator, n_series, length)
    damping = 1 - log_uniform(generator, 0.005, 0.3, n_series)
    season = filtered(shocks, _seasonal_response(generator, n_series, length, 1.0), length)
    slope = standardized(filtered(shocks, delay / (1 - damping * delay), length))
    shocks = shocks[:, :length].astype(np.float64)
    trending = log_uniform(generator, 0.02, 1.0, n_series) * chance(generator, 0.5, n_series)
    drift = generator.normal(0, 0.1, (n_series, 1)) * chance(generator, 0.4, n_series)
    level = np.cumsum(shocks + drift + trending * slope, 1)
    size = log_uniform(generator, 0.01, 1.0, n_series)
    strength = log_uniform(generator, 1.0, 30.0, n_series) * chance(generator, 0.7, n_series)
    return standardized(shocks + size * level + strength * standardized(season))


def _delay(length: int) -> ndarray:
    """Return the response of a delay by one step, which stands for the backshift operator."""
    return np.exp(-2j * np.pi * np.fft.rfftfreq(ring_size(length)))[None]


def _seasonal_response(
    generator: np.random.Generator, n_series: int, length: int, share: float
) -> ndarray:
    """Return the response of a seasonal lag whose weight lies between 0.2 and 0.999."""
    lag = np.round(periods(generator, n_series, 0.1))
    memory = 1 - log_uniform(generator, 0.001, 0.8, n_series)
    memory *= chance(generator, share, n_series)
    angle = (-2 * np.pi * np.fft.rfftfreq(ring_size(length)) * lag).astype(np.float32)
    return 1 / (1 - memory * np.exp(1j * angle))


def _shocks(generator: np.random.Generator, n_series: int, length: int) -> ndarray:
    """Draw shocks for the whole ring, a quarter of the series with heavy tails."""
    shocks = generator.standard_normal((n_series, ring_size(length)), np.float32)
    heavy = np.flatnonzero(generator.random(n_series) < 0.25)
    spread = generator.gamma(2.0, 0.5, (len(heavy), shocks.shape[1]))
    shocks[heavy] /= np.sqrt(np.maximum(spread, 0.02))
    return shocks
