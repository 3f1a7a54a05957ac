"""Accuracy of forecasts: arrays in, numbers out, in float64.

A target that is NaN is missing and is left out. A forecast that is not finite where its target is
present makes an error infinite: it is never taken for missing. With nothing left to score, the
score is NaN.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tsfm.shapes import Float, Int, ndarray


def mae(target: Float[ndarray, "*shape"], forecast: Float[ndarray, "*shape"]) -> float:
    """Return the mean absolute error over all observed targets; missing ones are left out.

    Examples
    --------
    >>> mae(np.array([1.0, np.nan, 3.0]), np.array([2.0, 9.0, 3.0]))
    0.5
    """
    return _mean(np.abs(_errors(target, forecast)))


def mse(target: Float[ndarray, "*shape"], forecast: Float[ndarray, "*shape"]) -> float:
    """Return the mean squared error over all observed targets; missing ones are left out.

    Examples
    --------
    >>> mse(np.array([1.0, np.nan, 3.0]), np.array([3.0, 9.0, 3.0]))
    2.0
    """
    return _mean(_errors(target, forecast) ** 2)


def rmse(target: Float[ndarray, "*shape"], forecast: Float[ndarray, "*shape"]) -> float:
    """Return the root of the mean squared error; missing targets are left out.

    Examples
    --------
    >>> rmse(np.array([1.0, 1.0]), np.array([3.0, 3.0]))
    2.0
    """
    return float(np.sqrt(mse(target, forecast)))


def smape(target: Float[ndarray, "*shape"], forecast: Float[ndarray, "*shape"]) -> float:
    """Return the mean of ``2 |y - f| / (|y| + |f|)``, between 0 and 2.

    Missing targets, and steps at which both target and forecast are zero, are left out.

    Examples
    --------
    >>> smape(np.array([1.0, 0.0, np.nan]), np.array([3.0, 0.0, 5.0]))
    1.0
    """
    errors = np.abs(_errors(target, forecast))
    size = np.abs(target) + np.abs(np.where(np.isfinite(forecast), forecast, 1.0))
    return _mean(np.divide(2 * errors, size, out=np.full_like(errors, np.nan), where=size > 0))


def seasonal_error(
    values: Float[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    seasonality: int,
) -> Float[ndarray, "item channel"]:
    """Return the mean of ``|y[t] - y[t - seasonality]|`` over the context of every item.

    A pair with a missing value is left out. A series not longer than `seasonality` is measured
    with a seasonality of 1, as in GluonTS; one without any pair gets NaN.

    Parameters
    ----------
    values
        The contexts of all items, one after the other; item i is
        ``values[offsets[i]:offsets[i + 1]]``.
    """
    errors = np.full((len(offsets) - 1, values.shape[1]), np.nan)
    for item, (start, end) in enumerate(pairwise(offsets)):
        context = np.asarray(values[start:end], np.float64)
        lag = seasonality if seasonality < len(context) else 1
        steps = np.abs(context[lag:] - context[:-lag])
        count = np.sum(~np.isnan(steps), axis=0)
        total = np.nansum(steps, axis=0)
        np.divide(total, count, out=errors[item], where=count > 0)
    return errors


def scaled_errors(
    target: Float[ndarray, "item horizon channel"],
    forecast: Float[ndarray, "item horizon channel"],
    scale: Float[ndarray, "item channel"],
) -> Float[ndarray, "item horizon channel"]:
    """Return ``|y - f| / scale``; NaN where the target is missing or the scale is zero or NaN."""
    errors = np.abs(_errors(target, forecast))
    wide = np.broadcast_to(scale[:, None, :], errors.shape)
    return np.divide(errors, wide, out=np.full_like(errors, np.nan), where=wide > 0)


def mase(
    target: Float[ndarray, "item horizon channel"],
    forecast: Float[ndarray, "item horizon channel"],
    scale: Float[ndarray, "item channel"],
) -> float:
    """Return the mean absolute scaled error: absolute errors over the context's `seasonal_error`.

    The mean is over all items, steps and channels that can be scored, as Chronos and GluonTS
    take it: with equal horizons and nothing missing it is the mean of the items' own scores.
    Missing targets and items whose seasonal error is zero or undefined are left out.

    References
    ----------
    Hyndman and Koehler (2006), "Another look at measures of forecast accuracy".

    Examples
    --------
    >>> mase(np.full((1, 2, 1), 5.0), np.full((1, 2, 1), 3.0), np.full((1, 1), 4.0))
    0.5
    """
    return _mean(scaled_errors(target, forecast, scale))


def quantile_loss(
    target: Float[ndarray, "item horizon channel"],
    quantiles: Float[ndarray, "item quantile horizon channel"],
    quantile_levels: Sequence[float],
) -> Float[ndarray, "item quantile horizon channel"]:
    """Return twice the pinball loss of every forecast; NaN where the target is missing.

    At level 0.5 it is the absolute error.
    """
    levels = np.asarray(quantile_levels, np.float64)[None, :, None, None]
    errors = _errors(np.broadcast_to(target[:, None], quantiles.shape), quantiles)
    return 2 * np.maximum(levels * errors, (levels - 1) * errors)


def weighted_quantile_loss(
    target: Float[ndarray, "item horizon channel"],
    quantiles: Float[ndarray, "item quantile horizon channel"],
    quantile_levels: Sequence[float],
) -> float:
    """Return the mean weighted quantile loss (WQL).

    The quantile loss is summed over all items, steps and channels and divided by the sum of
    ``|y|``; the mean over the levels follows. Missing targets are left out of both sums; with
    none observed, or all of them zero, the result is NaN.

    Examples
    --------
    >>> target = np.full((1, 1, 1), 10.0)
    >>> weighted_quantile_loss(target, np.full((1, 1, 1, 1), 8.0), [0.5])
    0.2
    """
    total = np.nansum(np.abs(target))
    if total == 0:
        return float("nan")
    loss = quantile_loss(target, quantiles, quantile_levels)
    scored = ~np.isnan(target)[:, None]
    per_level = np.sum(loss, axis=(0, 2, 3), where=np.broadcast_to(scored, loss.shape)) / total
    return float(np.mean(per_level))


def coverage(
    target: Float[ndarray, "*shape"],
    lower: Float[ndarray, "*shape"],
    upper: Float[ndarray, "*shape"],
) -> float:
    """Return the share of observed targets inside ``[lower, upper]``, ends included.

    Missing targets are left out.

    Examples
    --------
    >>> coverage(np.array([1.0, 5.0, np.nan]), np.zeros(3), np.full(3, 2.0))
    0.5
    """
    covered = ((target >= lower) & (target <= upper)).astype(np.float64)
    return _mean(np.where(np.isnan(target), np.nan, covered))


def mean_interval_width(
    target: Float[ndarray, "*shape"],
    lower: Float[ndarray, "*shape"],
    upper: Float[ndarray, "*shape"],
) -> float:
    """Return the mean of ``upper - lower`` in the units of the target, where it is observed.

    Examples
    --------
    >>> mean_interval_width(np.array([1.0, np.nan]), np.zeros(2), np.array([2.0, 9.0]))
    2.0
    """
    width = _errors(np.where(np.isnan(target), np.nan, upper), lower)
    return _mean(width)


def geometric_mean(ratios: Float[ndarray, " ratio"]) -> float:
    """Return the geometric mean of positive ratios; NaN when one is NaN or there is none.

    Examples
    --------
    >>> round(geometric_mean(np.array([0.5, 2.0])), 6)
    1.0
    """
    if not ratios.size:
        return float("nan")
    return float(np.exp(np.mean(np.log(ratios))))


def _errors(
    target: Float[ndarray, "*shape"], forecast: Float[ndarray, "*shape"]
) -> Float[ndarray, "*shape"]:
    """Return ``y - f``: NaN where the target is missing, infinite where f alone is not finite."""
    errors = np.asarray(target, np.float64) - np.asarray(forecast, np.float64)
    broken = ~np.isnan(target) & ~np.isfinite(forecast)
    return np.where(broken, np.inf, errors)


def _mean(values: Float[ndarray, "*shape"]) -> float:
    observed = values[~np.isnan(values)]
    return float(np.mean(observed)) if observed.size else float("nan")
