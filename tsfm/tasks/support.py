"""What values a series can take, read off its past: nothing below a floor of zero, whole counts.

A network's quantiles are real numbers. The quantiles of a count are whole numbers, and so a
forecast of 0.1 pieces is never the best one under the pinball loss.
"""

import numpy as np

from tsfm.shapes import Float64, Int, ndarray

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
    to_the_end = np.repeat(offsets[1:], np.diff(offsets)) - np.arange(len(values))
    seen = np.isfinite(values) & (to_the_end <= context_length)[:, None]
    starts = offsets[:-1]
    n_seen = np.add.reduceat(seen, starts, 0, dtype=np.int64)
    n_zero = np.add.reduceat(seen & (values == 0), starts, 0, dtype=np.int64)
    wrong_side = seen & (values < 0)
    fraction = seen & (values != np.round(np.where(seen, values, 0.0)))
    has_floor = (n_zero > ZERO_SHARE * n_seen) & ~np.logical_or.reduceat(wrong_side, starts, 0)
    is_count = has_floor & ~np.logical_or.reduceat(fraction, starts, 0)
    lifted = np.where(has_floor[:, None, None], np.maximum(quantiles, 0.0), quantiles)
    result: ndarray = np.where(is_count[:, None, None], np.round(lifted), lifted)
    return result
