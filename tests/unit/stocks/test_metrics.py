"""Metrics decide what is believed: each must survive gaps, ties and days without a spread."""

import numpy as np
import pytest

from tsfm.stocks.metrics import (
    information_coefficient,
    information_ratio,
    investment_return,
    max_drawdown,
    mean_of,
    newey_west_t,
    precision_at,
    rank_information_coefficient,
    ranks,
    sharpe_ratio,
    sharpe_standard_error,
    turnover,
)

NAN = float("nan")
BOTH = [information_coefficient, rank_information_coefficient]


@pytest.mark.parametrize("measure", BOTH)
def test_what_is_missing_or_not_tradable_does_not_count(measure: object) -> None:
    scores = np.array([[1.0, 5.0, 3.0, NAN, 9.0]])
    returns = np.array([[0.1, 0.3, 0.2, 9.0, NAN]])
    assert measure(scores, returns)[0] == pytest.approx(1.0)  # type: ignore[operator]
    more = np.array([[1.0, 5.0, 3.0, 99.0]]), np.array([[0.1, 0.3, 0.2, -1.0]])
    assert measure(*more)[0] < 0  # type: ignore[operator]
    tradable = np.array([[True, True, True, False]])
    assert measure(*more, tradable)[0] == pytest.approx(1.0)  # type: ignore[operator]


@pytest.mark.parametrize("measure", BOTH)
@pytest.mark.parametrize(
    ("scores", "returns"),
    [
        ([1.0, 2.0, NAN], [1.0, 2.0, 3.0]),
        ([0.1, 0.1, 0.1], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [0.3, 0.3, 0.3]),
        ([NAN, NAN, NAN], [1.0, 2.0, 3.0]),
    ],
)
def test_a_day_without_three_stocks_or_a_spread_is_unknown(
    measure: object, scores: list[float], returns: list[float]
) -> None:
    assert np.isnan(measure(np.array([scores]), np.array([returns]))[0])  # type: ignore[operator]


def test_the_size_of_scores_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    scores, returns = generator.normal(size=(2, 4, 30))
    plain = information_coefficient(scores, returns)
    for factor in (1e-12, 1e12):
        np.testing.assert_allclose(
            information_coefficient(scores * factor, returns), plain, rtol=1e-9
        )
    np.testing.assert_allclose(information_coefficient(scores + 1e4, returns), plain, rtol=1e-6)


def test_ties_share_the_mean_of_their_ranks() -> None:
    valid = np.array([[True, True, True, False, True]])
    found = ranks(np.array([[3.0, 1.0, 3.0, 2.0, 7.0]]), valid)
    np.testing.assert_array_equal(found, [[2.5, 1.0, 2.5, NAN, 4.0]])


def test_precision_counts_ties_by_their_share_and_not_what_is_unknown() -> None:
    scores = np.array([[3.0, 2.0, 2.0, 1.0]])
    returns = np.array([[0.1, 0.1, -0.1, 0.1]])
    assert precision_at(scores, returns, 2)[0] == pytest.approx(0.75)
    assert precision_at(scores, np.array([[0.1, NAN, -0.1, 0.1]]), 3)[0] == pytest.approx(0.5)
    assert precision_at(scores, np.array([[-0.1, -0.1, 0.0, 0.1]]), 3)[0] == 0.0
    assert np.isnan(precision_at(np.full((1, 4), NAN), returns, 2)[0])


def test_what_is_not_known_of_returns_is_left_out() -> None:
    known = np.array([0.01, -0.02, 0.03])
    gaps = np.array([0.01, NAN, -0.02, 0.03, NAN])
    for measure in (
        sharpe_ratio,
        investment_return,
        max_drawdown,
        information_ratio,
        mean_of,
        newey_west_t,
        sharpe_standard_error,
    ):
        assert measure(gaps) == measure(known)


@pytest.mark.parametrize("measure", [sharpe_ratio, information_ratio, newey_west_t])
@pytest.mark.parametrize("series", [[0.1, 0.1, 0.1], [0.1], [], [NAN]])
def test_no_spread_has_no_ratio(measure: object, series: list[float]) -> None:
    assert np.isnan(measure(np.array(series)))  # type: ignore[operator]


def test_nothing_known_has_no_mean_and_no_error() -> None:
    assert np.isnan(mean_of(np.array([NAN])))
    assert np.isnan(sharpe_standard_error(np.array([NAN])))


def test_a_fall_from_the_start_is_a_drawdown() -> None:
    assert max_drawdown(np.array([-0.2, 0.1])) == pytest.approx(-0.2)
    assert max_drawdown(np.array([0.2, 0.1])) == 0.0


def test_turnover_counts_both_sides() -> None:
    weights = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [NAN, NAN, NAN]])
    np.testing.assert_allclose(turnover(weights), [1.0, 1.0, 1.0])
