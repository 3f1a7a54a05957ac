"""Anomaly detection: scores of rows against labels, for models as they are and cheap rivals.

Every detector looks back only, or is fitted on the first rows of a series, which are not scored.
Measures: areas under precision over recall (of rows, and with soft borders: VUS-PR), NAB's score
with the best threshold in hindsight as on its scoreboard and with one fitted on the training rows,
and the share of segments that must be looked at until one is right (alpha). Point-adjusted F1 is
shown beside the plain one, never alone.

References
----------
Lavin and Ahmad (2015) for NAB; Paparrizos et al. (2022) for VUS-PR; Liu et al. (2024), "Timer",
for alpha; Kim et al. (2022) on point adjustment.
"""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError, DataError
from tsfm.evaluation.detection_rivals import RIVALS, Scores, ScoreSeries
from tsfm.evaluation.detection_sets import DetectionSet, LabelledSeries, read_detection_set, widened
from tsfm.evaluation.detection_tables import render, summarise
from tsfm.evaluation.injected import injected_series
from tsfm.evaluation.injected_channels import injected_channels
from tsfm.evaluation.injected_states import injected_states
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.rivals import Rival
from tsfm.metrics.detection import (
    average_precision,
    first_hit_share,
    point_adjusted_f1,
    precision_recall_f1,
    roc_area,
    vus_pr,
)
from tsfm.metrics.nab import PROFILES, NabSeries, nab_score
from tsfm.shapes import ndarray
from tsfm.tasks.detect import Detector
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.thresholds import fit_threshold

INJECTED, INJECTED_CHANNELS, INJECTED_STATES = "injected", "injected channels", "injected states"
CARDS_OF = {
    INJECTED: ("injected_cards",),
    INJECTED_CHANNELS: ("channel_cards",),
    INJECTED_STATES: ("injected_cards", "channel_cards"),
}
INJECTED_NOTE = (
    "Real series with one anomaly put into each; for choosing, never for comparing. Windows of "
    "NAB's score are widened to a tenth of the rows, as NAB's are."
)
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class DetectionConfig:
    """The ``[evaluate]`` section of a recipe whose protocol is ``detection``.

    Parameters
    ----------
    datasets
        Cards with labels; ``"injected"`` draws series of `injected_cards` and puts anomalies into
        them, to choose a rule without the labels of a benchmark; ``"injected channels"`` does so
        with several channels at a time, of `channel_cards`; ``"injected states"`` takes series of
        both, `states_per_card` of each, for anomalies that last.
    rivals
        Which cheap detectors to show; see `tsfm.evaluation.detection_rivals.RIVALS`.
    rules
        How errors of the models become scores, by the name that is shown; an empty section is the
        default rule.
    context_length
        Steps that a model reads before the scored rows, at least; None leaves it to the model.
    max_buffer
        Longest buffer of VUS-PR, in rows.
    segment_length
        Rows of a segment of alpha.
    false_alarm_rate
        Of the threshold that is fitted on the training rows of each series.
    resamples
        Bootstrap samples of the series, for the intervals of means.
    """

    protocol: Literal["detection"]
    models: tuple[str, ...]
    datasets: tuple[str, ...] = Field(min_length=1)
    rivals: tuple[str, ...] = tuple(RIVALS)
    rules: dict[str, ScoreRule] | None = None
    injected_cards: tuple[str, ...] = ()
    injected_per_card: PositiveInt = 14
    channel_cards: tuple[str, ...] = ()
    channels_per_card: PositiveInt = 13
    states_per_card: PositiveInt = 6
    context_length: PositiveInt | None = None
    max_buffer: PositiveInt = 100
    segment_length: PositiveInt = 96
    false_alarm_rate: float = Field(default=0.005, gt=0, lt=1)
    resamples: PositiveInt = 1000

    def __post_init__(self) -> None:
        unknown = [name for name in self.rivals if name not in RIVALS]
        if unknown:
            raise ConfigError(f"rivals must be some of {list(RIVALS)}, got {unknown}")
        for name in set(CARDS_OF) & set(self.datasets):
            for cards in CARDS_OF[name]:
                if not getattr(self, cards):
                    raise ConfigError(
                        f"{cards} must name cards when datasets has {name!r}, got none"
                    )


