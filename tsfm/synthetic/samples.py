"""Multichannel samples whose channels explain one another: mixtures of a few common factors."""

import numpy as np

from tsfm.shapes import Float32, ndarray
from tsfm.synthetic.draws import standardized
from tsfm.synthetic.mixture import SHORTEST, SyntheticMixture

# Families of which a short sample shows more than a part of one movement.
SHARES = {"seasonal": 0.5, "autoregressive": 0.25, "chaos": 0.25}
NOISE = 0.1


def synthetic_samples(
    n_samples: int,
    length: int,
    n_channels: int,
    generator: np.random.Generator,
    *,
    n_factors: int = 2,
) -> Float32[ndarray, "sample time channel"]:
    """Draw samples; every channel is a mixture of the factors of its sample, with a little noise.

    The weights of the mixture are the same for all samples, as sensors stay where they are. There
    are no missing values.

    Examples
    --------
    >>> synthetic_samples(4, 64, 3, np.random.default_rng(0)).shape
    (4, 64, 3)
    """
    mixture = SyntheticMixture(length=max(length, SHORTEST), shares=SHARES)
    factors = mixture.sample(n_samples * n_factors, generator)[:, :length].astype(np.float64)
    factors = standardized(factors).reshape(n_samples, n_factors, length)
    weights = generator.standard_normal((n_factors, n_channels))
    weights /= np.linalg.norm(weights, axis=0)
    noise = NOISE * generator.standard_normal((n_samples, length, n_channels))
    samples: ndarray = np.einsum("sft,fc->stc", factors, weights) + noise
    return samples.astype(np.float32)
