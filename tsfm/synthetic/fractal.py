"""Rough on every scale: fractional noises and motions, and multifractal walks.

Fractional Brownian motion (Mandelbrot and Van Ness 1968) and the multifractal random walk (Bacry,
Delour and Muzy 2001), by their spectra on a ring; the multi-scale fractals of TempoPFN
(Moroshan et al. 2025).
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import Column, chance, log_uniform, standardized
from tsfm.synthetic.gaussian_process import on_ring, ring_size


def fractal(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw noises (a third) and the motions they add up to; half have bursts on all scales."""
    hurst = generator.uniform(0.05, 0.95, (n_series, 1))
    noise = _power_law(generator, 2 * hurst - 1, length)
    bursts = _power_law(generator, np.ones((n_series, 1)), length)
    strength = log_uniform(generator, 0.1, 0.8, n_series) * chance(generator, 0.5, n_series)
    noise *= np.exp(strength * np.clip(bursts, -5, 5))
    motion = np.cumsum(noise - noise.mean(1, keepdims=True) * chance(generator, 0.3, n_series), 1)
    is_noise = generator.random((n_series, 1)) < 1 / 3
    return standardized(np.where(is_noise, noise, motion))


def _power_law(
    generator: np.random.Generator, power: Column, length: int
) -> Float64[ndarray, "series time"]:
    """Draw processes whose spectrum falls as the frequency to `power`."""
    frequency = np.fft.rfftfreq(ring_size(length))[None]
    frequency[:, 0] = np.inf  # no weight on the mean of the ring
    amplitude = np.exp(-power / 2 * np.log(np.minimum(frequency, 1.0)))
    amplitude[:, 0] = 0.0
    return standardized(on_ring(generator, amplitude, length))