def evaluate(
    config: DetectionConfig, models: list[Rival], generator: np.random.Generator
) -> Evaluation:
    """Score the models and the rivals on every set.

    Returns
    -------
    evaluation
        Rows: one per set, detector and series. Findings: ``summary``, one per set and detector;
        ``absent``, rivals that need a package that is not here; ``table``.
    """
    rows: list[dict[str, Any]] = []
    whole: list[dict[str, Any]] = []
    absent: dict[str, str] = {}
    notes: dict[str, str] = {}
    for name in config.datasets:
        data = _read(name, config, generator)
        notes[name] = data.note
        for detector, kind, label, scored in _detectors(data, config, models, generator):
            started = time.perf_counter()
            try:
                scores = [scored(series) for series in data.series]
            except ModuleNotFoundError as error:
                absent[detector] = str(error.name)
                continue
            seconds = time.perf_counter() - started
            facts = {"dataset": name, "model": detector, "kind": kind, "label": label}
            for series, found in zip(data.series, scores, strict=True):
                rows.append({**facts, "item": series.name, **series_scores(series, found, config)})
            whole.append({**facts, **set_scores(data, scores, config), "seconds": seconds})
            log.info("%s on %s scored in %.1f s", detector, name, seconds)
    by_series = pl.DataFrame(rows, infer_schema_length=None)
    summary = summarise(by_series, whole, resamples=config.resamples, generator=generator)
    table = render(summary, absent, notes, _caption(config))
    findings = {"summary": summary.to_dicts(), "absent": absent, "table": table}
    return Evaluation(by_series, findings)


def series_scores(
    series: LabelledSeries, scores: Scores, config: DetectionConfig
) -> dict[str, float]:
    """Return the measures of one series, over the rows after its training rows."""
    later = slice(series.n_train, None)
    labels, found = series.labels[later], scores[later]
    return {
        "auc_pr": average_precision(labels, found),
        "vus_pr": vus_pr(labels, found, config.max_buffer),
        "auc_roc": roc_area(labels, found),
        "alpha": segment_alpha(labels, found, config.segment_length),
    }


def segment_alpha(labels: np.ndarray, scores: Scores, segment_length: int) -> float:
    """Return alpha of segments that tile the rows, each scored by its mean; NaN without a label.

    The last segment is shorter; none is dropped.
    """
    if not labels.any():
        return float("nan")
    segment = np.arange(len(labels)) // segment_length
    n_segments = int(segment[-1]) + 1
    counted = ~np.isnan(scores)
    count = np.bincount(segment[counted], minlength=n_segments)
    total = np.bincount(segment[counted], scores[counted], minlength=n_segments)
    hits = np.bincount(segment, labels, minlength=n_segments) > 0
    has_score = count > 0
    mean = total[has_score] / count[has_score]
    return first_hit_share(hits[has_score], mean, n_missed=int((~has_score).sum()))


def set_scores(
    data: DetectionSet, scores: list[ndarray], config: DetectionConfig
) -> dict[str, float]:
    """Return the measures of a whole set: those with one threshold, and NAB's."""
    masked, flags = [], []
    for series, found in zip(data.series, scores, strict=True):
        is_later = np.arange(len(found)) >= series.n_train
        windows = widened(series.labels, data.window_share)
        masked.append(NabSeries(windows, np.where(is_later, found, np.nan)))
        train = found[: series.n_train]
        flags.append((found >= _threshold(train, config.false_alarm_rate)) & is_later)
    labels = np.concatenate([one.labels for one in data.series])
    joined = np.concatenate([one.scores for one in masked])
    flagged = np.concatenate(flags)
    kept = np.concatenate([np.arange(len(one.labels)) >= one.n_train for one in data.series])
    honest = [NabSeries(one.labels, flag * 1.0) for one, flag in zip(masked, flags, strict=True)]
    return {
        "pooled_auc_pr": average_precision(labels, joined),
        **{f"nab_{name}": nab_score(masked, one).score for name, one in PROFILES.items()},
        "nab_train_threshold": nab_score(honest, PROFILES["standard"], threshold=1.0).score,
        "f1": precision_recall_f1(labels[kept], flagged[kept]).f1,
        "point_adjusted_f1": point_adjusted_f1(labels[kept], flagged[kept]).f1,
        "false_alarms": float(np.mean(flagged[kept & ~labels])),
    }


