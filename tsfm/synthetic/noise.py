"""Noise with memory: coloured spectra, Gaussian-process draws, autoregression.

The spectra stand for Gaussian processes with stationary kernels (KernelSynth of Chronos, Ansari
et al. 2024), drawn exactly on a ring by the fast Fourier transform instead of a Cholesky factor.
"""

import numpy as np

from tsfm.synthetic.draws import Rows, chance, log_uniform, periods, standardized


def coloured(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw processes whose spectrum is flat up to a corner and falls by a random power beyond."""
    frequency = np.fft.rfftfreq(2 * length)[None]
    corner = log_uniform(generator, 0.5 / length, 0.5, n_series)
    power = generator.uniform(0.0, 4.0, (n_series, 1))
    amplitude = (1 + (frequency / corner) ** 2) ** (-power / 4)
    return standardized(_on_a_ring(generator, amplitude, length))


def gaussian_process(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw sums of two quasi-periodic kernels and one smooth kernel.

    A quasi-periodic kernel has a comb spectrum: harmonics of a season, each as wide as the
    season is unsteady.
    """
    frequency = np.fft.rfftfreq(2 * length)[None]
    smooth = log_uniform(generator, 0.3 / length, 0.05, n_series)
    density = np.exp(-0.5 * (frequency / smooth) ** 2) / smooth
    density = density * log_uniform(generator, 0.05, 5, n_series)
    for _ in range(2):
        base = 1 / periods(generator, n_series)
        width = base * log_uniform(generator, 0.002, 0.1, n_series)
        roughness = generator.uniform(0.5, 3.0, (n_series, 1))
        harmonic = np.clip(np.round(frequency / base), 1, 12)
        comb = np.exp(-0.5 * ((frequency - harmonic * base) / width) ** 2) / width
        density = density + comb * harmonic ** (-2 * roughness) * chance(generator, 0.7, n_series)
    return standardized(_on_a_ring(generator, np.sqrt(density + 1e-12), length))


def _on_a_ring(generator: np.random.Generator, amplitude: Rows, length: int) -> Rows:
    shape = amplitude.shape
    real = generator.standard_normal(shape, np.float32)
    imaginary = generator.standard_normal(shape, np.float32)
    return np.fft.irfft((real + 1j * imaginary) * amplitude)[:, :length]


def autoregressive(generator: np.random.Generator, n_series: int, length: int) -> Rows:
    """Draw SARIMA-like processes: two lags, a seasonal lag, one moving-average lag.

    Roots are kept inside the unit circle by construction of the coefficients.
    """
    warm_up = 64
    total = length + warm_up
    near = generator.uniform(-0.3, 0.98, n_series)
    second = generator.uniform(-0.5, 0.5, n_series) * (generator.random(n_series) < 0.4)
    seasonal = generator.uniform(0.2, 0.95, n_series) * (generator.random(n_series) < 0.5)
    size = np.abs(near) + np.abs(second)
    near, second = (part * np.minimum(1, 0.985 / size) for part in (near, second))
    share = 1 - seasonal
    lag = np.round(periods(generator, n_series, 0.0)[:, 0]).astype(int).clip(2, warm_up - 1)
    shocks = generator.standard_normal((total, n_series))
    shocks[1:] += generator.uniform(-0.5, 0.8, n_series) * shocks[:-1]
    values = np.zeros((total, n_series))
    column = np.arange(n_series)
    values[:warm_up] = shocks[:warm_up]
    for step in range(warm_up, total):
        values[step] = (
            share * (near * values[step - 1] + second * values[step - 2])
            + seasonal * values[step - lag, column]
            + shocks[step]
        )
    return standardized(values[warm_up:].T)
