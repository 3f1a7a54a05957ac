"""Values so far from all others that a context is read without them.

One code for "missing" (-9999) or one slipped point in a price sets the scale of the whole context,
and what is left of the series looks flat. Such a value is read as missing, by forecasts and fills
alike; what the user gets back still has it. A value that nothing ordinary follows is kept: it may
be the level from now on.
"""

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray

# So many times as far from the median as the share `USUAL_SHARE` of the values lie. Five and ten
# take floods for errors, and forecasts of rivers get worse; from 20 on all sets of the pool gain.
FAR = 20.0
USUAL_SHARE = 0.99
FEWEST_VALUES = 8


def outliers(
    values: Float64[ndarray, "batch time"], observed: Bool[ndarray, "batch time"]
) -> Bool[ndarray, "batch time"]:
    """Say which observed values are errors by their size; at most 1 % of a row, or one value.

    A row whose other values are all the same has none: its single peaks are what it consists of.

    Examples
    --------
    >>> row = np.array([[3.0, 4, 5, 4, -9999, 3, 4, 5, 4]])
    >>> np.flatnonzero(outliers(row, np.ones_like(row, bool))).tolist()
    [4]
    """
    if values.shape[1] < FEWEST_VALUES:
        return np.zeros(values.shape, bool)
    count = observed.sum(1, keepdims=True)
    place = np.minimum((USUAL_SHARE * (count - 1)).astype(int), count - 2)
    with np.errstate(over="ignore"):
        distance = np.where(observed, np.abs(values - _median(values, observed)), np.inf)
        usual = np.take_along_axis(np.sort(distance, 1), np.maximum(place, 0), 1)
        far = observed & (distance > FAR * usual) & (usual > 0) & (count >= FEWEST_VALUES)
    ordinary = observed & ~far
    is_followed = np.flip(np.logical_or.accumulate(np.flip(ordinary, 1), 1), 1)
    found: ndarray = far & is_followed
    return found


def without_outliers(
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    items: Int[ndarray, " some_item"],
) -> Float64[ndarray, " total_time"]:
    """Return series that lie end to end with the outliers of some items missing."""
    result = values
    for item in items:
        steps = slice(offsets[item], offsets[item + 1])
        row = values[None, steps]
        found = outliers(row, np.isfinite(row))[0]
        if found.any():
            result = values.copy() if result is values else result
            result[steps][found] = np.nan
    return result


def _median(
    values: Float64[ndarray, "batch time"], observed: Bool[ndarray, "batch time"]
) -> Float64[ndarray, "batch 1"]:
    """Return a middle value of what is observed; infinity without one."""
    ordered = np.sort(np.where(observed, values, np.inf), 1)
    middle = np.maximum(observed.sum(1, keepdims=True) - 1, 0) // 2
    found: ndarray = np.take_along_axis(ordered, middle, 1)
    return found
