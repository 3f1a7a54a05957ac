"""What every imputer must beat: the last value, lines, curves, and lines between seasons.

Every function takes windows of one length, NaN where missing, and fills every one by itself. A step
before the first or after the last value takes the nearest one; a window without a value stays as it
is.
"""

from collections.abc import Callable

import numpy as np

from tsfm.shapes import Float64, ndarray
from tsfm.tasks.imputation.gaps import find_gaps, lines

Windows = Float64[ndarray, "window time"]
Interpolation = Callable[[Windows], Windows]


def last_value(windows: Windows) -> Windows:
    """Carry the last value forward; before the first one, carry that backward.

    Examples
    --------
    >>> last_value(np.array([[np.nan, 1.0, np.nan, 3.0, np.nan]]))
    array([[1., 1., 1., 3., 3.]])
    """
    step = np.arange(windows.shape[1])
    seen = np.isfinite(windows)
    latest = np.maximum.accumulate(np.where(seen, step, -1), axis=1)
    place = np.where(latest >= 0, latest, seen.argmax(1)[:, None])
    return np.take_along_axis(windows, place, axis=1)


def linear(windows: Windows) -> Windows:
    """Draw straight lines."""
    n_windows, time = windows.shape
    offsets = np.arange(n_windows + 1) * time
    filled = windows.reshape(-1).copy()
    gaps = find_gaps(filled, offsets)
    filled[gaps.steps()] = lines(filled, offsets, gaps)
    return filled.reshape(n_windows, time)


def cubic_spline(windows: Windows) -> Windows:
    """Draw a natural cubic spline through all values of a window."""
    from scipy.interpolate import CubicSpline

    return _curves(windows, lambda x, y: CubicSpline(x, y, bc_type="natural"))


def monotone_cubic(windows: Windows) -> Windows:
    """Draw a cubic that never overshoots (PCHIP)."""
    from scipy.interpolate import PchipInterpolator

    return _curves(windows, PchipInterpolator)


def seasonal_linear(seasonality: int) -> Interpolation:
    """Return what draws lines through a window less its mean season, and puts that back.

    A part of the season that is never seen counts as the mean of the window.
    """

    def fill(windows: Windows) -> Windows:
        time = windows.shape[1]
        phase = np.arange(time) % seasonality
        of_phase = (phase[:, None] == np.arange(seasonality)).astype(np.float64)
        seen = np.isfinite(windows)
        values = np.where(seen, windows, 0.0)
        mean = values.sum(1, keepdims=True) / np.maximum(seen.sum(1, keepdims=True), 1)
        count = seen @ of_phase
        total = np.where(seen, windows - mean, 0.0) @ of_phase
        season = (total / np.maximum(count, 1))[:, phase]
        filled: ndarray = linear(windows - season) + season
        return np.where(seen, windows, filled)

    return fill


def _curves(windows: Windows, make: Callable[..., Callable[..., ndarray]]) -> Windows:
    filled = linear(windows)
    step = np.arange(windows.shape[1])
    for row, window in enumerate(windows):
        known = np.flatnonzero(np.isfinite(window))
        if len(known) < 2:
            continue
        inner = np.isnan(window) & (step > known[0]) & (step < known[-1])
        filled[row, inner] = make(known, window[known])(step[inner])
    return filled
