"""Quality of anomaly scores: labels and scores of rows in, numbers out, in float64.

A higher score is more anomalous. Rows whose score is NaN (no score could be given) are left out
together with their labels. Without a labelled row, or without any other, a measure that needs both
is NaN.
"""

from typing import NamedTuple

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Bool, Float, Int, ndarray


class Counts(NamedTuple):
    """Precision, recall and their harmonic mean; 0 where nothing was found or was there."""

    precision: float
    recall: float
    f1: float


class Curve(NamedTuple):
    """Rates at every distinct score as threshold, from the highest score down.

    Parameters
    ----------
    recall
        Share of anomalous rows at or above the threshold.
    false_alarm_rate
        Share of normal rows at or above the threshold.
    """

    threshold: Float[ndarray, " threshold"]
    precision: Float[ndarray, " threshold"]
    recall: Float[ndarray, " threshold"]
    false_alarm_rate: Float[ndarray, " threshold"]


def precision_recall_f1(labels: Bool[ndarray, " row"], flags: Bool[ndarray, " row"]) -> Counts:
    """Compare flags with labels, row by row.

    Examples
    --------
    >>> precision_recall_f1(np.array([True, True, False]), np.array([True, False, False])).recall
    0.5
    """
    hits, flagged, labelled = int((labels & flags).sum()), int(flags.sum()), int(labels.sum())
    return Counts(
        hits / max(flagged, 1), hits / max(labelled, 1), 2 * hits / max(flagged + labelled, 1)
    )


