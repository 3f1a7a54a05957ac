"""From scores to flags: a threshold fitted on rows that are taken to be normal.

A false-alarm rate is a share of rows. It holds as far as rows to come are like those of the fit:
scores of neighbours depend on each other, so alarms come in runs, and anomalies among the rows of
the fit raise the threshold.
"""

from dataclasses import dataclass

import numpy as np

from tsfm.arguments import is_number
from tsfm.errors import ConfigError, DataError
from tsfm.shapes import Float64, ndarray

METHODS = ("quantile", "tail", "conformal")
TAIL_SHARE = 0.02
FEWEST_EXCESSES = 20


@dataclass(frozen=True)
class Threshold:
    """A row whose score is at least `value` is flagged.

    Parameters
    ----------
    false_alarm_rate
        Share of normal rows that are flagged.
    n_rows
        Scored rows of the fit.
    """

    value: float
    method: str
    false_alarm_rate: float
    n_rows: int


def fit_threshold(
    scores: Float64[ndarray, " row"], *, method: str = "conformal", false_alarm_rate: float
) -> Threshold:
    """Fit a threshold to the scores of normal rows; missing scores are left out.

    Parameters
    ----------
    method
        ``"quantile"``: the empirical quantile of the scores. ``"conformal"``: the smallest score
        whose conformal p-value, ``(1 + number of scores at least as high) / (1 + rows)``, is at
        most the rate, so that a row exchangeable with those of the fit is flagged with at most
        that probability. ``"tail"``: peaks over the 98 % quantile follow a generalised Pareto
        distribution, so that the rate may lie beyond what the rows can show.
    false_alarm_rate
        Between 0 and 1.

    Raises
    ------
    DataError
        When there are too few scored rows for the rate.

    Examples
    --------
    >>> fit_threshold(np.arange(101.0), method="quantile", false_alarm_rate=0.5).value
    50.0

    References
    ----------
    Siffer et al. (2017), "Anomaly Detection in Streams with Extreme Value Theory"; Vovk et al.
    (2005), "Algorithmic Learning in a Random World".
    """
    if method not in METHODS:
        raise ConfigError(f"method must be one of {list(METHODS)}, got {method!r}")
    if not is_number(false_alarm_rate) or not 0 < false_alarm_rate < 1:
        raise ConfigError(
            f"false_alarm_rate must be between 0 and 1, got {false_alarm_rate!r}; it is a share of "
            "rows"
        )
    found = np.sort(scores[~np.isnan(scores)])
    if not len(found):
        raise DataError("a threshold must be fitted on rows with a score, got none; give more rows")
    if method == "quantile":
        value = float(np.quantile(found, 1 - false_alarm_rate))
    elif method == "conformal":
        value = _conformal(found, false_alarm_rate)
    else:
        value = _tail(found, false_alarm_rate)
    # Many rows may share a score, as 0; they are flagged where the rate allows it for all of them.
    if np.mean(found >= value) > false_alarm_rate + 1 / len(found) and value in found:
        value = float(np.nextafter(value, np.inf))
    return Threshold(value, method, false_alarm_rate, len(found))


def _conformal(scores: Float64[ndarray, " row"], rate: float) -> float:
    # Ranks in exact arithmetic: 0.1 * 10 must not fall just below 1.
    n_allowed = int(np.floor(rate * (len(scores) + 1) + 1e-9)) - 1
    if n_allowed < 0:
        raise DataError(
            f"a conformal threshold at false_alarm_rate={rate} must have at least "
            f"{int(np.ceil(1 / rate)) - 1} scored rows, got {len(scores)}; give more rows or take "
            "method='tail'"
        )
    return float(np.nextafter(scores[-1 - n_allowed], np.inf))


def _tail(scores: Float64[ndarray, " row"], rate: float) -> float:
    from scipy.stats import genpareto

    start = float(np.quantile(scores, 1 - max(TAIL_SHARE, min(1.0, 2 * rate))))
    excesses = scores[scores > start] - start
    if len(excesses) < FEWEST_EXCESSES:
        raise DataError(
            f"a tail must be fitted on at least {FEWEST_EXCESSES} scores above the {start:.4g} "
            f"where it starts, got {len(excesses)} of {len(scores)}; give more rows or take "
            "method='quantile'"
        )
    scale = float(excesses.mean())
    shape, _, spread = genpareto.fit(excesses / scale, floc=0)
    share = rate * len(scores) / len(excesses)
    return start + scale * float(genpareto.isf(min(share, 1.0), shape, scale=spread))
