"""Quantiles at any level from those a model was trained on."""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from tsfm.errors import ConfigError, NotCalibratedError
from tsfm.models.sizes import DECILES as DECILES
from tsfm.shapes import Float64, ndarray

MEDIAN = 0.5


def check_levels(levels: Any) -> tuple[float, ...]:
    """Return the levels, or say that they are wrong.

    Examples
    --------
    >>> check_levels([0.9, 0.1])
    (0.9, 0.1)
    """
    try:
        found = tuple(float(level) for level in levels)
    except (TypeError, ValueError):
        found = ()
    if not found or len(set(found)) < len(found) or any(not 0 < one < 1 for one in found):
        raise ConfigError(
            f"quantile_levels must be different numbers between 0 and 1, got {levels!r}; "
            "pass for example [0.1, 0.5, 0.9]"
        )
    return found


def check_calibrated(trained: Sequence[float], asked: Sequence[float]) -> None:
    """Raise when a model that gives one number per step is asked for more than that number."""
    known = tuple(trained) or (MEDIAN,)
    if len(known) == 1 and set(asked) != set(known):
        raise NotCalibratedError(
            f"quantile_levels must be [{known[0]}] for a model that was trained on a point "
            f"forecast alone, got {list(asked)}; pass [{known[0]}] or use a model with quantiles"
        )


def at_levels(
    quantiles: Float64[ndarray, "item trained horizon"],
    trained: Sequence[float],
    asked: Sequence[float],
) -> Float64[ndarray, "item asked horizon"]:
    """Interpolate on the scale of normal scores; beyond the outermost levels, extrapolate.

    A trained level comes back to the bit, and as long as the trained quantiles do not cross, no
    others do: the outcome rises with the level in floating point too, whatever else is asked.
    """
    check_calibrated(trained, asked)
    if len(trained) <= 1:
        return quantiles.repeat(len(asked), 1)
    known, wanted = (
        np.array([NormalDist().inv_cdf(level) for level in levels]) for levels in (trained, asked)
    )
    left = np.clip(np.searchsorted(known, wanted) - 1, 0, len(known) - 2)
    weight = ((wanted - known[left]) / (known[left + 1] - known[left]))[:, None]
    low, high = quantiles[:, left], quantiles[:, left + 1]
    gap = high - low
    return np.where(weight < 1, low + weight * gap, high + (weight - 1) * gap)