def _threshold(train: Scores, rate: float) -> float:
    """Return a threshold from training rows; infinite where they have no score."""
    for method in ("conformal", "quantile"):
        try:
            return fit_threshold(train, method=method, false_alarm_rate=rate).value
        except DataError:
            continue
    return float("inf")


def _detectors(
    data: DetectionSet,
    config: DetectionConfig,
    models: list[Rival],
    generator: np.random.Generator,
) -> Iterator[tuple[str, str, str, Callable[[LabelledSeries], Scores]]]:
    for model in models:
        for rule_name, rule in (config.rules or {"": ScoreRule()}).items():
            detector = Detector(model.forecaster.model, rule=rule)  # type: ignore[attr-defined]
            name = f"{model.name}, {rule_name}" if rule_name else model.name
            yield name, "model", model.label(data.name), _scored_by(detector, config)
    for name in config.rivals:
        yield name, "baseline", "baseline", partial(_rival_scores, RIVALS[name], generator)


def _rival_scores(
    score: ScoreSeries, generator: np.random.Generator, series: LabelledSeries
) -> Scores:
    return score(series, generator)


def _scored_by(detector: Detector, config: DetectionConfig) -> Callable[[LabelledSeries], Scores]:
    def scored(series: LabelledSeries) -> Scores:
        offsets = np.array([0, len(series.values)])
        return detector.score_arrays(series.values, offsets, context_length=config.context_length)

    return scored


def _read(name: str, config: DetectionConfig, generator: np.random.Generator) -> DetectionSet:
    if name == INJECTED:
        one = injected_series(config.injected_cards, config.injected_per_card, generator)
        drawn = [(item, values[:, None], labels) for item, values, labels in one]
    elif name == INJECTED_CHANNELS:
        drawn = injected_channels(config.channel_cards, config.channels_per_card, generator)
    elif name == INJECTED_STATES:
        cards = config.injected_cards, config.channel_cards
        drawn = injected_states(*cards, config.states_per_card, generator)
    else:
        return read_detection_set(name)
    series = tuple(
        LabelledSeries(item, values, labels, len(values) // 5) for item, values, labels in drawn
    )
    return DetectionSet(name, series, INJECTED_NOTE, window_share=0.1)


def _caption(config: DetectionConfig) -> str:
    return (
        "Means over series with an anomaly; in brackets the middle 90 % of a bootstrap over them. "
        f"VUS-PR: buffers of 0 to {config.max_buffer} rows. alpha: share of segments of "
        f"{config.segment_length} rows to look at until one overlaps an anomaly (lower is better), "
        "and series found within 3 % and 10 %. NAB: the benchmark's score with its best threshold "
        "in hindsight, as on the scoreboard; then with a threshold at "
        f"{config.false_alarm_rate:.1%} of each series' own training rows, with which F1, "
        "point-adjusted F1 (flattering: one hit counts for a whole anomaly) and the share of "
        "normal rows flagged are got."
    )


def _metrics(found: Evaluation) -> Iterator[tuple[str, dict[str, float | None]]]:
    for row in found.findings["summary"]:
        numbers = {key: row[key] for key in row if isinstance(row[key], float)}
        yield f"{row['dataset']}/{row['model']}", numbers


PROTOCOL = Protocol(config=DetectionConfig, evaluate=evaluate, metrics=_metrics)
