"""Scores against returns, and what a portfolio earned: arrays in, numbers out, in float64.

Returns are simple. A day on which something cannot be computed is NaN and is left out of means.
"""

import math

import numpy as np

from tsfm.shapes import Bool, Float, Float64, Int, ndarray

DAYS_PER_YEAR = 252
# A spread below this share of the largest value is rounding, not a spread.
ROUNDING_SHARE = 1e-13


def information_coefficient(
    scores: Float[ndarray, "day stock"],
    returns: Float[ndarray, "day stock"],
    tradable: Bool[ndarray, "day stock"] | None = None,
) -> Float64[ndarray, " day"]:
    """Return the correlation of scores and returns over the stocks of each day.

    Stocks whose score or return is missing, or that are not tradable, do not count. A day with
    fewer than three stocks, or without a spread in one of the two, is NaN.

    Examples
    --------
    >>> information_coefficient(np.array([[1.0, 2.0, 3.0]]), np.array([[0.1, 0.2, 0.3]])).tolist()
    [1.0]
    """
    valid = _valid(scores, returns, tradable)
    return _correlation(scores, returns, valid)


def rank_information_coefficient(
    scores: Float[ndarray, "day stock"],
    returns: Float[ndarray, "day stock"],
    tradable: Bool[ndarray, "day stock"] | None = None,
) -> Float64[ndarray, " day"]:
    """Return the rank correlation of each day; ties share the mean of their ranks.

    Examples
    --------
    >>> rank_information_coefficient(np.array([[1.0, 2.0, 9.0]]), np.array([[0.1, 0.2, 0.3]]))
    array([1.])
    """
    valid = _valid(scores, returns, tradable)
    return _correlation(ranks(scores, valid), ranks(returns, valid), valid)


