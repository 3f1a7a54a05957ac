"""The best of many tries looks good by luck: known answers, loops, and luck itself."""

import math
from itertools import combinations

import numpy as np
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.overfitting import (
    deflated_sharpe_ratio,
    expected_best_sharpe,
    probabilistic_sharpe_ratio,
    probability_of_overfitting,
)


def test_the_numbers_of_the_paper_come_out() -> None:
    """Bailey and Lopez de Prado (2014): a yearly ratio of 2.5 over five years, a hundred tries."""
    sharpe, spread = 2.5 / math.sqrt(250), math.sqrt(0.5 / 250)
    assert expected_best_sharpe(100, spread) == pytest.approx(0.1132, abs=5e-5)
    for n_trials, expected in ((100, 0.9004), (46, 0.9505)):
        found = probabilistic_sharpe_ratio(
            sharpe, expected_best_sharpe(n_trials, spread), 1250, skewness=-3.0, kurtosis=10.0
        )
        assert found == pytest.approx(expected, abs=5e-4)


def test_the_best_of_many_is_what_simulation_says() -> None:
    best = np.random.default_rng(0).normal(0, 0.3, (20_000, 50)).max(axis=1).mean()
    assert expected_best_sharpe(50, 0.3) == pytest.approx(best, rel=0.02)


def test_more_tries_leave_less_of_a_ratio() -> None:
    generator = np.random.default_rng(0)
    returns = generator.normal(0.001, 0.01, 500)
    found = [
        deflated_sharpe_ratio(returns, generator.normal(0, 0.05, n_trials))
        for n_trials in (2, 20, 200, 2000)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.8
    assert found[-1] < 0.3


def test_without_a_spread_or_a_trial_nothing_is_known() -> None:
    assert math.isnan(deflated_sharpe_ratio(np.full(9, 0.01), np.zeros(2)))
    assert math.isnan(deflated_sharpe_ratio(np.array([0.1, 0.2]), np.array([np.nan])))
    assert math.isnan(probabilistic_sharpe_ratio(1.0, 0.0, 1))


def test_the_probability_is_that_of_a_loop() -> None:
    returns = np.random.default_rng(3).normal(0, 0.01, (50, 7))
    returns[:, 3] = returns[:, 2]  # a tie on every half
    blocks = returns[2:].reshape(6, 8, 7)
    below, lost = [], []
    for chosen in combinations(range(6), 3):
        inside = np.concatenate([blocks[place] for place in chosen])
        outside = np.concatenate([blocks[place] for place in range(6) if place not in chosen])
        first, second = (one.mean(0) / one.std(0, ddof=1) for one in (inside, outside))
        best = second[int(np.argmax(first))]
        rank = (second < best - 1e-12).sum() + ((np.abs(second - best) < 1e-12).sum() + 1) / 2
        below.append(math.log(rank / 8 / (1 - rank / 8)) <= 0)
        lost.append(best < 0)
    found = probability_of_overfitting(returns, n_blocks=6)
    assert found.n_ways == 20
    assert found.n_trials == 7
    assert found.probability == pytest.approx(np.mean(below))
    assert found.loss_probability == pytest.approx(np.mean(lost))


def test_a_true_edge_is_no_luck_and_noise_is() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 0.01, (400, 20))
    edge = noise.copy()
    edge[:, 4] += 0.005
    assert probability_of_overfitting(edge, n_blocks=8).probability < 0.01
    shares = [
        probability_of_overfitting(generator.normal(0, 0.01, (200, 20)), n_blocks=8).probability
        for _ in range(40)
    ]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.07)


def test_what_won_in_one_half_and_lost_in_the_other_is_overfitted() -> None:
    """Every trial gains nothing over all days, so the best of a half is the worst of the other."""
    returns = np.random.default_rng(0).normal(0, 0.01, (160, 12))
    returns -= returns.mean(axis=0)
    found = probability_of_overfitting(returns, n_blocks=8)
    assert found.probability > 0.95
    assert found.loss_probability == 1.0


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_blocks must be even and at least 2, got 3"):
        probability_of_overfitting(np.zeros((40, 2)), n_blocks=3)
    with pytest.raises(DataError, match="got 1 trials on 40 days, 0 missing; ask for fewer"):
        probability_of_overfitting(np.zeros((40, 1)), n_blocks=4)
    with pytest.raises(ConfigError, match="n_trials must be at least 1, got 0"):
        expected_best_sharpe(0, 1.0)
