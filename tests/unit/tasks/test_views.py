"""Far ahead, a lower rate moves level and spread; a season moves all that is less sure than it."""

import numpy as np
import pytest

from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.contexts import Contexts
from tsfm.tasks.forecasting.views import (
    COARSE_LEVEL_SHARE,
    COARSE_SPREAD_SHARE,
    COARSE_STEPS,
    PAST_SHARE,
    at_lower_rate,
    with_coarse_level,
    with_past_seasons,
)

PATCH, REACH = 8, 16


def contexts(values: np.ndarray, n_padding: int = 0) -> Contexts:
    observed = np.isfinite(values)
    inside = np.ones_like(observed)
    inside[:, :n_padding] = observed[:, :n_padding] = False
    ones = np.ones(len(values))
    clean = np.where(observed, values, 0)
    return Contexts(np.arange(len(values)), clean, observed, inside, 0 * ones, ones)


def mean_of_context(batch: Contexts, horizon: int) -> np.ndarray:
    """Three quantiles around the mean of what is observed; a coarse series is told by its size."""
    level = (batch.values * batch.observed).sum(1) / batch.observed.sum(1)
    is_coarse = batch.values.shape[1] < 100
    middle = np.repeat((level + 10 * is_coarse)[:, None], horizon, 1)
    return middle[:, None] + (1 + 2 * is_coarse) * np.array([-1.0, 0.0, 1.0])[:, None]


def test_blocks_are_means_of_what_is_observed_counted_from_the_end() -> None:
    values = np.arange(38.0)[None].copy()
    values[0, [33, 34]] = np.nan
    coarse = at_lower_rate(contexts(values, n_padding=3), COARSE_STEPS, PATCH)
    assert coarse.values.shape == (1, 16)
    np.testing.assert_allclose(coarse.values[0, -2:], [(30 + 31 + 32) / 3, 36])
    assert coarse.inside[0].tolist() == [False] * 7 + [True] * 9
    assert (coarse.observed == coarse.inside).all()


def test_beyond_the_reach_level_and_spread_move_part_of_the_way() -> None:
    read = with_coarse_level(mean_of_context, reach=REACH, patch_length=PATCH, context_length=120)
    batch = contexts(np.ones((2, 120)))
    near, far = read(batch, REACH), read(batch, REACH + 3)
    np.testing.assert_allclose(near[:, 1], 1)
    np.testing.assert_allclose(near[:, 2] - near[:, 0], 2)
    np.testing.assert_allclose(far[:, :, :REACH], near)
    beyond = far[:, :, REACH:]
    np.testing.assert_allclose(beyond[:, 1], 1 + 10 * COARSE_LEVEL_SHARE)
    np.testing.assert_allclose(beyond[:, 2] - beyond[:, 0], 2 + (6 - 2) * COARSE_SPREAD_SHARE)
    assert far.shape == (2, 3, REACH + 3)
    short = with_coarse_level(mean_of_context, reach=REACH, patch_length=PATCH, context_length=32)
    np.testing.assert_allclose(short(contexts(np.ones((1, 32))), 40)[:, 1], 11)


def test_a_coarse_series_is_read_at_a_lower_rate_itself_where_it_reaches_too_far() -> None:
    lengths = []

    def read(batch: Contexts, horizon: int) -> np.ndarray:
        lengths.append((batch.values.shape[1], horizon))
        return np.zeros((len(batch.rows), 3, horizon))

    seen = with_coarse_level(read, reach=REACH, patch_length=PATCH, context_length=120)
    assert seen(contexts(np.ones((1, 1600))), 90).shape == (1, 3, 90)
    assert lengths == [(120, 92), (120, 24), (104, 6)]


def test_only_the_coarse_view_reads_farther_back() -> None:
    read = with_coarse_level(mean_of_context, reach=REACH, patch_length=PATCH, context_length=120)
    values = np.concatenate([np.full((1, 40), 7.0), np.ones((1, 120))], 1)
    coarse_mean = (40 * 7 + 120) / 160 + 10
    moved = 1 + COARSE_LEVEL_SHARE * (coarse_mean - 1)
    np.testing.assert_allclose(read(contexts(values), 20)[:, 1, REACH:], moved)
    np.testing.assert_allclose(read(contexts(values), REACH)[:, 1], 1)


