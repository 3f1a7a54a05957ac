"""The prior decides what a model can forecast: what it promises to contain must be there."""

from collections.abc import Mapping

import numpy as np
import pytest

from tsfm.errors import ConfigError
from tsfm.synthetic.mixture import FAMILIES, SHARES, SyntheticMixture


def test_every_family_has_a_share() -> None:
    assert set(SHARES) == set(FAMILIES)
    assert sum(SHARES.values()) == pytest.approx(1)


def test_families_that_came_later_leave_alone_what_a_seed_draws() -> None:
    first_nine = {name: share for name, share in SHARES.items() if share > 0}
    assert len(first_nine) == 9
    rows = [
        mixture.sample(40, np.random.default_rng(3))
        for mixture in (
            SyntheticMixture(length=90),
            SyntheticMixture(length=90, shares=first_nine),
            SyntheticMixture(length=90, shares=dict.fromkeys(FAMILIES, 0.0) | first_nine),
        )
    ]
    np.testing.assert_array_equal(rows[0], rows[1])
    np.testing.assert_array_equal(rows[0], rows[2])


@pytest.mark.parametrize("name", FAMILIES)
def test_no_row_of_a_family_is_constant_but_counts(
    name: str, generator: np.random.Generator
) -> None:
    rows = FAMILIES[name](generator, 300, 256)
    moving = (rows.std(1) > 1e-6).mean()
    assert moving > 0.97 if name == "counts" else moving == 1


def test_returns_come_in_storms_and_prices_do_not_revert(generator: np.random.Generator) -> None:
    rows = FAMILIES["stochastic_volatility"](generator, 200, 2000)
    persistence = np.array([_correlation(row[1:], row[:-1]) for row in rows])
    returns = rows[np.abs(persistence) < 0.15]
    assert 40 < len(returns) < 100
    assert (persistence > 0.95).sum() > 40
    stormy = [_correlation(np.abs(row[1:]), np.abs(row[:-1])) for row in returns]
    assert np.mean(stormy) > 0.1


def test_growth_saturates(generator: np.random.Generator) -> None:
    rows = FAMILIES["growth"](generator, 300, 400)
    change = np.abs(np.diff(rows.reshape(300, 20, 20).mean(2), axis=1))
    # Most of the way lies within a part of the row, which a line or a wave has not.
    assert np.median(np.sort(change, 1)[:, -5:].sum(1) / change.sum(1)) > 0.7


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def test_another_seed_draws_other_rows() -> None:
    mixture = SyntheticMixture(length=100)
    first, second = (mixture.sample(4, np.random.default_rng(seed)) for seed in (0, 1))
    assert (first != second).any(1).all()


def test_values_are_missing_only_when_asked_for(generator: np.random.Generator) -> None:
    assert np.isfinite(SyntheticMixture(length=150).sample(100, generator)).all()
    rows = SyntheticMixture(length=150, missing_share=0.5).sample(100, generator)
    with_gaps = np.isnan(rows).any(1)
    assert 30 < with_gaps.sum() < 70
    assert not np.isnan(rows).all(1).any()


@pytest.mark.parametrize("name", FAMILIES)
def test_a_mixture_of_one_family_can_be_drawn(name: str, generator: np.random.Generator) -> None:
    rows = SyntheticMixture(length=64, shares={name: 2.0}).sample(7, generator)
    assert rows.shape == (7, 64)
    assert np.isfinite(rows).all()


def test_counts_stay_whole_numbers(generator: np.random.Generator) -> None:
    rows = SyntheticMixture(length=200, shares={"counts": 1.0}).sample(50, generator)
    np.testing.assert_array_equal(rows, np.round(rows))
    assert (rows == 0).any()


def test_short_windows_are_often_strongly_seasonal_and_rarely_constant(
    generator: np.random.Generator,
) -> None:
    rows = SyntheticMixture(length=1536).sample(400, generator)
    starts = generator.integers(0, 1536 - 96, len(rows))
    windows = rows[np.arange(len(rows))[:, None], starts[:, None] + np.arange(96)]
    spread = windows.std(1)
    assert (spread <= 1e-6 * (1 + np.abs(windows).max(1))).mean() < 0.04
    windows = windows[spread > 0].astype(float)
    windows = windows - _moving_mean(windows, 13)
    explained = [_explained_by_season(windows, period) for period in (4, 6, 7, 12, 24)]
    assert (np.max(explained, 0) > 0.8).mean() > 0.1


@pytest.mark.parametrize(
    ("length", "shares", "missing_share", "message"),
    [
        (15, {"trend": 1.0}, 0.0, "length must be at least 16, got length=15"),
        (64, {"trends": 1.0}, 0.0, r"shares must name .* got \['trends'\]"),
        (64, {"trend": -1.0}, 0.0, r"shares must not be negative .* got \{'trend': -1.0\}"),
        (64, {"trend": 0.0}, 0.0, "not all zero"),
        (64, {}, 0.0, "not all zero"),
        (64, {"trend": 1.0}, 1.5, "missing_share must be between 0 and 1, got 1.5"),
    ],
)
def test_wrong_options_are_named(
    length: int, shares: Mapping[str, float], missing_share: float, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        SyntheticMixture(length=length, shares=shares, missing_share=missing_share)


def _moving_mean(windows: np.ndarray, size: int) -> np.ndarray:
    padded = np.pad(windows, ((0, 0), (size // 2, size // 2)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, size, axis=1).mean(2)


def _explained_by_season(windows: np.ndarray, period: int) -> np.ndarray:
    """Return the share of the variance that the mean cycle explains."""
    n_cycles = windows.shape[1] // period
    cycles = windows[:, : n_cycles * period].reshape(len(windows), n_cycles, period)
    residual = cycles - cycles.mean(1, keepdims=True)
    return 1 - residual.var((1, 2)) / np.maximum(cycles.var((1, 2)), 1e-12)
