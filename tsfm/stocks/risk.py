"""Value at risk and expected shortfall from sample paths, tests of both, and rival volatilities."""

import math
from dataclasses import dataclass

import numpy as np

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError
from tsfm.shapes import Bool, Float, Float64, ndarray

EWMA_DECAY = 0.94


def value_at_risk(
    returns: Float[ndarray, "*shape sample"], level: float = 0.05
) -> Float64[ndarray, "*shape"]:
    """Return the return that a share `level` of the samples is below: a loss is negative.

    Examples
    --------
    >>> round(float(value_at_risk(np.linspace(-0.1, 0.1, 21), 0.05)), 6)
    -0.09
    """
    _check_level(level)
    return np.asarray(np.quantile(np.asarray(returns, np.float64), level, axis=-1))


def expected_shortfall(
    returns: Float[ndarray, "*shape sample"], level: float = 0.05
) -> Float64[ndarray, "*shape"]:
    """Return the mean of the worst share `level` of the samples, at least one of them.

    NaN where a sample is missing, as the value at risk is.

    Examples
    --------
    >>> float(expected_shortfall(np.array([-0.3, -0.1, 0.0, 0.1]), 0.5))
    -0.2
    """
    _check_level(level)
    samples = np.asarray(returns, np.float64)
    n_worst = math.floor((samples.shape[-1] - 1) * level) + 1
    worst = np.partition(samples, n_worst - 1, axis=-1)[..., :n_worst].mean(axis=-1)
    # Of a sample that is missing nobody knows whether it is among the worst.
    return np.where(np.isnan(samples).any(axis=-1), np.nan, worst)


def filtered_value_at_risk(
    returns: Float[ndarray, "day stock"],
    scale: Float[ndarray, "day stock"],
    level: float = 0.05,
    *,
    n_days: int = 500,
) -> Float64[ndarray, "day stock"]:
    """Return the value at risk of every day: past returns in units of their scale, times today's.

    How heavy the tail is comes from the last `n_days` before the day, how wide it is today from the
    forecast. NaN for the first `n_days`, where fewer than half of the last ones are known, as of a
    young stock, and where the scale is missing.

    Parameters
    ----------
    scale
        Standard deviation of the day, foretold before it; any multiple of it gives the same.

    References
    ----------
    Barone-Adesi, Giannopoulos and Vosper (1999), "VaR without Correlations for Portfolios of
    Derivative Securities" (filtered historical simulation).

    Examples
    --------
    >>> returns, scale = np.array([[-2.0], [1.0], [0.0]]), np.array([[1.0], [1.0], [3.0]])
    >>> float(filtered_value_at_risk(returns, scale, 0.5, n_days=2)[2, 0])
    -1.5
    """
    _check_level(level)
    at_least_one("n_days", n_days)
    units = np.asarray(returns, np.float64) / np.where(scale > 0, scale, np.nan)
    found = np.full(units.shape, np.nan)
    for day in range(n_days, len(units)):
        past = units[day - n_days : day]
        known = np.isfinite(past).sum(axis=0) >= n_days / 2
        found[day, known] = np.nanquantile(past[:, known], level, axis=0)
    return found * scale


@dataclass(frozen=True)
class CoverageTest:
    """A likelihood ratio and the probability of one as large when the forecasts are right.

    Parameters
    ----------
    statistic
        NaN when there is nothing to test.
    p_value
        Below 0.05 the forecasts are usually rejected.
    """

    statistic: float
    p_value: float


def kupiec(exceeded: Bool[ndarray, " day"], level: float) -> CoverageTest:
    """Test whether the value at risk was exceeded as often as it should be.

    Parameters
    ----------
    exceeded
        True on the days whose return was below their value at risk.
    level
        The share of such days that was promised.

    References
    ----------
    Kupiec (1995), "Techniques for Verifying the Accuracy of Risk Measurement Models".

    Examples
    --------
    >>> days = np.arange(252) < 20
    >>> round(kupiec(days, 0.05).statistic, 2)
    3.91
    """
    _check_level(level)
    n_days, n_exceeded = len(exceeded), int(exceeded.sum())
    if not n_days:
        return CoverageTest(math.nan, math.nan)
    found = _log_likelihood(n_days - n_exceeded, n_exceeded, n_exceeded / n_days)
    statistic = max(0.0, 2 * (found - _log_likelihood(n_days - n_exceeded, n_exceeded, level)))
    return CoverageTest(statistic, math.erfc(math.sqrt(statistic / 2)))