def days(spread: float, slope: float = 0.0) -> np.ndarray:
    """Twenty days of four hours each around 10, 20, 30 and 20."""
    noise = np.random.default_rng(0).normal(size=80) * spread
    return (np.tile([10.0, 20.0, 30.0, 20.0], 20) + noise + slope * np.arange(80))[None]


def test_past_seasons_have_a_share() -> None:
    def read(batch: Contexts, horizon: int) -> np.ndarray:
        middle = np.zeros((len(batch.rows), 1, horizon))
        return middle + 50 * np.array([-1.0, 0.0, 1.0])[:, None]

    beside = with_past_seasons(read, levels=(0.1, 0.5, 0.9))
    found = beside(contexts(days(0.01)), 4 * REACH)[0, 1]
    season = np.tile([10.0, 20.0, 30.0, 20.0], REACH)
    np.testing.assert_allclose(found, PAST_SHARE * season, rtol=0.01)
    noise = np.random.default_rng(0).normal(size=(1, 80))
    np.testing.assert_array_equal(beside(contexts(noise), 9), read(contexts(noise), 9))


def test_a_forecast_that_is_surer_than_its_past_seasons_stays() -> None:
    def read(batch: Contexts, horizon: int) -> np.ndarray:
        ahead = days(0.0, slope=2.0)[0, :4] + 160
        return np.tile(ahead, (3, 1))[None, :, :horizon] + np.array([-0.1, 0, 0.1])[:, None]

    beside = with_past_seasons(read, levels=(0.1, 0.5, 0.9))
    batch = contexts(days(0.0, slope=2.0))
    assert np.abs(beside(batch, 4) - read(batch, 4)).max() < 0.01


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small")


def test_a_far_forecast_of_a_slow_wave_is_nearer_to_the_truth(model) -> None:
    step = np.arange(6000)
    wave = np.sin(step * 2 * np.pi / 1200) + 0.02 * np.random.default_rng(0).normal(size=6000)
    arguments = (wave[:5400, None], np.array([0, 5400]), 600, (0.5,))
    plain = Forecaster(model.model, views=False)
    errors = [
        np.abs(one.forecast_arrays(*arguments)[0, 0, :, 0] - wave[5400:]).mean()
        for one in (model, plain)
    ]
    assert errors[0] < errors[1]


def test_the_near_part_of_a_far_forecast_is_the_near_forecast(model) -> None:
    generator = np.random.default_rng(0)
    walk = generator.normal(size=(1500, 1)).cumsum(0)
    noisy = np.tile([[1.0], [4.0], [2.0], [8.0], [5.0], [7.0]], (250, 1))
    noisy = noisy + generator.normal(size=(1500, 1))
    values, offsets = np.concatenate([walk, noisy]), np.array([0, 1500, 3000])
    near, far = (model.forecast_arrays(values, offsets, n, (0.1, 0.5)) for n in (64, 300))
    np.testing.assert_allclose(far[:, :, :64], near, rtol=1e-5)


def test_a_shortened_context_hides_all_that_lies_before_it(model) -> None:
    late = np.random.default_rng(0).normal(size=300).cumsum()
    joined = [np.concatenate([early, late]) for early in (np.zeros(3000), np.full(3000, 1e6))]
    found = [
        model.forecast_arrays(
            one[:, None], np.array([0, 3300]), 100, (0.1, 0.5, 0.9), context_length=300
        )
        for one in joined
    ]
    np.testing.assert_array_equal(*found)


def test_a_series_that_ended_long_ago_has_no_forecast(model) -> None:
    values = np.full(4000, np.nan)
    values[:500] = np.arange(500)
    found = model.forecast_arrays(values[:, None], np.array([0, 4000]), 100, (0.5,))
    assert np.isnan(found).all()
