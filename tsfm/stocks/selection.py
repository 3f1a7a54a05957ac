"""Scores to weights: which stocks a portfolio wants to hold after each day."""

import numpy as np

from tsfm.errors import ConfigError
from tsfm.shapes import Bool, Float, Float64, Int, ndarray


def select(
    scores: Float[ndarray, "day stock"],
    *,
    top_k: int,
    tradable: Bool[ndarray, "day stock"] | None = None,
) -> Float64[ndarray, "day stock"]:
    """Return equal weights for the `top_k` best scores of each day.

    Stocks that tie for the last places share them, so that no order of the stocks decides. With
    fewer than `top_k` stocks those that there are get equal weights; without any the day is cash.

    Parameters
    ----------
    scores
        NaN where a stock cannot be held.
    tradable
        On the day of the score.

    Raises
    ------
    ConfigError
        When `top_k` is not positive.

    Examples
    --------
    >>> select(np.array([[3.0, 1.0, 2.0], [1.0, 1.0, 9.0]]), top_k=2).tolist()
    [[0.5, 0.0, 0.5], [0.25, 0.25, 0.5]]
    """
    return hold_best(scores, *_kept_and_wanted(scores, top_k, tradable))


def hold_best(
    scores: Float[ndarray, "day stock"],
    kept: Bool[ndarray, "day stock"],
    n_wanted: Int[ndarray, " day"],
) -> Float64[ndarray, "day stock"]:
    """Return equal weights for so many of the `kept` stocks of each day; ties as in `select`."""
    n_held = np.minimum(kept.sum(axis=1), n_wanted)
    place = np.maximum(n_held - 1, 0)
    ordered = -np.partition(-np.where(kept, scores, -np.inf), np.unique(place), axis=1)
    last = ordered[np.arange(len(scores)), place][:, None]
    above = kept & (scores > last)
    tied = kept & (scores == last)
    places = (n_held - above.sum(axis=1)) / np.maximum(tied.sum(axis=1), 1)
    units = above + tied * places[:, None]
    return units / np.maximum(n_held, 1)[:, None]


def long_short(
    scores: Float[ndarray, "day stock"],
    *,
    top_k: int,
    tradable: Bool[ndarray, "day stock"] | None = None,
) -> Float64[ndarray, "day stock"]:
    """Return half of the wealth long in the best and half short in the worst `top_k` scores.

    Of fewer than twice as many stocks, half are on each side, rounded down.

    Examples
    --------
    >>> long_short(np.array([[3.0, 1.0, 2.0]]), top_k=1).tolist()
    [[0.5, -0.5, 0.0]]
    """
    return hold_both(scores, *_kept_and_wanted(scores, top_k, tradable))


def hold_both(
    scores: Float[ndarray, "day stock"],
    kept: Bool[ndarray, "day stock"],
    n_wanted: Int[ndarray, " day"],
) -> Float64[ndarray, "day stock"]:
    """Return half long in so many of the best and half short in as many of the worst.

    Of few stocks, half are on each side, rounded down: none is both.
    """
    n_each = np.minimum(n_wanted, kept.sum(axis=1) // 2)
    return (hold_best(scores, kept, n_each) - hold_best(-scores, kept, n_each)) / 2


def _kept_and_wanted(
    scores: Float[ndarray, "day stock"], top_k: int, tradable: Bool[ndarray, "day stock"] | None
) -> tuple[Bool[ndarray, "day stock"], Int[ndarray, " day"]]:
    if top_k < 1:
        raise ConfigError(f"top_k must be at least 1, got {top_k}")
    kept = np.isfinite(scores)
    return kept if tradable is None else kept & tradable, np.full(len(scores), top_k)


def held_without_scores(
    weights: Float64[ndarray, "day stock"],
    scored: Bool[ndarray, "day stock"],
    days: Int[ndarray, " test_day"],
) -> Float64[ndarray, "day stock"]:
    """Return weights with NaN, which is no trade, on days without any score, but for the first."""
    result = weights.copy()
    result[days[1:][~scored[days[1:]].any(axis=1)]] = np.nan
    return result
