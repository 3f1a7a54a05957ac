"""Past seasons speak only where there is a season, and only of what was seen."""

import numpy as np
import pytest

from tsfm.tasks.forecasting.past_seasons import (
    FEWEST_SEASONS,
    MOST_SEASONS,
    PREFER_COMMON,
    past_seasons,
)

LEVELS = np.array([0.1, 0.5, 0.9])
PROFILE = np.array([1.0, 5.0, 9.0, 9.0, 4.0, 2.0, 1.0])


def weeks(n_weeks: int, noise: float, generator: np.random.Generator) -> np.ndarray:
    return (np.tile(PROFILE, n_weeks) + noise * generator.normal(size=7 * n_weeks))[None]


def known(values: np.ndarray) -> np.ndarray:
    return np.ones_like(values, bool)


def test_quantiles_are_those_of_the_same_phase(generator: np.random.Generator) -> None:
    values = weeks(20, 0.5, generator)
    found = past_seasons(values, known(values), 10, LEVELS)
    late = values[0, -7 * MOST_SEASONS :].reshape(MOST_SEASONS, 7)
    expected = np.quantile(late, LEVELS, axis=0)[:, np.arange(10) % 7]
    np.testing.assert_allclose(found.quantiles[0], expected)
    assert 0.9 < found.share[0] < 1


def test_noise_and_a_walk_have_no_season(generator: np.random.Generator) -> None:
    noise = generator.normal(size=(30, 300))
    share = past_seasons(noise, known(noise), 3, LEVELS).share
    assert np.median(share) < 0.02
    walk = noise.cumsum(1)
    assert np.median(past_seasons(walk, known(walk), 3, LEVELS).share) < 0.02


def test_a_constant_or_too_short_a_series_has_none(generator: np.random.Generator) -> None:
    flat = np.full((1, 200), 3.0)
    short = weeks(FEWEST_SEASONS - 1, 0.0, generator)
    for values in (flat, short):
        found = past_seasons(values, known(values), 4, LEVELS)
        assert found.share.tolist() == [0]
        assert (found.quantiles == 0).all()


def test_rows_are_read_by_themselves(generator: np.random.Generator) -> None:
    rows = [weeks(20, 0.5, generator), generator.normal(size=(1, 140)), 9 * weeks(20, 2, generator)]
    together = past_seasons(np.concatenate(rows), np.ones((3, 140), bool), 9, LEVELS)
    for number, row in enumerate(rows):
        alone = past_seasons(row, known(row), 9, LEVELS)
        np.testing.assert_array_equal(together.share[number], alone.share[0])
        np.testing.assert_array_equal(together.quantiles[number], alone.quantiles[0])


@pytest.mark.parametrize("hidden", [np.s_[0, 5::14], np.s_[0, :60]])
def test_what_was_not_observed_has_no_say(generator: np.random.Generator, hidden) -> None:
    values = weeks(20, 0.1, generator)
    observed = known(values)
    observed[hidden] = False
    changed = np.where(observed, values, 1e9)
    first, second = (past_seasons(one, observed, 9, LEVELS) for one in (values, changed))
    np.testing.assert_array_equal(first.share, second.share)
    np.testing.assert_array_equal(first.quantiles, second.quantiles)
    assert first.share[0] > 0.9
    assert np.abs(first.quantiles[0, 1, :7] - PROFILE).max() < 0.3


def test_a_phase_that_was_never_seen_gets_the_quantiles_of_all(
    generator: np.random.Generator,
) -> None:
    values = weeks(20, 0.1, generator)
    observed = known(values)
    observed[0, 3::7] = False
    found = past_seasons(values, observed, 7, LEVELS)
    assert np.isfinite(found.quantiles).all()
    seen = values[0, -98:][observed[0, -98:]]
    np.testing.assert_allclose(found.quantiles[0, :, 3], np.quantile(seen, LEVELS))


def opening_hours(n_days: int, noise: float, generator: np.random.Generator) -> np.ndarray:
    day = 5 * np.sin(np.arange(11) / 3) + np.arange(11) % 4
    return (np.tile(day, n_days) + noise * generator.normal(size=11 * n_days))[None]


def test_a_season_of_any_length_is_found(generator: np.random.Generator) -> None:
    values = opening_hours(30, 0.5, generator)
    found = past_seasons(values, known(values), 15, LEVELS)
    assert 0.9 < found.share[0] < 1
    late = values[0, -11 * MOST_SEASONS :].reshape(MOST_SEASONS, 11)
    expected = np.quantile(late, LEVELS, axis=0)[:, np.arange(15) % 11]
    np.testing.assert_allclose(found.quantiles[0], expected)


def test_an_uncommon_season_must_explain_much_more(generator: np.random.Generator) -> None:
    values = opening_hours(30, 4.0, generator)
    found = past_seasons(values, known(values), 3, LEVELS)
    assert found.share[0] < PREFER_COMMON


def test_an_uncommon_season_is_that_of_the_row_alone(generator: np.random.Generator) -> None:
    values = opening_hours(30, 0.5, generator)
    before = np.pad(values, ((0, 0), (400, 0)), constant_values=9.0)
    observed = np.pad(known(values), ((0, 0), (400, 0)))
    short = past_seasons(values, known(values), 9, LEVELS)
    padded = past_seasons(before, observed, 9, LEVELS)
    assert short.share[0] > PREFER_COMMON
    np.testing.assert_allclose(short.share, padded.share)
    np.testing.assert_allclose(short.quantiles, padded.quantiles)
