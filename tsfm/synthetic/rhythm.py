"""Rhythms as of sounds and machines: bars of beats, each struck and fading, in a wandering tempo.

The audio-like generators of TempoPFN (Moroshan et al. 2025): vibration, heartbeats, footsteps.
"""

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.synthetic.draws import chance, log_uniform, standardized
from tsfm.synthetic.gaussian_process import slow_wave
from tsfm.synthetic.trend import characteristic_length

MOST_BEATS = 16


def rhythm(
    generator: np.random.Generator, n_series: int, length: int
) -> Float64[ndarray, "series time"]:
    """Draw a pattern of accents, repeated; a struck beat is a pulse or a ringing tone."""
    beat = log_uniform(generator, 4.0, max(8.0, length / 6), n_series)
    scale = characteristic_length(generator, n_series, length)
    wander = log_uniform(generator, 0.01, 1.0, n_series) * chance(generator, 0.5, n_series)
    phase = np.arange(length) / beat + wander * slow_wave(generator, length, scale)
    phase = phase - phase.min(1, keepdims=True) + generator.random((n_series, 1))
    number = phase.astype(np.int64)
    since_strike = (phase - number) * beat
    accents = np.exp(generator.standard_normal((n_series, MOST_BEATS)))
    accents *= generator.random(accents.shape) < 0.7
    accents[:, 0] = accents.max(1) + 0.5  # the first beat of a bar is the loudest
    beats_per_bar = generator.integers(1, MOST_BEATS + 1, (n_series, 1))
    accent = np.take_along_axis(accents, number % beats_per_bar, 1)
    fading = np.exp(-since_strike / (beat * log_uniform(generator, 0.05, 1.0, n_series)))
    tone = np.cos(2 * np.pi * since_strike / log_uniform(generator, 2.5, 30.0, n_series))
    ringing = np.where(generator.random((n_series, 1)) < 0.5, tone, 1.0)
    swell = log_uniform(generator, 0.1, 0.8, n_series) * chance(generator, 0.4, n_series)
    loudness = np.exp(swell * slow_wave(generator, length, scale))
    noise = log_uniform(generator, 0.005, 0.3, n_series) * generator.standard_normal(phase.shape)
    return standardized(accent * fading * ringing * loudness + noise)
