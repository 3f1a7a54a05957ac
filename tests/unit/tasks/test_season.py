"""A season is taken out only where the context itself shows that it hardly changes."""

import numpy as np
import pytest

from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.season import PERIODS, Season, find_season

HORIZON = 30


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small")


def season_of(values: np.ndarray, horizon: int = HORIZON) -> Season:
    observed = np.isfinite(values)
    return find_season(np.where(observed, values, 0), observed, np.ones_like(observed), horizon)


def shaped(period: int, length: int, generator: np.random.Generator) -> np.ndarray:
    shape = generator.normal(size=period)
    return shape[np.arange(length) % period]


@pytest.mark.parametrize("period", PERIODS)
def test_a_steady_season_on_a_trend_is_found_and_goes_on(period, generator) -> None:
    length = 3 * period + 5
    values = shaped(period, length + HORIZON, generator) + 0.3 * np.arange(length + HORIZON)
    found = season_of(values[None, :length])
    np.testing.assert_allclose(found.weight, 1.0)
    rest = values - np.concatenate([found.context[0], found.future[0]])
    np.testing.assert_allclose(np.diff(rest, 2), 0, atol=1e-8)


def test_without_a_steady_season_nothing_is_taken_out(generator) -> None:
    walk = generator.normal(size=(1, 200)).cumsum(1)
    noise = generator.normal(size=(1, 200))
    line, constant = np.arange(200.0)[None], np.ones((1, 200))
    short = shaped(12, 35, generator)[None, :35]
    changing = shaped(12, 200, generator) * (1 - 2 * (np.arange(200) // 12 % 3 == 0))
    for values in (walk, noise, line, constant, changing[None]):
        assert season_of(values).weight.tolist() == [0.0]
    assert 12 not in (one for one in PERIODS if 3 * one <= short.shape[1])


def test_noise_takes_weight_from_the_season(generator) -> None:
    season = 3 * shaped(12, 240, generator)
    noise = generator.normal(size=240)
    weights = [season_of((season + size * noise)[None]).weight[0] for size in (0.1, 0.6, 3)]
    assert 1 > weights[0] > 0.9
    assert 0.9 > weights[1] > 0
    assert weights[2] == 0


def test_gaps_and_padding_do_not_hide_a_season(generator) -> None:
    whole = shaped(24, 240, generator)
    gappy = whole.copy()
    gappy[[5, 77, 150]] = np.nan
    assert season_of(gappy[None]).weight[0] > 0
    padded = np.zeros((2, 256))
    padded[0, 16:], padded[1, 20:] = whole, whole[4:]
    inside = np.arange(256) >= np.array([[16], [20]])
    found = find_season(padded, inside, inside, HORIZON)
    np.testing.assert_array_equal(found.future[0], season_of(whole[None]).future[0])
    np.testing.assert_array_equal(found.future[1], season_of(whole[None, 4:]).future[0])
    assert not found.context[0, :16].any()


def test_forecasts_of_a_season_on_a_trend_are_nearer_to_the_truth(model, generator) -> None:
    truth = 5 * shaped(52, 600, generator) + 0.2 * np.arange(600)
    values = truth + generator.normal(size=600) / 2
    arguments = (values[:570, None], np.array([0, 570]), 30, (0.1, 0.5, 0.9))
    plain = Forecaster(model.model, views=False).forecast_arrays(*arguments)
    found = model.forecast_arrays(*arguments)
    errors = [np.abs(one[0, 1, :, 0] - truth[570:]).mean() for one in (found, plain)]
    assert errors[0] < 0.5 * errors[1]
    assert (np.diff(found, axis=1) >= 0).all()


def test_other_series_are_forecast_as_without_it(model, generator) -> None:
    walks = generator.normal(size=400).cumsum()
    arguments = (walks[:, None], np.array([0, 150, 400]), 20, (0.1, 0.5, 0.9))
    plain = Forecaster(model.model, views=False).forecast_arrays(*arguments)
    np.testing.assert_array_equal(model.forecast_arrays(*arguments), plain)


def test_neighbours_and_units_do_not_matter(model, generator) -> None:
    season = shaped(12, 130, generator) + generator.normal(size=130) * 0.1
    others = [generator.normal(size=130), shaped(24, 130, generator), season * 0.7 + 1]
    joined = np.concatenate([season, *others])[:, None]
    offsets = np.arange(5) * 130
    together = model.forecast_arrays(joined, offsets, 20, (0.1, 0.5, 0.9))
    alone = model.forecast_arrays(season[:, None], offsets[:2], 20, (0.1, 0.5, 0.9))
    np.testing.assert_array_equal(together[0], alone[0])
    np.testing.assert_allclose(together[3], 0.7 * alone[0] + 1, rtol=1e-4)
