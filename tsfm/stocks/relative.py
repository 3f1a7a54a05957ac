"""A portfolio beside a benchmark, such as the market."""

import math

import numpy as np

from tsfm.shapes import Float, ndarray
from tsfm.stocks.metrics import DAYS_PER_YEAR, ROUNDING_SHARE, sharpe_ratio


def relative_to(
    returns: Float[ndarray, " day"],
    benchmark: Float[ndarray, " day"],
    days_per_year: int = DAYS_PER_YEAR,
) -> dict[str, float]:
    """Return what a portfolio earned that its benchmark did not.

    Days on which one of the two is missing are left out.

    Returns
    -------
    dict
        ``beta``; ``alpha``, the mean return that beta does not explain, compounded over a year;
        ``tracking_error``, the yearly standard deviation of the difference; ``active_sharpe``, the
        yearly ratio of its mean to that. NaN where there is no spread.

    Examples
    --------
    >>> market = np.array([0.01, -0.02, 0.03])
    >>> found = relative_to(2 * market, market)
    >>> round(found["beta"], 9), round(found["alpha"], 9)
    (2.0, 0.0)
    """
    known = np.isfinite(returns) & np.isfinite(benchmark)
    ours, theirs = returns[known], benchmark[known]
    if len(ours) < 2:
        return dict.fromkeys(("beta", "alpha", "tracking_error", "active_sharpe"), float("nan"))
    active = ours - theirs
    centred = theirs - theirs.mean()
    variance = float(centred @ centred)
    rounding = len(theirs) * (ROUNDING_SHARE * float(np.abs(theirs).max())) ** 2
    has_spread = variance > rounding
    beta = float(centred @ (ours - ours.mean())) / variance if has_spread else float("nan")
    daily = float((ours - beta * theirs).mean())
    return {
        "beta": beta,
        "alpha": (1 + daily) ** days_per_year - 1,
        "tracking_error": float(active.std(ddof=1)) * math.sqrt(days_per_year),
        "active_sharpe": sharpe_ratio(active, days_per_year),
    }
