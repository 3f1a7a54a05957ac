"""What values a series can take, read off its past: nothing below a floor of zero, whole counts.

A network's quantiles are real numbers. The quantiles of a count are whole numbers, and so a
forecast of 0.1 pieces is never the best one under the pinball loss.
"""

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray

# A series that is at zero so often has its floor there; one that passes through zero has not.
ZERO_SHARE = 0.2


def within_support(
    quantiles: Float64[ndarray, "item quantile horizon channel"],
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    context_length: int,
) -> Float64[ndarray, "item quantile horizon channel"]:
    """Lift what lies below a floor of zero, and round the forecasts of counts.

    Parameters
    ----------
    values
        The past of every item, one after the other; missing values do not count.
    context_length
        Last steps of every item that are looked at.

    Examples
    --------
    >>> past = np.array([0.0, 2.0, 0.0, 1.0])[:, None]
    >>> quantiles = np.array([-0.3, 0.2, 1.6]).reshape(1, 3, 1, 1)
    >>> within_support(quantiles, past, np.array([0, 4]), 512).ravel()
    array([0., 0., 2.])
    """
    has_floor, is_count = find_support(values, offsets, context_length)
    lifted = np.where(has_floor[:, None, None], np.maximum(quantiles, 0.0), quantiles)
    result: ndarray = np.where(is_count[:, None, None], np.round(lifted), lifted)
    return result


def find_support(
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    context_length: int,
) -> tuple[Bool[ndarray, "item channel"], Bool[ndarray, "item channel"]]:
    """Say which series have a floor of zero, and which of these are counts; see `within_support`.

    Missing values do not count.
    """
    to_the_end = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(values))
    seen = np.isfinite(values) & (to_the_end <= context_length)[:, None]
    fraction = seen & (values != np.round(np.where(seen, values, 0.0)))
    n_seen, n_zero, n_negative, n_fraction = (
        _per_item(condition, offsets)
        for condition in (seen, seen & (values == 0), seen & (values < 0), fraction)
    )
    has_floor = (n_zero > ZERO_SHARE * n_seen) & (n_negative == 0)
    is_count = has_floor & (n_fraction == 0)
    return has_floor, is_count


def _per_item(
    condition: Bool[ndarray, "total_time channel"], offsets: Int[ndarray, " item_and_end"]
) -> Int[ndarray, "item channel"]:
    """Count the steps of every item, which may have none, where the condition holds."""
    until = np.concatenate([np.zeros((1, condition.shape[1]), np.int64), condition.cumsum(0)])
    counts: ndarray = np.diff(until[offsets], axis=0)
    return counts
