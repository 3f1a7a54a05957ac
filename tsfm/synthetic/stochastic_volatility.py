"""Stochastic volatility: returns in calm and stormy times, the prices they add up to, the storms.

The log-normal model of Taylor (1982) with the leverage of Harvey and Shephard (1996): a fall raises
the volatility that follows. TempoPFN (Moroshan et al. 2025) draws the same from its financial
generator.
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import chance, log_uniform, standardized
from tsfm.synthetic.gaussian_process import filtered, ring_size


def stochastic_volatility(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw returns (a third), prices (two fifths) and volatilities as they are measured (rest)."""
    size = ring_size(length)
    storms = generator.standard_normal((n_series, size), np.float32)
    memory = 1 - log_uniform(generator, 0.002, 0.2, n_series)
    delay = np.exp(-2j * np.pi * np.fft.rfftfreq(size))
    calm_to_storm = standardized(filtered(storms, 1 / (1 - memory * delay), length))
    volatility = np.exp(log_uniform(generator, 0.2, 1.2, n_series) * np.clip(calm_to_storm, -4, 4))
    leverage = -generator.uniform(0, 0.8, (n_series, 1)) * chance(generator, 0.6, n_series)
    own = generator.standard_t(5, (n_series, length)) / np.sqrt(5 / 3)
    # Today's return meets the volatility that was known yesterday.
    known = np.concatenate([volatility[:, :1], volatility[:, :-1]], 1)
    returns = known * (leverage * storms[:, :length] + np.sqrt(1 - leverage**2) * own)
    jumps = generator.random(returns.shape) < log_uniform(generator, 0.0005, 0.01, n_series)
    jumps = jumps & (generator.random((n_series, 1)) < 0.3)
    returns = returns + jumps * generator.normal(-1, 6, returns.shape)
    prices = _prices(generator, returns)
    measured = volatility * np.exp(0.3 * generator.standard_normal(volatility.shape))
    kind = generator.random((n_series, 1))
    rows = np.where(kind < 0.35, returns, np.where(kind < 0.75, prices, measured))
    return standardized(rows)


def _prices(
    generator: np.random.Generator, returns: Float64[ndarray, "series time"]
) -> Float64[ndarray, "series time"]:
    drift = generator.normal(0, 0.05, (len(returns), 1))
    swing = log_uniform(generator, 0.05, 1.0, len(returns))
    return np.exp(swing * standardized(np.cumsum(returns + drift, 1)))
