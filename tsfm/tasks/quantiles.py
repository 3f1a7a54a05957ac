"""Quantiles at any level from those a model was trained on."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from tsfm.errors import ConfigError, NotCalibratedError
from tsfm.shapes import Float64, ndarray


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Return the levels, or say which one is wrong."""
    found = tuple(float(level) for level in levels)
    if not found or len(set(found)) < len(found) or any(not 0 < one < 1 for one in found):
        raise ConfigError(
            f"quantile_levels must be different numbers between 0 and 1, got {list(levels)}"
        )
    return found


def at_levels(
    quantiles: Float64[ndarray, "item quantile horizon channel"],
    trained: Sequence[float],
    asked: Sequence[float],
) -> Float64[ndarray, "item asked horizon channel"]:
    """Interpolate on the scale of normal scores; beyond the outermost levels, extrapolate."""
    if not trained:
        if tuple(asked) == (0.5,):
            return quantiles
        raise NotCalibratedError(
            f"quantile_levels must be [0.5] for a point model, got {list(asked)}; "
            "calibrate it first"
        )
    known, wanted = ndtri(np.asarray(trained)), ndtri(np.asarray(asked))
    left = np.clip(np.searchsorted(known, wanted) - 1, 0, max(0, len(known) - 2))
    right = np.minimum(left + 1, len(known) - 1)
    gap = np.where(right > left, known[right] - known[left], 1.0)
    weight = ((wanted - known[left]) / gap)[:, None, None]
    low, high = quantiles[:, left], quantiles[:, right]
    result: ndarray = low + weight * (high - low)
    return result
