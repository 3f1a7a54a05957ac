"""Rivals must be as good as they can be: each is compared with a plain computation of it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline, PchipInterpolator

from tsfm.tasks.imputation import interpolation

FILLERS = {
    "last value": interpolation.last_value,
    "linear": interpolation.linear,
    "spline": interpolation.cubic_spline,
    "pchip": interpolation.monotone_cubic,
    "seasonal": interpolation.seasonal_linear(4),
}


def draw(seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    windows = generator.normal(size=(3, 24))
    windows[generator.random(windows.shape) < 0.4] = np.nan
    windows[:, 12] = 1.0
    return windows


@pytest.mark.parametrize("name", FILLERS)
@given(seed=st.integers(0, 10**6))
def test_values_stay_everything_is_filled_and_ends_take_the_nearest_value(
    name: str, seed: int
) -> None:
    windows = draw(seed)
    filled = FILLERS[name](windows)
    seen = np.isfinite(windows)
    assert np.array_equal(filled[seen], windows[seen])
    assert np.isfinite(filled).all()
    for window, row in zip(windows, filled, strict=True):
        known = np.flatnonzero(np.isfinite(window))
        if name != "seasonal":
            np.testing.assert_allclose(row[: known[0]], window[known[0]])
            np.testing.assert_allclose(row[known[-1] :], window[known[-1]])


@given(seed=st.integers(0, 10**6))
def test_they_are_those_of_pandas_and_scipy(seed: int) -> None:
    windows = draw(seed)
    for row, window in enumerate(windows):
        series = pd.Series(window)
        np.testing.assert_allclose(interpolation.last_value(windows)[row], series.ffill().bfill())
        lines = series.interpolate(limit_direction="both")
        np.testing.assert_allclose(interpolation.linear(windows)[row], lines)
        known = np.flatnonzero(np.isfinite(window))
        inner = np.arange(known[0], known[-1] + 1)
        if len(known) > 1:
            spline = CubicSpline(known, window[known], bc_type="natural")(inner)
            pchip = PchipInterpolator(known, window[known])(inner)
            found = interpolation.cubic_spline(windows)[row, inner]
            np.testing.assert_allclose(found, spline, atol=1e-9)
            found = interpolation.monotone_cubic(windows)[row, inner]
            np.testing.assert_allclose(found, pchip, atol=1e-9)


def test_a_season_of_which_every_part_is_seen_is_put_back_exactly() -> None:
    windows = np.tile(np.array([0.0, 5.0, 1.0, 2.0]), (2, 6))
    hidden = windows.copy()
    hidden[:, 9:14] = np.nan
    np.testing.assert_allclose(interpolation.seasonal_linear(4)(hidden), windows, atol=1e-12)


def test_a_window_without_a_value_stays_as_it_is() -> None:
    empty = np.full((1, 8), np.nan)
    for fill in FILLERS.values():
        assert np.isnan(fill(empty)).all()