def christoffersen(
    exceeded: Bool[ndarray, " day"], level: float
) -> tuple[CoverageTest, CoverageTest]:
    """Test whether exceedances come alone, and whether they are also as many as they should be.

    Returns
    -------
    independence, conditional_coverage
        The second adds the statistic of `kupiec` over the days that have one before them.

    References
    ----------
    Christoffersen (1998), "Evaluating Interval Forecasts".
    """
    _check_level(level)
    if len(exceeded) < 2:
        nothing = CoverageTest(math.nan, math.nan)
        return nothing, nothing
    before, after = exceeded[:-1], exceeded[1:]
    counts = [
        [
            int((before == first).sum()) - int((after & (before == first)).sum()),
            int((after & (before == first)).sum()),
        ]
        for first in (False, True)
    ]
    apart = sum(_log_likelihood(no, yes, yes / (no + yes)) for no, yes in counts if no + yes)
    no, yes = counts[0][0] + counts[1][0], counts[0][1] + counts[1][1]
    together = _log_likelihood(no, yes, yes / (no + yes))
    independence = max(0.0, 2 * (apart - together))
    both = independence + kupiec(after, level).statistic
    return (
        CoverageTest(independence, math.erfc(math.sqrt(independence / 2))),
        CoverageTest(both, math.exp(-both / 2)),
    )


def ewma_variance(
    returns: Float[ndarray, "day stock"], decay: float = EWMA_DECAY
) -> Float64[ndarray, "day stock"]:
    """Return the variance of the next day as RiskMetrics says it: old squares fade by `decay`.

    The first day has its own square; a missing return changes nothing.

    Examples
    --------
    >>> ewma_variance(np.array([[0.1], [0.0]]), decay=0.5).round(6).tolist()
    [[0.01], [0.005]]
    """
    found = np.full(returns.shape, np.nan)
    state = np.full(returns.shape[1:], np.nan)
    for day, moves in enumerate(returns):
        square = np.where(np.isfinite(moves), moves**2, state)
        state = np.where(np.isfinite(state), decay * state + (1 - decay) * square, square)
        found[day] = state
    return found


def har_variance(
    returns: Float[ndarray, "day stock"], n_train: int
) -> Float64[ndarray, "day stock"]:
    """Return the variance of the next day by the heterogeneous autoregression of squared returns.

    A day's square is regressed on the mean squares of the day, the week and the month before it, by
    stock, over the first `n_train` days; the forecast is at least a hundredth of the mean square of
    those.

    References
    ----------
    Corsi (2009), "A Simple Approximate Long-Memory Model of Realized Volatility".
    """
    squares = returns**2
    means = np.stack([_trailing_mean(squares, days) for days in (1, 5, 22)], axis=-1)
    found = np.full(returns.shape, np.nan)
    for stock in range(returns.shape[1]):
        rows = np.concatenate([np.ones((len(returns), 1)), means[:, stock]], axis=1)
        inputs, target = rows[: n_train - 1], squares[1:n_train, stock]
        known = np.isfinite(inputs).all(axis=1) & np.isfinite(target)
        if known.sum() <= rows.shape[1]:
            continue
        weights = np.linalg.lstsq(inputs[known], target[known], rcond=None)[0]
        found[:, stock] = np.maximum(rows @ weights, 0.01 * target[known].mean())
    return found


def qlike(
    variance: Float[ndarray, "day stock"], squares: Float[ndarray, "day stock"]
) -> Float64[ndarray, "day stock"]:
    """Return the loss ``log(variance) + square / variance``; lower is better.

    It ranks forecasts of variance rightly although squares are a noisy measure of it.

    References
    ----------
    Patton (2011), "Volatility Forecast Comparison Using Imperfect Volatility Proxies".
    """
    return np.log(variance) + squares / variance


def _trailing_mean(values: Float[ndarray, "day stock"], n_days: int) -> ndarray:
    total = np.cumsum(np.where(np.isfinite(values), values, 0.0), axis=0)
    count = np.cumsum(np.isfinite(values), axis=0).astype(np.float64)
    for one in (total, count):
        one[n_days:] -= one[:-n_days].copy()
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _log_likelihood(n_no: int, n_yes: int, share: float) -> float:
    """Return that of independent days of which a share is exceeded; nothing happens for free."""
    no = n_no * math.log1p(-share) if n_no else 0.0
    return no + (n_yes * math.log(share) if n_yes else 0.0)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1, got {level}; 0.05 is usual")
