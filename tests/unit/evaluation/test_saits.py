"""SAITS as a rival: rows become windows and rows again, and its absence is said."""

import sys

import numpy as np
import pytest

from tsfm.errors import DataError, UnsupportedError
from tsfm.evaluation.saits import cut_windows, in_tiles, saits_of_file, train_saits

N_STEPS, N_CHANNELS = 4, 2


def mean_of_window(windows: np.ndarray) -> np.ndarray:
    """A filler of windows that only knows the mean of every channel of every window."""
    assert windows.shape[1:] == (N_STEPS, N_CHANNELS)
    means = np.nanmean(windows, axis=1, keepdims=True)
    return np.where(np.isfinite(windows), windows, means)


@pytest.mark.parametrize("length", [4, 6, 8, 12])
def test_every_gap_is_filled_from_its_own_channel_and_window(length: int) -> None:
    rows = np.arange(3 * N_CHANNELS)[:, None] * 10.0 + np.zeros(length)
    shown = rows.copy()
    shown[:, ::3] = np.nan
    filled = in_tiles(mean_of_window, N_STEPS, N_CHANNELS)(shown)
    np.testing.assert_array_equal(filled, rows)


def test_windows_are_counted_from_the_end() -> None:
    row = np.array([[1.0, 1.0, 1.0, np.nan, 5.0, 5.0, np.nan, 5.0]]).repeat(N_CHANNELS, 0)
    filled = in_tiles(mean_of_window, N_STEPS, N_CHANNELS)(row)
    assert filled[0].tolist() == [1, 1, 1, 1, 5, 5, 5, 5]


def test_a_short_row_is_padded_and_an_empty_one_stays_empty() -> None:
    rows = np.array([[2.0, np.nan], [3.0, np.nan], [np.nan, np.nan], [np.nan, np.nan]])
    filled = in_tiles(mean_of_window, N_STEPS, N_CHANNELS)(rows)
    np.testing.assert_array_equal(filled, [[2, 2], [3, 3], [np.nan] * 2, [np.nan] * 2])


def test_windows_are_cut_at_every_stride() -> None:
    values = np.stack([np.arange(10.0), -np.arange(10.0)], 1)
    windows = cut_windows(values, 4, 3)
    assert windows[:, 0, 0].tolist() == [0, 3, 6]
    assert windows[1, :, 1].tolist() == [-3, -4, -5, -6]


def test_without_pypots_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypots", None)
    monkeypatch.setitem(sys.modules, "pypots.imputation", None)
    windows = np.zeros((3, 8, 1))
    with pytest.raises(UnsupportedError, match=r"SAITS needs PyPOTS, got none.*\[pypots\]"):
        train_saits(windows, windows, windows, minutes=0.01, seed=0)


def test_a_file_too_short_to_train_on_is_refused() -> None:
    with pytest.raises(DataError, match="must have two windows of 5 steps with a value, got 1"):
        saits_of_file(np.zeros((5, 1)), np.array([0, 5]), minutes=0.01, seed=0)


def test_saits_learns_a_line(generator: np.random.Generator) -> None:
    pytest.importorskip("pypots", reason="needs the extra pypots")
    level = generator.normal(size=(64, 1, 1))
    windows = level + np.zeros((64, 16, 1))
    gaps = np.where(generator.random(windows.shape) < 0.3, np.nan, windows)
    filler = train_saits(windows, windows[:8], gaps[:8], minutes=0.1, seed=0)
    rows = gaps[..., 0]
    filled = filler.fill(rows)
    hidden = ~np.isfinite(rows)
    assert np.abs(filled - windows[..., 0])[hidden].mean() < 0.5
    np.testing.assert_array_equal(filled[~hidden], windows[..., 0][~hidden])
