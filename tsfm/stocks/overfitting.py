"""What is left of a Sharpe ratio once it is known how many portfolios were tried.

All ratios here are daily, not yearly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, islice
from statistics import NormalDist

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.shapes import Float, Float64, ndarray
from tsfm.stocks.metrics import ROUNDING_SHARE, information_ratio

EULER = 0.5772156649015329
# Combinations at once; half of sixteen blocks are chosen in 12,870 ways.
WAYS_AT_ONCE = 2048


def probabilistic_sharpe_ratio(
    sharpe: float,
    benchmark: float,
    n_days: int,
    *,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Return the probability that the true daily ratio is above `benchmark`.

    Parameters
    ----------
    skewness, kurtosis
        Of the daily returns; those of a normal distribution by default.

    References
    ----------
    Bailey and Lopez de Prado (2012), "The Sharpe Ratio Efficient Frontier".

    Examples
    --------
    >>> probabilistic_sharpe_ratio(0.1, 0.1, 250)
    0.5
    """
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if n_days < 2 or not variance > 0:
        return float("nan")
    return NormalDist().cdf((sharpe - benchmark) * math.sqrt((n_days - 1) / variance))


def expected_best_sharpe(n_trials: int, spread: float) -> float:
    """Return the highest daily ratio to expect from so many tries of which none has an edge.

    Parameters
    ----------
    spread
        Standard deviation of the ratios of the tries.

    Examples
    --------
    >>> expected_best_sharpe(1, 0.05)
    0.0
    """
    if n_trials < 1:
        raise ConfigError(f"n_trials must be at least 1, got {n_trials}; count this one too")
    if n_trials == 1:
        return 0.0
    normal = NormalDist()
    first = normal.inv_cdf(1 - 1 / n_trials)
    second = normal.inv_cdf(1 - 1 / (n_trials * math.e))
    return spread * ((1 - EULER) * first + EULER * second)


def deflated_sharpe_ratio(
    returns: Float[ndarray, " day"], trials: Float[ndarray, " trial"]
) -> float:
    """Return the probability that a portfolio is better than the luckiest of all that were tried.

    Parameters
    ----------
    returns
        Simple returns of the portfolio that was chosen; missing days are left out.
    trials
        Daily Sharpe ratios of everything that was tried, the chosen one too. Tries that resemble
        each other count as several, which makes the result smaller than it need be.

    Returns
    -------
    float
        Above 0.95 for an edge; NaN where the returns have no spread.

    References
    ----------
    Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio".

    Examples
    --------
    >>> returns = np.array([0.02, -0.01] * 60)
    >>> alone = deflated_sharpe_ratio(returns, np.array([1 / 3]))
    >>> alone > deflated_sharpe_ratio(returns, np.linspace(-1 / 3, 1 / 3, 99))
    True
    """
    known = returns[np.isfinite(returns)]
    ratios = trials[np.isfinite(trials)]
    sharpe = information_ratio(known)
    if not len(ratios) or not math.isfinite(sharpe):
        return float("nan")
    spread = float(ratios.std(ddof=1)) if len(ratios) > 1 else 0.0
    centred = known - known.mean()
    scale = math.sqrt(float((centred**2).mean()))
    return probabilistic_sharpe_ratio(
        sharpe,
        expected_best_sharpe(len(ratios), spread),
        len(known),
        skewness=float(((centred / scale) ** 3).mean()),
        kurtosis=float(((centred / scale) ** 4).mean()),
    )


@dataclass(frozen=True)
class Overfitting:
    """What became of the best on other days.

    Parameters
    ----------
    probability
        Share of the ways to halve the days after which the best of one half was below the median
        of the other: 0.5 is luck alone.
    loss_probability
        Share of the ways after which it lost money there.
    n_trials, n_ways
        What was compared, and in how many ways the days were halved.
    """

    probability: float
    loss_probability: float
    n_trials: int
    n_ways: int


def probability_of_overfitting(
    returns: Float[ndarray, "day trial"], *, n_blocks: int = 16
) -> Overfitting:
    """Halve the days in all ways, choose the best Sharpe ratio of a half, and look at the other.

    Parameters
    ----------
    returns
        Simple returns of everything that was tried, on the same days.
    n_blocks
        The days are cut into so many blocks, an even number; half of them are one half. Days that
        do not fill a block are left out at the beginning.

    Raises
    ------
    DataError
        When there are fewer than two trials or two days per block, or a return is missing.

    References
    ----------
    Bailey, Borwein, Lopez de Prado and Zhu (2017), "The Probability of Backtest Overfitting".

    Examples
    --------
    >>> days = np.tile([0.01, -0.01], 32)
    >>> probability_of_overfitting(np.stack([days + 0.002, days], 1), n_blocks=4).probability
    0.0
    """
    n_days, n_trials = returns.shape
    if n_blocks < 2 or n_blocks % 2:
        raise ConfigError(f"n_blocks must be even and at least 2, got {n_blocks}")
    if n_trials < 2 or n_days < 2 * n_blocks or not np.isfinite(returns).all():
        raise DataError(
            f"returns must be known for two trials or more on {2 * n_blocks} days or more, got "
            f"{n_trials} trials on {n_days} days, {int((~np.isfinite(returns)).sum())} missing; "
            "ask for fewer blocks or drop days"
        )
    length = n_days // n_blocks
    blocks = returns[n_days - length * n_blocks :].reshape(n_blocks, length, n_trials)
    below, losses, n_ways = 0.0, 0.0, 0
    for inside in _halves(n_blocks):
        ratios = [_ratios(blocks, chosen) for chosen in (inside, ~inside)]
        rows, best = np.arange(len(inside)), ratios[0].argmax(axis=1)
        reached = ratios[1][rows, best][:, None]
        # Ties share their places.
        rank = (ratios[1] < reached).sum(axis=1) + ((ratios[1] == reached).sum(axis=1) + 1) / 2
        below += float((rank <= (n_trials + 1) / 2).sum())
        losses += float((reached < 0).sum())
        n_ways += len(inside)
    return Overfitting(below / n_ways, losses / n_ways, n_trials, n_ways)


def _halves(n_blocks: int) -> Iterator[ndarray]:
    """Yield masks of the blocks of one half, many at a time."""
    ways = combinations(range(n_blocks), n_blocks // 2)
    while chosen := list(islice(ways, WAYS_AT_ONCE)):
        masks = np.zeros((len(chosen), n_blocks), bool)
        masks[np.arange(len(chosen))[:, None], np.array(chosen)] = True
        yield masks


def _ratios(
    blocks: Float[ndarray, "block day trial"], chosen: ndarray
) -> Float64[ndarray, "way trial"]:
    """Return daily Sharpe ratios over the chosen blocks; 0 without a spread."""
    weights = chosen.astype(np.float64)
    count = weights.sum(axis=1, keepdims=True) * blocks.shape[1]
    mean = weights @ blocks.sum(axis=1) / count
    squares = weights @ (blocks**2).sum(axis=1)
    variance = (squares - count * mean**2) / (count - 1)
    known = variance > ROUNDING_SHARE * squares / count
    return np.where(known, mean / np.sqrt(np.where(known, variance, 1.0)), 0.0)