def detection_curve(labels: Bool[ndarray, " row"], scores: Float[ndarray, " row"]) -> Curve:
    """Return precision, recall and false-alarm rate at every threshold.

    Examples
    --------
    >>> curve = detection_curve(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]))
    >>> curve.recall.tolist(), curve.false_alarm_rate.tolist()
    ([0.5, 0.5, 1.0], [0.0, 1.0, 1.0])
    """
    labels, scores = _scored(labels, scores)
    order, ends = _thresholds(scores)
    hits = np.cumsum(labels[order])[ends].astype(np.float64)
    flagged = (ends + 1).astype(np.float64)
    n_labelled = int(labels.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return Curve(
            scores[order][ends],
            hits / flagged,
            hits / n_labelled,
            (flagged - hits) / (len(labels) - n_labelled),
        )


def average_precision(labels: Bool[ndarray, " row"], scores: Float[ndarray, " row"]) -> float:
    """Return the area under precision over recall, by steps (AUC-PR); rows of one score together.

    Examples
    --------
    >>> average_precision(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]))
    0.8333333333333333
    """
    curve = detection_curve(labels, scores)
    return _steps(curve.recall, curve.precision) if len(curve.recall) else float("nan")


def roc_area(labels: Bool[ndarray, " row"], scores: Float[ndarray, " row"]) -> float:
    """Return the area under recall over false-alarm rate (AUC-ROC); 0.5 is chance.

    Examples
    --------
    >>> roc_area(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]))
    0.5
    """
    curve = detection_curve(labels, scores)
    recall, alarms = np.append(0.0, curve.recall), np.append(0.0, curve.false_alarm_rate)
    if len(recall) == 1:
        return float("nan")
    return float(np.sum(np.diff(alarms) * (recall[1:] + recall[:-1]) / 2))


def range_average_precision(
    labels: Bool[ndarray, " row"], scores: Float[ndarray, " row"], buffer: int
) -> float:
    """Return the area under precision over recall with soft borders around every anomaly.

    A row at `d` steps from an anomaly counts as ``sqrt(1 - d / buffer)`` of an anomalous one, up
    to half a buffer away. Recall counts against the mean of soft and hard labels, at most 1, and
    is multiplied by the share of anomalies, borders included, that have a row at or above the
    threshold: so every anomaly must be found, not the longest one alone.

    Parameters
    ----------
    labels, scores
        Of one series, in order of time.
    buffer
        In steps; with 0 and one anomaly this is `average_precision`.

    Examples
    --------
    >>> labels = np.array([False, False, True, False])
    >>> range_average_precision(labels, np.array([0.0, 1.0, 0.0, 0.0]), 2) > 0.5
    True
    """
    soft = soft_labels(labels, buffer)
    is_scored = ~np.isnan(scores)
    soft, scores, hard = soft[is_scored], scores[is_scored], labels[is_scored]
    n_labelled = (soft.sum() + hard.sum()) / 2
    if n_labelled == 0:
        return float("nan")
    order, ends = _thresholds(scores)
    hits = np.cumsum(soft[order])[ends]
    starts, stops = runs(soft > 0)
    best = np.array([scores[a:b].max() for a, b in zip(starts, stops, strict=True)])
    found = len(best) - np.searchsorted(np.sort(best), scores[order][ends], side="left")
    recall = np.minimum(hits / n_labelled, 1.0) * found / len(best)
    return _steps(recall, hits / (ends + 1))


def vus_pr(
    labels: Bool[ndarray, " row"],
    scores: Float[ndarray, " row"],
    max_buffer: int,
    *,
    n_buffers: int = 9,
) -> float:
    """Return the volume under the surface: `range_average_precision`, averaged over buffers.

    In the style of VUS-PR: thresholds are all distinct scores, where the released code takes 250,
    and overlapping borders take the larger label, where it adds them up to 1.

    Parameters
    ----------
    max_buffer
        The longest buffer, in steps; the shortest is 0.
    n_buffers
        Buffers between them, evenly spaced and rounded to whole steps.

    References
    ----------
    Paparrizos et al. (2022), "Volume Under the Surface: A New Accuracy Evaluation Measure for
    Time-Series Anomaly Detection".

    Examples
    --------
    >>> vus_pr(np.array([False, True, False]), np.array([0.0, 1.0, 0.0]), 0)
    1.0
    """
    buffers = np.unique(np.round(np.linspace(0, max_buffer, n_buffers)).astype(int))
    return float(np.mean([range_average_precision(labels, scores, int(one)) for one in buffers]))


def point_adjusted_f1(labels: Bool[ndarray, " row"], flags: Bool[ndarray, " row"]) -> Counts:
    """Compare flags with labels after one hit inside an anomaly flagged the whole of it.

    Random scores do well by this measure (Kim et al. 2022), so it never stands alone: show
    `average_precision` or `vus_pr` beside it.

    Examples
    --------
    >>> labels = np.array([True, True, True, False])
    >>> point_adjusted_f1(labels, np.array([False, False, True, False])).f1
    1.0
    """
    adjusted = flags.copy()
    for start, stop in zip(*runs(labels), strict=True):
        adjusted[start:stop] |= flags[start:stop].any()
    return precision_recall_f1(labels, adjusted)


def first_hit_share(
    hits: Bool[ndarray, " segment"], scores: Float[ndarray, " segment"], *, n_missed: int = 0
) -> float:
    """Return alpha: the rank of the first hit by descending score, as a share of all segments.

    This is the quantile protocol of Timer: how many of the most suspicious segments must be looked
    at until one of them overlaps the anomaly. Segments of one score are looked at in the order of
    the worst case.

    Parameters
    ----------
    hits
        Whether the segment overlaps the anomaly.
    n_missed
        Segments of the test part without a score; they are looked at last. When no scored segment
        is a hit alpha is 1, a miss. The released code leaves the rank at its initial value then
        and prints a perfect hit.

    Examples
    --------
    >>> first_hit_share(np.array([False, True, False, False]), np.array([1.0, 3.0, 4.0, 2.0]))
    0.5
    """
    if not hits.any():
        return 1.0
    best = scores[hits].max()
    rank = int((scores > best).sum() + (scores[~hits] == best).sum() + 1)
    return rank / (len(scores) + n_missed)


def runs(flags: Bool[ndarray, " row"]) -> tuple[Int[ndarray, " run"], Int[ndarray, " run"]]:
    """Return where runs of True begin and where they have ended.

    Examples
    --------
    >>> starts, stops = runs(np.array([True, True, False, True]))
    >>> starts.tolist(), stops.tolist()
    ([0, 3], [2, 4])
    """
    change = np.diff(flags.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(change == 1), np.flatnonzero(change == -1)


def soft_labels(labels: Bool[ndarray, " row"], buffer: int) -> Float[ndarray, " row"]:
    """Return 1 inside an anomaly, falling to ``sqrt(1/2)`` at half a buffer from it, then 0.

    Examples
    --------
    >>> soft_labels(np.array([False, False, True, False]), 2).round(3).tolist()
    [0.0, 0.707, 1.0, 0.707]
    """
    if buffer < 0:
        raise DataError(f"buffer must be at least 0 steps, got {buffer}; use 0 for none")
    starts, stops = runs(labels)
    if not len(starts) or buffer == 0:
        return labels.astype(np.float64)
    row = np.arange(len(labels))
    after = np.append(starts, np.iinfo(np.int64).max // 2)[np.searchsorted(starts, row)] - row
    before = row - np.append(-len(labels) - buffer, stops - 1)[np.searchsorted(stops, row, "right")]
    distance = np.where(labels, 0, np.minimum(after, before))
    near = distance <= buffer // 2
    return np.where(near, np.sqrt(1 - np.where(near, distance, 0) / buffer), 0.0)


def _scored(
    labels: Bool[ndarray, " row"], scores: Float[ndarray, " row"]
) -> tuple[Bool[ndarray, " scored"], Float[ndarray, " scored"]]:
    is_scored = ~np.isnan(scores)
    return labels[is_scored], scores[is_scored]


def _thresholds(
    scores: Float[ndarray, " row"],
) -> tuple[Int[ndarray, " row"], Int[ndarray, " threshold"]]:
    """Return rows by descending score, and where in this order each distinct score ends."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, len(scores) > 0))
    return order, ends


def _steps(recall: Float[ndarray, " threshold"], precision: Float[ndarray, " threshold"]) -> float:
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