def ranks(
    values: Float[ndarray, "day stock"], valid: Bool[ndarray, "day stock"]
) -> Float64[ndarray, "day stock"]:
    """Return ranks from 1 over the valid stocks of each day, ties at their mean; NaN elsewhere."""
    found = np.full(values.shape, np.nan)
    for day, kept in enumerate(valid):
        _, place, count = np.unique(values[day, kept], return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        found[day, kept] = (last - (count - 1) / 2)[place]
    return found


def information_ratio(coefficients: Float[ndarray, " day"]) -> float:
    """Return the mean over the standard deviation of daily coefficients (ICIR); not annualised.

    Tables of the RSR family print it as "rank IC".

    Examples
    --------
    >>> information_ratio(np.array([0.1, 0.3, np.nan]))
    1.414...
    """
    known = coefficients[np.isfinite(coefficients)]
    spread = _spread(known)
    return float(known.mean() / spread) if spread else float("nan")


def information_decay(
    scores: Float[ndarray, "day stock"],
    returns: Float[ndarray, "day stock"],
    days: Int[ndarray, " asked"],
    n_days: int,
    tradable: Bool[ndarray, "day stock"] | None = None,
) -> list[Float64[ndarray, " asked"]]:
    """Return daily coefficients of scores with the return of their own day, of the next, and so on.

    Parameters
    ----------
    days
        Of the scores. Days whose later return would lie beyond the last row are NaN.
    n_days
        So many of them.

    Examples
    --------
    >>> scores = np.array([[1.0, 2.0, 3.0]] * 2)
    >>> returns = np.array([[0.3, 0.2, 0.1], [0.1, 0.2, 0.3]])
    >>> [one.tolist() for one in information_decay(scores, returns, np.array([0]), 2)]
    [[-1.0], [1.0]]
    """
    found = []
    for later in range(n_days):
        moved = np.full((len(days), returns.shape[1]), np.nan)
        known = days + later < len(returns)
        moved[known] = returns[days[known] + later]
        asked = None if tradable is None else tradable[days]
        found.append(information_coefficient(scores[days], moved, asked))
    return found


def newey_west_t(series: Float[ndarray, " day"], lags: int | None = None) -> float:
    """Return the t-statistic of the mean, by a variance that allows for autocorrelation.

    Parameters
    ----------
    lags
        Weighted down linearly; by default ``floor(4 (n / 100) ** (2 / 9))``.

    References
    ----------
    Newey and West (1987); the number of lags is that of their 1994 paper.
    """
    known = series[np.isfinite(series)]
    n_days = len(known)
    if n_days < 2:
        return float("nan")
    lags = math.floor(4 * (n_days / 100) ** (2 / 9)) if lags is None else lags
    centred = known - known.mean()
    variance = float(centred @ centred) / n_days
    for lag in range(1, min(lags, n_days - 1) + 1):
        weight = 1 - lag / (lags + 1)
        variance += 2 * weight * float(centred[lag:] @ centred[:-lag]) / n_days
    if variance <= (ROUNDING_SHARE * np.abs(known).max()) ** 2:
        return float("nan")
    return float(known.mean() / math.sqrt(variance / n_days))


def precision_at(
    scores: Float[ndarray, "day stock"],
    returns: Float[ndarray, "day stock"],
    top_k: int,
    tradable: Bool[ndarray, "day stock"] | None = None,
) -> Float64[ndarray, " day"]:
    """Return the share of each day's `top_k` best scores that rise.

    Stocks that tie for the last places count with the share of them that would be held. A return
    that is missing is left out after the choice, which could not know of it.
    """
    from tsfm.stocks.selection import select

    weights = select(scores, top_k=top_k, tradable=tradable)
    known = np.isfinite(returns)
    held = np.where(known, weights, 0.0).sum(axis=1)
    right = np.where(known & (returns > 0), weights, 0.0).sum(axis=1)
    return np.where(held > 0, right / np.where(held > 0, held, 1.0), np.nan)


def investment_return(returns: Float[ndarray, " day"]) -> float:
    """Return what one unit gained, all gains reinvested: the IRR of the RSR family.

    Missing days earn nothing.

    Examples
    --------
    >>> investment_return(np.array([0.1, np.nan, 0.1]))
    0.21...
    """
    return float(np.prod(1 + np.where(np.isfinite(returns), returns, 0.0)) - 1)


def sharpe_ratio(returns: Float[ndarray, " day"], days_per_year: int = DAYS_PER_YEAR) -> float:
    """Return the yearly ratio of mean to standard deviation, without a risk-free rate.

    Missing days are left out; NaN without a spread.

    Examples
    --------
    >>> round(sharpe_ratio(np.array([0.01, 0.03])), 6)
    22.449944
    """
    return information_ratio(returns) * math.sqrt(days_per_year)


def sharpe_standard_error(
    returns: Float[ndarray, " day"], days_per_year: int = DAYS_PER_YEAR
) -> float:
    """Return the standard error of a yearly Sharpe ratio of independent returns.

    References
    ----------
    Lo (2002), "The Statistics of Sharpe Ratios", equation 9.
    """
    daily = information_ratio(returns)
    n_days = int(np.isfinite(returns).sum())
    if not n_days:
        return float("nan")
    return math.sqrt((1 + daily**2 / 2) / n_days * days_per_year)


def max_drawdown(returns: Float[ndarray, " day"]) -> float:
    """Return the deepest fall of the wealth below its highest so far, as a negative share.

    The start counts as a high; missing days earn nothing.

    Examples
    --------
    >>> max_drawdown(np.array([-0.1, 0.2, -0.5]))
    -0.5
    """
    wealth = np.cumprod(np.concatenate([[1.0], 1 + np.where(np.isfinite(returns), returns, 0.0)]))
    return float((wealth / np.maximum.accumulate(wealth) - 1).min())


def turnover(weights: Float[ndarray, "day stock"]) -> Float64[ndarray, " day"]:
    """Return what is bought and sold each day, as a share of the wealth, from cash on the first.

    Weights that drift with the prices are not followed; `BacktestReport.turnover` does.

    Examples
    --------
    >>> turnover(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist()
    [1.0, 2.0]
    """
    held = np.where(np.isfinite(weights), weights, 0.0).astype(np.float64)
    return np.abs(np.diff(held, axis=0, prepend=np.zeros_like(held[:1]))).sum(axis=1)


def mean_of(series: Float[ndarray, " day"]) -> float:
    """Return the mean of what is known; NaN when nothing is."""
    known = series[np.isfinite(series)]
    return float(known.mean()) if len(known) else float("nan")


def _valid(
    scores: Float[ndarray, "day stock"],
    returns: Float[ndarray, "day stock"],
    tradable: Bool[ndarray, "day stock"] | None,
) -> Bool[ndarray, "day stock"]:
    valid = np.isfinite(scores) & np.isfinite(returns)
    return valid if tradable is None else valid & tradable


def _correlation(
    first: Float[ndarray, "day stock"],
    second: Float[ndarray, "day stock"],
    valid: Bool[ndarray, "day stock"],
) -> Float64[ndarray, " day"]:
    count = valid.sum(axis=1)
    centred = []
    for values in (first, second):
        clean = np.where(valid, values, 0.0).astype(np.float64)
        largest = np.abs(clean).max(axis=1, keepdims=True, initial=0.0)
        clean = clean / np.where(largest > 0, largest, 1.0)
        mean = clean.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None]
        centred.append(np.where(valid, clean - mean, 0.0))
    squares = [(one**2).sum(axis=1) for one in centred]
    flat = [one <= count * ROUNDING_SHARE**2 for one in squares]
    known = (count > 2) & ~flat[0] & ~flat[1]
    product = (centred[0] * centred[1]).sum(axis=1)
    size = np.sqrt(np.where(known, squares[0] * squares[1], 1.0))
    return np.where(known, product / size, np.nan)


def _spread(known: Float[ndarray, " day"]) -> float:
    """Return the sample standard deviation, 0 for what is rounding."""
    if len(known) < 2:
        return 0.0
    spread = float(known.std(ddof=1))
    return spread if spread > ROUNDING_SHARE * np.abs(known).max() else 0.0
