"""DetectorStream: rows one by one, with the scores that they would have in a whole frame."""

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsfm.arguments import at_least_one
from tsfm.errors import DataError
from tsfm.shapes import Float64, ndarray
from tsfm.tasks.detection.channel_relation import (
    Relation,
    has_relation,
    in_a_run,
    past_relation,
    row_distance,
    with_relation,
)
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.scores import (
    channel_mean,
    errors_and_widths,
    habit,
    in_runs,
    own_scores,
    past_error,
    past_range,
    range_excess,
    trailing_mean,
)
from tsfm.tasks.forecasting.row_forecasts import POINT, next_patch_quantiles

if TYPE_CHECKING:
    from tsfm.tasks.detect import Detector


class Scored(NamedTuple):
    """A row's score, NaN without one, and its flag, None without a threshold."""

    anomaly_score: float
    is_anomaly: bool | None


class DetectorStream:
    """Scores the rows of one item as they arrive; made by `Detector.stream`.

    Steps must arrive in order and without gaps: a step without a value is a NaN. The forecasts of
    a patch are made when the patch before it is whole, so most rows cost nothing and every 16th or
    so a pass over the context, which is kept. A key-value cache would spare part of that pass, at
    the price of a second way to every number.

    Examples
    --------
    >>> from tsfm.tasks.detect import Detector
    >>> stream = Detector.from_pretrained("tsfm-small").stream()
    >>> scores = [stream.update(value).anomaly_score for value in [1.0, 2.0] * 29 + [9.0]]
    >>> int(np.nanargmax(scores))
    58
    """

    def __init__(
        self, detector: "Detector", *, n_channels: int = 1, context_length: int | None = None
    ) -> None:
        self.detector = detector
        self.context_length = detector.context(context_length)
        n_channels = at_least_one("n_channels", n_channels)
        self.channels = [_Channel(detector, self.context_length) for _ in range(n_channels)]
        self.together = _Together(detector.rule, detector.model.patch_length, n_channels)

    def update(self, row: Any) -> Scored:
        """Score the next row.

        Parameters
        ----------
        row
            A number, or one per channel; NaN, None or NA of pandas where missing.
        """
        values = _numbers(row)
        if values.shape != (len(self.channels),):
            raise DataError(
                f"a row must have {len(self.channels)} values, got {values.size}; pass one per "
                "channel"
            )
        if np.isinf(values).any():
            raise DataError(f"a row must have finite or missing values, got {values.tolist()}")
        scores = [
            channel.update(float(value))
            for channel, value in zip(self.channels, values, strict=True)
        ]
        mean = channel_mean(np.array([scores]))
        if has_relation(len(self.channels), self.detector.rule):
            mean = with_relation(mean, self.together.update(values), self.detector.rule)
        score = float(mean[0])
        threshold = self.detector.threshold
        return Scored(score, None if threshold is None else score >= threshold.value)


def _numbers(row: Any) -> Float64[ndarray, " channel"]:
    pandas = sys.modules.get("pandas")
    missing = None if pandas is None else pandas.NA
    cells = np.atleast_1d(np.asarray(row, object))
    try:
        return np.array([np.nan if one is missing else one for one in cells], np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"a row must have numbers, got {cells.tolist()}; convert it, with NaN where missing"
        ) from None


class _Channel:
    """The past of one channel: values for the model, errors and scores for the rule."""

    def __init__(self, detector: "Detector", context_length: int) -> None:
        self.detector, self.rule = detector, detector.rule
        self.patch = detector.model.patch_length
        self.block = max(1, context_length // self.patch) * self.patch
        self.values: Float64[ndarray, " time"] = np.empty(0)
        self.errors: Float64[ndarray, " time"] = np.empty(0)
        self.own: Float64[ndarray, " time"] = np.empty(0)
        self.quantiles = np.full((self.patch, len(detector.levels or POINT)), np.nan)
        self.past = np.full(1, np.nan)
        self.seen: Float64[ndarray, " time"] = np.empty(0)
        self.range = np.full(2, np.nan)
        self.recent: Float64[ndarray, " time"] = np.empty(0)
        self.means: Float64[ndarray, " time"] = np.empty(0)
        self.range_of_means = np.full(2, np.nan)
        self.undivided: Float64[ndarray, " time"] = np.empty(0)
        self.habit = 0.0

    def update(self, value: float) -> float:
        if not len(self.values) and np.isnan(value):
            return float("nan")
        place = len(self.values) % self.patch
        if len(self.values) and place == 0:
            self._forecast()
        error, half_width = errors_and_widths(
            np.array([value]), self.quantiles[place, None], self.detector.levels
        )
        self.values, self.seen = np.append(self.values, value), np.append(self.seen, value)
        self.errors = np.append(self.errors, error)
        undivided = own_scores(error, half_width, self.past, self.rule)
        undivided *= 1 + self.rule.range_weight * range_excess(self.seen[-1:], self.range)
        self.undivided = np.append(self.undivided, undivided)
        own = undivided / (1 + self.habit)
        most = max(self.rule.smoothing, self.rule.long_smoothing)
        self.own = np.append(self.own, own)[-most:]
        score = in_runs(self.own, self.rule)[-1] + self.rule.level_weight * self._level(value)
        return float(score)

    def _level(self, value: float) -> float:
        """Return how far the mean of the last values lies outside of where it has been."""
        length = self.rule.long_smoothing
        self.recent = np.append(self.recent, value)[-length:]
        mean = trailing_mean(self.recent, length)[-1:]
        self.means = np.append(self.means, mean)
        return float(range_excess(mean, self.range_of_means)[0])

    def _forecast(self) -> None:
        """Forecast the next patch, and forget what is not needed any more.

        Whole blocks are forgotten, so that windows and patches begin where they always did.
        """
        spare = len(self.values) // self.block - 2
        if spare > 0:
            self.values = self.values[spare * self.block :]
        self.errors = self.errors[-self.rule.past_length :]
        self.past = past_error(self.errors, self.patch)
        self.seen = self.seen[-self.rule.range_length :]
        self.range = past_range(self.seen)
        self.means = self.means[-self.rule.range_length :]
        self.range_of_means = past_range(self.means)
        self.undivided = self.undivided[-self.rule.habit_length :]
        self.habit = habit(self.undivided, self.rule)
        self.quantiles = next_patch_quantiles(
            self.detector.model, self.values, context_length=self.block
        )


class _Together:
    """The past of all channels: rows for how they go together, distances for runs of them."""

    def __init__(self, rule: ScoreRule, patch_length: int, n_channels: int) -> None:
        self.rule, self.patch = rule, patch_length
        self.rows: Float64[ndarray, "time channel"] = np.empty((0, n_channels))
        self.n_rows = 0
        self.relation: Relation | None = None
        self.distances: Float64[ndarray, " time"] = np.empty(0)

    def update(self, row: Float64[ndarray, " channel"]) -> Float64[ndarray, " one"]:
        if not self.n_rows and np.isnan(row).all():
            return np.full(1, np.nan)
        if self.n_rows and self.n_rows % self.patch == 0:
            self.rows = self.rows[-self.rule.range_length :]
            self.relation = past_relation(self.rows)
        self.rows, self.n_rows = np.vstack([self.rows, row]), self.n_rows + 1
        now = (
            np.full(1, np.nan) if self.relation is None else row_distance(row[None], self.relation)
        )
        self.distances = np.append(self.distances, now)[-self.rule.relation_smoothing :]
        return in_a_run(self.distances, self.rule)[-1:]
