"""What tells the same again is found; trends and seasons that are merely alike are not."""

import numpy as np
import pytest

from tsfm.audits.near_copies import STEPS, NamedSeries, likeness, near_copies, windows_of_changes
from tsfm.shapes import ndarray

MONTHS = np.arange(240)


def walk(seed: int, length: int = 240) -> ndarray:
    return np.random.default_rng(seed).normal(size=length).cumsum()


def found(benchmark: ndarray, training: ndarray) -> list[float]:
    copies = near_copies([NamedSeries("b", "0", benchmark)], [NamedSeries("t", "1", training)])
    return [copy.rate for copy in copies]


@pytest.mark.parametrize(
    ("training", "rate"),
    [
        (walk(0) + walk(1) / 50, 1.0),
        (np.round(walk(0), 1)[50:150], 1.0),
        (np.log(walk(0) + 500), 1.0),
        (walk(0)[: 240 // 4 * 4].reshape(-1, 4).mean(1), 0.25),
        (np.repeat(walk(0), 3) + np.tile([-1, 0, 1], 240) + np.arange(720) / 50, 3.0),
    ],
)
def test_revisions_logarithms_and_other_rates_are_found(training: ndarray, rate: float) -> None:
    assert found(walk(0), training) == [rate]


@pytest.mark.parametrize(
    "training",
    [
        walk(1),
        -walk(0),
        walk(0)[:40],  # too short to tell
        np.where(MONTHS % 2, walk(0), np.nan),
    ],
)
def test_what_is_another_series_is_not_found(training: ndarray) -> None:
    assert found(walk(0), training) == []


def test_two_smooth_trends_are_no_copies() -> None:
    noise = np.random.default_rng(0).normal(size=(2, 240)) / 500
    one, other = np.exp(MONTHS / 100) + noise[0], np.exp(MONTHS / 100) + noise[1]
    assert np.corrcoef(np.diff(one), np.diff(other))[0, 1] > 0.96
    assert found(one, other) == []


def test_two_series_with_the_same_season_are_no_copies() -> None:
    season = np.tile(np.random.default_rng(5).normal(size=12) * 20, 20)
    one, other = season + walk(1), season + walk(2)
    assert np.corrcoef(np.diff(one), np.diff(other))[0, 1] > 0.96
    assert found(one, other) == []
    assert likeness(one, other) < 0.5


def test_windows_of_changes_have_unit_length_and_skip_what_says_nothing() -> None:
    values = np.concatenate([walk(0, 100), np.full(100, 3.0), walk(1, 100)])
    values[20] = np.nan
    windows, start = windows_of_changes(values)
    np.testing.assert_allclose((windows**2).sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(windows.mean(1), 0, atol=1e-6)
    assert not np.isin(np.arange(0, 21), start).any()
    assert not np.isin(np.arange(100, 200 - STEPS), start).any()
    assert {21, 299 - STEPS} <= set(start.tolist())
