"""The scoring function of the Numenta Anomaly Benchmark: early detections pay, false alarms cost.

Every window of an anomaly pays once, by the earliest row in it that is flagged: nearly 1 at its
left border, 0 at its right one, along a sigmoid. A missed window costs `false_negative`. A false
alarm costs up to `false_positive`, less when it follows closely on a window. One threshold holds
for all series; the benchmark takes the one that scores best on these very labels, so a published
score is one with hindsight. The sum is normalised: 0 for a detector that never flags, 100 for one
that flags nothing but the first row of every window.

References
----------
Lavin and Ahmad (2015), "Evaluating Real-time Anomaly Detection Algorithms: the Numenta Anomaly
Benchmark".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tsfm.metrics.detection import runs
from tsfm.shapes import Bool, Float, Int, ndarray

PROBATION_SHARE = 0.15
MOST_PROBATION_ROWS = 750
STEEPNESS = 5.0
FAR_BEHIND = 3.0
"""In widths of the window before: a false alarm farther behind costs all of its weight."""


@dataclass(frozen=True)
class NabProfile:
    """What a hit pays, and what a false alarm and a missed window cost."""

    true_positive: float
    false_positive: float
    false_negative: float


PROFILES = {
    "standard": NabProfile(1.0, 0.11, 1.0),
    "reward_low_FP": NabProfile(1.0, 0.22, 1.0),
    "reward_low_FN": NabProfile(1.0, 0.11, 2.0),
}


class NabSeries(NamedTuple):
    """Labels and scores of one series in order of time; a NaN score is never flagged."""

    labels: Bool[ndarray, " row"]
    scores: Float[ndarray, " row"]


class NabScore(NamedTuple):
    """A normalised score, at most 100 and possibly below 0, and the threshold it was got with."""

    score: float
    threshold: float


def probation_length(n_rows: int) -> int:
    """Return how many first rows of a series are for learning and not scored.

    Examples
    --------
    >>> probation_length(4032), probation_length(22_695)
    (604, 750)
    """
    return min(int(PROBATION_SHARE * n_rows), MOST_PROBATION_ROWS)


def scaled_sigmoid(position: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """Return 0.987 at a window's left border (-1), 0 at its right one (0), then down to -1.

    Examples
    --------
    >>> scaled_sigmoid(np.array([-1.0, 0.0, 1.0, 3.5])).round(3).tolist()
    [0.987, 0.0, -0.987, -1.0]
    """
    with np.errstate(over="ignore"):
        value = 2 / (1 + np.exp(STEEPNESS * position)) - 1
    return np.where(position > FAR_BEHIND, -1.0, value)


def row_worth(
    labels: Bool[ndarray, " row"], profile: NabProfile
) -> tuple[Float[ndarray, " row"], Int[ndarray, " row"]]:
    """Return what flagging each row alone is worth, and the number of its window or -1.

    Examples
    --------
    >>> worth, window = row_worth(np.array([False, True, True, False]), PROFILES["standard"])
    >>> worth.round(2).tolist(), window.tolist()
    ([-0.11, 1.0, 0.86, -0.11], [-1, 0, 0, -1])
    """
    row = np.arange(len(labels))
    starts, stops = runs(labels)
    if not len(starts):
        return np.full(len(labels), -profile.false_positive), np.full(len(labels), -1)
    window = np.where(labels, np.searchsorted(starts, row, side="right") - 1, -1)
    inside = -(stops[window] - row) / (stops - starts)[window]
    hit = scaled_sigmoid(inside) * profile.true_positive / scaled_sigmoid(np.array(-1.0))
    last = np.searchsorted(stops, row, side="right") - 1
    width = (stops - starts)[last] - 1
    is_near = (last >= 0) & (width > 0)
    behind = np.where(is_near, (row - stops[last] + 1) / np.maximum(width, 1), np.inf)
    alarm = scaled_sigmoid(behind) * profile.false_positive
    return np.where(labels, hit, alarm), window


def nab_score(
    series: Sequence[NabSeries],
    profile: NabProfile,
    *,
    threshold: float | None = None,
) -> NabScore:
    """Return the normalised score of a detector over many series.

    Parameters
    ----------
    threshold
        Rows at or above it are flagged; None takes the best one on these labels, as the benchmark
        does. ``inf`` is the detector that never flags.

    Returns
    -------
    score
        NaN when no series has a window.

    Examples
    --------
    >>> labels = np.array([False] * 10 + [True] * 4 + [False] * 6)
    >>> nab_score([NabSeries(labels, labels * 1.0)], PROFILES["standard"])
    NabScore(score=100.0, threshold=1.0)
    """
    scores, worth, window, n_windows, n_lost = _scorable(series, profile)
    total = sum(len(runs(one.labels)[0]) for one in series)
    if not total:
        return NabScore(float("nan"), float("nan"))
    null = -profile.false_negative * (n_windows - n_lost)
    gains = null + _gains(worth, window, n_windows, profile)
    distinct = np.flatnonzero(np.append(np.diff(scores) != 0, len(scores) > 0))
    reached, thresholds = np.append(null, gains[distinct]), np.append(np.inf, scores[distinct])
    if threshold is None:
        chosen = int(np.argmax(reached))
    else:
        chosen = int((thresholds >= threshold).sum()) - 1
    perfect = total * profile.true_positive
    return NabScore(
        float(100 * (reached[chosen] - null) / (perfect - null)),
        float(thresholds[chosen] if threshold is None else threshold),
    )


def _scorable(
    series: Sequence[NabSeries], profile: NabProfile
) -> tuple[ndarray, ndarray, ndarray, int, int]:
    """Return scores, worth and window of the rows after probation, highest score first.

    Also the number of windows, and of those that lie wholly within probation: they can be neither
    found nor missed.
    """
    parts, n_windows, n_lost = [], 0, 0
    for labels, scores in series:
        worth, window = row_worth(labels, profile)
        first, count = probation_length(len(labels)), int(window.max(initial=-1)) + 1
        n_lost += count - len(np.unique(window[first:][window[first:] >= 0]))
        numbered = np.where(window >= 0, window + n_windows, -1)
        n_windows += count
        used = np.arange(len(labels)) >= first
        used &= ~np.isnan(scores)
        parts.append((scores[used], worth[used], numbered[used]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(-columns[0], kind="stable")
    scores, worth, window = (column[order] for column in columns)
    return scores, worth, window, n_windows, n_lost


def _gains(
    worth: ndarray, window: ndarray, n_windows: int, profile: NabProfile
) -> Float[ndarray, " row"]:
    """Return the gain over never flagging of flagging the first rows of a descending order."""
    best = np.full(n_windows, -profile.false_negative)
    gains = np.where(window < 0, worth, 0.0)
    for place in np.flatnonzero(window >= 0):
        improved = max(worth[place] - best[window[place]], 0.0)
        gains[place] = improved
        best[window[place]] += improved
    result: ndarray = np.cumsum(gains)
    return result
