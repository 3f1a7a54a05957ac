"""Gaussian processes: sums and products of smooth, rough and quasi-periodic kernels.

KernelSynth of Chronos (Ansari et al. 2024) composes up to five kernels and draws through a
Cholesky factor. Stationary kernels are drawn here on a ring twice as long as the row, by the fast
Fourier transform of their spectra: exact on the ring, and thousands of times cheaper.
"""

import numpy as np

from tsfm.shapes import Float, Float64, ndarray
from tsfm.synthetic.draws import Column, chance, log_uniform, periods, standardized

N_HARMONICS = 12
# A comb line narrower than this share of a bin would fall between two frequencies of the ring.
NARROWEST_LINE = 0.6


def ring_size(length: int) -> int:
    """Return a size at least twice `length` that the Fourier transform handles fast."""
    return -(-2 * length // 64) * 64


def filtered(
    shocks: Float[ndarray, "series ring"], response: ndarray, length: int
) -> Float64[ndarray, "series time"]:
    """Pass `shocks` through a linear filter, given by its response at the ring's frequencies."""
    spectrum = np.fft.rfft(shocks) * response.astype(np.complex64)
    return np.fft.irfft(spectrum, shocks.shape[1])[:, :length].astype(np.float64)


def on_ring(
    generator: np.random.Generator, amplitude: ndarray, length: int
) -> Float64[ndarray, "series time"]:
    """Draw Gaussian rows whose spectrum has this amplitude at the ring's frequencies."""
    drawn = generator.standard_normal((*amplitude.shape, 2), np.float32).view(np.complex64)
    spectrum = drawn[..., 0] * amplitude.astype(np.float32)
    return np.fft.irfft(spectrum, ring_size(length))[:, :length].astype(np.float64)


def coloured(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw processes whose spectrum is flat up to a corner and falls by a random power beyond."""
    frequency = np.fft.rfftfreq(ring_size(length))[None]
    corner = log_uniform(generator, 0.5 / length, 0.5, n_series)
    power = generator.uniform(0.0, 4.0, (n_series, 1))
    amplitude = np.exp(-power / 4 * np.log1p((frequency / corner) ** 2))
    return standardized(on_ring(generator, amplitude, length))


def slow_wave(
    generator: np.random.Generator, length: int, scale: Column
) -> Float64[ndarray, "series time"]:
    """Draw smooth processes that change over `scale` steps, with a squared-exponential kernel."""
    frequency = np.fft.rfftfreq(ring_size(length))[None]
    amplitude = np.exp(-((np.pi * frequency * scale) ** 2))
    return standardized(on_ring(generator, amplitude, length))


def gaussian_process(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw sums of up to five kernels, some multiplied by a slow envelope or tilted by a line."""
    frequency = np.fft.rfftfreq(ring_size(length))[None]
    parts = (_smooth, _rough, _quasi_periodic, _quasi_periodic)
    taken = generator.random((len(parts), n_series)) < np.array([[0.5], [0.5], [0.5], [0.25]])
    taken[generator.integers(0, len(parts), n_series), np.arange(n_series)] = True
    density = np.full((n_series, frequency.shape[1]), 1e-9)
    for part, chosen in zip(parts, taken, strict=True):
        index = np.flatnonzero(chosen)
        if len(index):
            drawn = part(generator, frequency, len(index), length)
            size = log_uniform(generator, 0.05, 5.0, len(index))
            density[index] += size * drawn / drawn.sum(1, keepdims=True)
    rows = standardized(on_ring(generator, np.sqrt(density), length))
    index = np.flatnonzero(generator.random(n_series) < 0.2)
    if len(index):
        scale = log_uniform(generator, 30.0, 2.0 * length, len(index))
        rows[index] *= np.exp(0.6 * slow_wave(generator, length, scale))
    slope = generator.normal(0, 4, (n_series, 1)) * chance(generator, 0.2, n_series)
    return standardized(rows + slope * np.linspace(0, 1, length))


def _smooth(
    generator: np.random.Generator, frequency: ndarray, n_series: int, length: int
) -> ndarray:
    scale = log_uniform(generator, 6.0, 2.0 * length, n_series)
    return np.exp(-np.minimum((np.pi * frequency * scale) ** 2, 80)) + 1e-30


def _rough(
    generator: np.random.Generator, frequency: ndarray, n_series: int, length: int
) -> ndarray:
    corner = log_uniform(generator, 0.3 / length, 0.2, n_series)
    power = generator.uniform(0.5, 4.0, (n_series, 1))
    return np.exp(-power / 2 * np.log1p((frequency / corner) ** 2))


def _quasi_periodic(
    generator: np.random.Generator, frequency: ndarray, n_series: int, length: int
) -> ndarray:
    """Return a comb: harmonics of a season, each as wide as the season is unsteady."""
    base = 1 / periods(generator, n_series)
    width = base * log_uniform(generator, 0.001, 0.1, n_series)
    width = np.maximum(width, NARROWEST_LINE / ring_size(length))
    harmonic = np.clip(np.round(frequency / base), 1, N_HARMONICS)
    distance = (frequency - harmonic * base) / width
    fall = generator.uniform(0.5, 3.0, (n_series, 1))
    return np.exp(-np.minimum(0.5 * distance**2, 80)) * harmonic ** (-2 * fall) + 1e-30
