"""What is held must follow the scores alone, not the order in which stocks stand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import ConfigError
from tsfm.stocks.selection import long_short, select

NAN = float("nan")


def test_the_best_are_held_alike() -> None:
    found = select(np.array([[0.1, 0.4, NAN, 0.3]]), top_k=2)
    np.testing.assert_array_equal(found, [[0.0, 0.5, 0.0, 0.5]])


def test_what_is_not_tradable_is_not_held() -> None:
    found = select(np.array([[0.1, 0.4, 0.3]]), top_k=1, tradable=np.array([[True, False, True]]))
    np.testing.assert_array_equal(found, [[0.0, 0.0, 1.0]])


def test_few_stocks_are_held_whole_and_none_is_cash() -> None:
    scores = np.array([[0.1, NAN, 0.3], [NAN, NAN, NAN], [-np.inf, NAN, NAN]])
    found = select(scores, top_k=5)
    np.testing.assert_array_equal(found, [[0.5, 0, 0.5], [0, 0, 0], [0, 0, 0]])


@given(
    st.lists(st.one_of(st.integers(-2, 2).map(float), st.just(NAN)), min_size=1, max_size=9),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_permuting_stocks_permutes_weights(scores: list[float], top_k: int, draw: object) -> None:
    order = list(range(len(scores)))
    draw.shuffle(order)  # type: ignore[attr-defined]
    row = np.array([scores])
    weights = select(row, top_k=top_k)
    np.testing.assert_array_equal(select(row[:, order], top_k=top_k), weights[:, order])
    known = np.isfinite(row)
    assert weights.sum() == pytest.approx(float(known.any()))
    assert weights[~known].sum() == 0
    # A better score never holds less.
    ranked = weights[0][known[0]][np.argsort(row[known], kind="stable")]
    assert (np.diff(ranked) >= -1e-12).all()


def test_long_and_short_are_half_each() -> None:
    found = long_short(np.array([[4.0, 3.0, 2.0, 1.0, NAN]]), top_k=2)
    np.testing.assert_array_equal(found, [[0.25, 0.25, -0.25, -0.25, 0.0]])


@pytest.mark.parametrize(("n_stocks", "n_sides"), [(1, 0), (2, 1), (3, 1), (5, 2), (7, 3)])
def test_of_few_stocks_none_is_both_long_and_short(n_stocks: int, n_sides: int) -> None:
    scores = np.arange(n_stocks, 0, -1, dtype=float)[None]
    (found,) = long_short(scores, top_k=5)
    assert (found[:n_sides] == 0.5 / max(n_sides, 1)).all()
    assert (found[n_stocks - n_sides :] == -0.5 / max(n_sides, 1)).all()
    assert np.count_nonzero(found) == 2 * n_sides


def test_no_place_is_refused() -> None:
    with pytest.raises(ConfigError, match="top_k must be at least 1, got 0"):
        select(np.array([[1.0]]), top_k=0)
