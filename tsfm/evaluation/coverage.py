"""Coverage: how often intervals hold the truth, before and after conformal calibration.

Every set is walked through from cutoff to cutoff, one horizon apart, or less where it has few. At
each tested cutoff margins are fitted to all truths that were known by then, and to nothing else.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from math import gcd
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError, DataError
from tsfm.evaluation.benchmark_sets import Missing, filled_series
from tsfm.evaluation.coverage_tables import coverage_tables
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.rivals import Rival
from tsfm.series.card_series import read_series
from tsfm.series.cards import load_card
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.calibration.calibration import Method
from tsfm.tasks.calibration.conformal import (
    central_intervals,
    conformity_scores,
    margins_of,
    mean_width,
    with_margins,
)
from tsfm.tasks.forecasting.baselines import SeasonalNaive

log = logging.getLogger(__name__)

# A set with few cutoffs one horizon apart has more in between: they are calibrated on, not tested.
MOST_PER_HORIZON = 4


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class CoverageConfig:
    """The ``[evaluate]`` section of a recipe whose protocol is ``coverage``.

    Parameters
    ----------
    datasets
        Card names; their card says horizon and seasonality.
    missing
        As in `ZeroShotConfig`.
    nominal
        Share of truths that intervals claim to hold.
    bar
        Lowest and highest share that counts as kept.
    max_cutoffs
        Cutoffs per series that are one horizon apart, at most; the newest half of those that a set
        has is tested. Where it has fewer there are more in between, which are not tested.
    most_forecasts
        Per set and model, at most: beyond, every n-th series is taken, of all channels.
    fewest_steps
        Of a context; shorter ones are left out.
    """

    protocol: Literal["coverage"]
    models: tuple[str, ...]
    datasets: tuple[str, ...] = Field(min_length=1)
    missing: Mapping[str, Missing] = field(default_factory=dict)
    nominal: float = Field(default=0.9, gt=0, lt=1)
    bar: tuple[float, float] = (0.88, 0.92)
    methods: tuple[Method, ...] = ("split", "block", "adaptive")
    max_cutoffs: int = Field(default=40, ge=2)
    most_forecasts: int = Field(default=3000, ge=1)
    fewest_steps: int = Field(default=8, ge=1)

    @property
    def levels(self) -> tuple[float, float, float]:
        """Levels of the interval and the median."""
        tail = round((1 - self.nominal) / 2, 6)
        return tail, 0.5, round(1 - tail, 6)


class Cutoff(NamedTuple):
    """What is known so many steps before the newest cutoff, and what then happened.

    All series end to end.
    """

    age: int
    contexts: Float64[ndarray, "total_time one"]
    offsets: Int[ndarray, " item_and_end"]
    truth: Float64[ndarray, "item horizon"]


class Forecasts(NamedTuple):
    """The forecasts of one cutoff, so many steps before the newest one, beside the truth."""

    age: int
    quantiles: Float64[ndarray, "item level horizon"]
    truth: Float64[ndarray, "item horizon"]


def evaluate(config: CoverageConfig, models: list[Rival]) -> pl.DataFrame:
    """Return one row per set, model and method of calibration (``"none"`` first)."""
    rows: list[dict[str, Any]] = []
    for name in config.datasets:
        started = time.perf_counter()
        card = load_card(name).zero_shot
        if card is None:
            raise ConfigError(
                f"datasets must have a [zero_shot] section in their card, got {name!r}; add "
                "prediction_length and seasonality there"
            )
        horizon = card.prediction_length
        cutoffs = past_cutoffs(read_filled(name, horizon, config), horizon, config)
        tested = tested_places([cutoff.age for cutoff in cutoffs], horizon)
        if not any(np.isfinite(cutoffs[place].truth).any() for place in tested):
            raise DataError(f"{name} must have values around its cutoffs, got none; leave it out")
        bands = SeasonalNaive(card.seasonality, with_bands=True)
        rivals = [*models, Rival("seasonal naive, normal bands", "baseline", bands)]
        for rival in rivals:
            found = [_forecast(rival, cutoff, config) for cutoff in cutoffs]
            facts = {"dataset": name, "model": rival.name, "label": rival.label(name)}
            rows += [{**facts, **row} for row in score(found, config)]
        log.info("%s scored in %.1f s", name, time.perf_counter() - started)
    return pl.DataFrame(rows, infer_schema_length=None)


def read_filled(name: str, horizon: int, config: CoverageConfig) -> list[ndarray]:
    """Return the series of a set, or every n-th where there are too many to forecast all."""
    missing = config.missing.get(name, "keep")
    card = load_card(name)
    series = [
        filled_series(one, horizon, missing)
        for _, one in read_series(card)
        if len(one) >= config.fewest_steps + horizon
    ]
    if not series:
        raise DataError(
            f"{name} must have series of {config.fewest_steps + horizon} steps, got none; leave it "
            "out"
        )
    room = [_n_cutoffs(one, horizon, config) for one in series]
    n_forecasts = sum(room) * _per_horizon(max(room), horizon, config)
    every = max(1, -(-n_forecasts // config.most_forecasts))
    while gcd(every, len(card.channels)) > 1:  # or some channels were never taken
        every += 1
    return series[::every]


def past_cutoffs(series: list[ndarray], horizon: int, config: CoverageConfig) -> list[Cutoff]:
    """Return the cutoffs, the newest first, one horizon apart or at equal parts of it.

    A series takes part in as many as leave it a context with a value.
    """
    room = max(_n_cutoffs(one, horizon, config) for one in series)
    per_horizon = _per_horizon(room, horizon, config)
    cutoffs = []
    for number in range(room * per_horizon):
        age = number * horizon // per_horizon
        ends = [(one, len(one) - horizon - age) for one in series]
        ends = [
            (one, end)
            for one, end in ends
            if end >= config.fewest_steps and np.isfinite(one[:end][-512:]).any()
        ]
        if not ends:
            break
        contexts = [one[:end] for one, end in ends]
        cutoffs.append(
            Cutoff(
                age,
                np.concatenate(contexts)[:, None],
                np.concatenate([[0], np.cumsum([len(one) for one in contexts])]),
                np.stack([one[end : end + horizon] for one, end in ends]),
            )
        )
    return cutoffs


def tested_places(ages: Sequence[int], horizon: int) -> list[int]:
    """Return the places of the tested cutoffs: of those one horizon apart the newest half."""
    apart = [place for place, age in enumerate(ages) if age % horizon == 0]
    return apart[: max(1, len(apart) // 2)]


def score(found: list[Forecasts], config: CoverageConfig) -> Iterator[dict[str, Any]]:
    """Yield coverage and width of the tested cutoffs without, and with every, calibration."""
    places = tested_places([one.age for one in found], found[0].truth.shape[1])
    tested = [found[place] for place in places]
    facts = {
        "n_tested": len(tested),
        "n_cutoffs": len(found),
        "n_truths": int(sum(np.isfinite(one.truth).sum() for one in tested)),
    }
    plain = [one.quantiles for one in tested]
    yield {**facts, "method": "none", **_numbers(plain, plain, tested, config.nominal)}
    for method in config.methods:
        try:
            moved = [
                _calibrated(found[place], found[place + 1 :], method, config) for place in places
            ]
        except DataError as error:
            yield {**facts, "method": method, "note": str(error)}
            continue
        yield {**facts, "method": method, **_numbers(moved, plain, tested, config.nominal)}


def _n_cutoffs(series: Float64[ndarray, " time"], horizon: int, config: CoverageConfig) -> int:
    """Return the cutoffs of a series that leave a context long enough."""
    return min(config.max_cutoffs, (len(series) - config.fewest_steps) // horizon)


def _per_horizon(room: int, horizon: int, config: CoverageConfig) -> int:
    """Return the cutoffs within a horizon, for a set with `room` cutoffs one horizon apart."""
    return min(MOST_PER_HORIZON, horizon, -(-config.max_cutoffs // room))


def _forecast(rival: Rival, cutoff: Cutoff, config: CoverageConfig) -> Forecasts:
    quantiles = rival.forecaster.forecast_arrays(
        cutoff.contexts, cutoff.offsets, cutoff.truth.shape[1], config.levels
    )
    return Forecasts(cutoff.age, quantiles[..., 0], cutoff.truth)


def _calibrated(
    one: Forecasts, past: list[Forecasts], method: Method, config: CoverageConfig
) -> Float64[ndarray, "item level horizon"]:
    """Return the quantiles of one cutoff with margins from what was known by then."""
    if not past:
        raise DataError("margins must be fitted on earlier cutoffs, got none; shorten the horizon")
    intervals = central_intervals(config.levels)
    quantiles = np.concatenate([each.quantiles for each in past])
    truth = np.concatenate([_known_by(one, each) for each in past])
    # The newest comes first, and numbers rise with time.
    block = np.repeat(-np.arange(len(past)), [len(each.truth) for each in past])
    scores = conformity_scores(quantiles, truth, mean_width(quantiles, intervals), intervals)
    margins = margins_of(scores, [config.nominal], block, method)
    unit = mean_width(one.quantiles, intervals)
    return with_margins(one.quantiles, unit, intervals, margins)


def _known_by(now: Forecasts, before: Forecasts) -> Float64[ndarray, "item horizon"]:
    """Return the truths of an earlier cutoff, NaN where they came after a later one."""
    truth = before.truth.copy()
    truth[:, before.age - now.age :] = np.nan
    return truth


def _numbers(
    moved: list[Float64[ndarray, "item level horizon"]],
    plain: list[Float64[ndarray, "item level horizon"]],
    tested: list[Forecasts],
    nominal: float,
) -> dict[str, float]:
    """Return coverage, its spread over forecasts, that of the worst step, and relative width."""
    now, before = np.concatenate(moved), np.concatenate(plain)
    truth = np.concatenate([one.truth for one in tested])
    known = np.isfinite(truth)
    covered = known & (now[:, 0] <= truth) & (truth <= now[:, -1])
    per_forecast = covered.sum(1)[known.any(1)] / known.sum(1)[known.any(1)]
    by_step = covered.sum(0) / np.maximum(known.sum(0), 1)
    by_step = by_step[known.any(0)]
    width = (now[:, -1] - now[:, 0]).mean(1), (before[:, -1] - before[:, 0]).mean(1)
    wide = width[1] > 0
    return {
        "coverage": float(covered.sum() / known.sum()),
        "standard_error": float(per_forecast.std() / np.sqrt(max(1, len(per_forecast) - 1))),
        "worst_step": float(by_step[np.argmax(np.abs(by_step - nominal))]),
        "width_ratio": float(np.median(width[0][wide] / width[1][wide])) if wide.any() else 1.0,
        "share_without_width": float(1 - wide.mean()),
    }


def _evaluate(config: CoverageConfig, models: list[Rival], _: np.random.Generator) -> Evaluation:
    rows = evaluate(config, models)
    return Evaluation(rows, {"table": coverage_tables(rows, config.nominal, config.bar)})


def _metrics(found: Evaluation) -> Iterator[tuple[str, Mapping[str, float | None]]]:
    for row in found.rows.iter_rows(named=True):
        place = f"{row['dataset']}/{row['model']}/{row['method']}"
        yield place, {name: row[name] for name in ("coverage", "width_ratio")}


PROTOCOL = Protocol(config=CoverageConfig, evaluate=_evaluate, metrics=_metrics)
