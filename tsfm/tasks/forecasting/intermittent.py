"""Counts that are mostly zero, of which little is known, are drawn toward their own past.

Forty months of a spare part hold a handful of sales: too few to tell a network when the next one
comes, yet enough to know how often. There the quantiles of the past are nearly as good a forecast
as the network's, and a mean of both is better than either.
"""

from collections.abc import Sequence

import numpy as np

from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.forecasting.support import find_support

ZERO_SHARE = 0.75
# Chosen on fresh series of the prior's counts: a third up to 50 known values, none from 100 on.
WEIGHT, FULL_UNTIL, NONE_FROM = 0.3, 50, 100


def toward_past(
    quantiles: Float64[ndarray, "item quantile horizon channel"],
    levels: Sequence[float],
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    context_length: int,
) -> Float64[ndarray, "item quantile horizon channel"]:
    """Average the quantiles of short intermittent counts with those of their past.

    Parameters
    ----------
    values
        The past of every item, one after the other; missing values do not count.
    context_length
        Last steps of every item that are looked at.

    Examples
    --------
    >>> past = np.array([0.0, 0.0, 0.0, 4.0])[:, None]
    >>> found = toward_past(np.ones((1, 2, 1, 1)), [0.5, 0.9], past, np.array([0, 4]), 512)
    >>> found.ravel()
    array([0.7, 1.9])
    """
    _, is_count = find_support(values, offsets, context_length)
    result = quantiles.copy()
    for item, channel in np.argwhere(is_count):
        past = values[max(offsets[item], offsets[item + 1] - context_length) : offsets[item + 1]]
        known = past[np.isfinite(past[:, channel]), channel]
        left = (NONE_FROM - len(known)) / (NONE_FROM - FULL_UNTIL)
        weight = WEIGHT * min(1.0, max(0.0, left))
        if weight and (known == 0).mean() >= ZERO_SHARE:
            of_past = np.quantile(known, levels, method="inverted_cdf")[:, None]
            result[item, :, :, channel] *= 1 - weight
            result[item, :, :, channel] += weight * of_past
    return result
