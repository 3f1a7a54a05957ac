"""Counts: intermittent demand and over-dispersed events."""

import numpy as np

from tsfm.synthetic.draws import Rows, chance, log_uniform


def counts(generator: np.random.Generator, intensity: Rows) -> Rows:
    """Draw counts whose rate follows `intensity` (standardised rows).

    A gamma mixture makes some over-dispersed; zero inflation makes some intermittent, as spare
    parts are (Croston 1972).
    """
    n_series, _ = intensity.shape
    swing = generator.uniform(0, 0.9, (n_series, 1))
    rate = log_uniform(generator, 0.1, 60, n_series) * np.exp(
        np.clip(swing * intensity, -4, 4)
    )
    shape = log_uniform(generator, 0.3, 20, n_series)
    mixed = generator.gamma(shape, 1 / shape, intensity.shape)
    rate = rate * np.where(chance(generator, 0.5, n_series) > 0, mixed, 1.0)
    silent = generator.uniform(0, 0.9, (n_series, 1)) * chance(generator, 0.4, n_series)
    return generator.poisson(rate) * (generator.random(intensity.shape) >= silent)
