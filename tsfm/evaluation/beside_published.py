"""Benchmark sets scored beside published results, as ratios to Seasonal Naive.

Our own Seasonal Naive must first equal the published one, or nothing is scored.
"""

import logging
import time
from typing import Any

import numpy as np
import polars as pl
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import DataError
from tsfm.evaluation.benchmark_sets import BenchmarkSet
from tsfm.evaluation.protocols import Evaluation
from tsfm.evaluation.published import SEASONAL_NAIVE
from tsfm.evaluation.rivals import Rival
from tsfm.evaluation.zero_shot_tables import render, summarise
from tsfm.metrics.forecasting import (
    coverage,
    mase,
    mean_interval_width,
    scaled_errors,
    seasonal_error,
    weighted_quantile_loss,
)
from tsfm.shapes import Float, Float64, Int, ndarray
from tsfm.tasks.forecasting.baselines import SeasonalNaive
from tsfm.tasks.forecasting.quantiles import DECILES

OUR_SEASONAL_NAIVE = "seasonal naive"
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class BesidePublished:
    """Options of scores that stand beside published ones.

    Parameters
    ----------
    models
        Bundled names, folders or MLflow addresses.
    published
        Which published models to show.
    must_match
        Sets on which our Seasonal Naive's MASE must be the published one.
    tolerance
        Largest difference that counts as the same; 0.0005 is three decimals.
    context_length
        Steps of context that a model sees; None leaves it to the model.
    resamples
        Bootstrap samples of the sets, for the interval of a geometric mean.
    """

    models: tuple[str, ...]
    published: tuple[str, ...] = ()
    must_match: tuple[str, ...] = ()
    tolerance: float = 0.0005
    context_length: PositiveInt | None = None
    resamples: PositiveInt = 2000


def scored(
    sets: list[tuple[str, BenchmarkSet]],
    models: list[Rival],
    published: pl.DataFrame,
    options: BesidePublished,
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Score sets with their groups, as `evaluate` does; `published` is as `published_results`."""
    harness = check_harness([one for _, one in sets], published, options)
    rows: list[dict[str, Any]] = []
    for group, benchmark in sets:
        started = time.perf_counter()
        found = [
            score(benchmark, rival, options.context_length)
            for rival in [*models, *_baselines(benchmark.seasonality)]
        ]
        found += _published_rows(benchmark, published, options.published)
        _add_ratios(found, benchmark, published)
        rows += [{"group": group, **row} for row in found]
        log.info("%s scored in %.1f s", benchmark.name, time.perf_counter() - started)
    return pl.DataFrame(rows, infer_schema_length=None), harness


def check_harness(
    sets: list[BenchmarkSet], published: pl.DataFrame, options: BesidePublished
) -> list[dict[str, Any]]:
    """Compare our Seasonal Naive's MASE with the published one.

    Without a published row nothing can be compared, and the set is left out of the answer.
    """
    checks: list[dict[str, Any]] = []
    for benchmark in sets:
        theirs = _published(published, benchmark, SEASONAL_NAIVE)
        if theirs is None:
            continue
        ours = score(benchmark, _baselines(benchmark.seasonality)[0], None)
        difference = ours["mase"] - theirs["mase"]
        checks.append(
            {
                "dataset": benchmark.name,
                "ours_mase": ours["mase"],
                "published_mase": theirs["mase"],
                "difference": difference,
                "ours_wql": ours["wql"],
                "published_wql": theirs["wql"],
                "required": benchmark.name in options.must_match,
                "same": bool(abs(difference) < options.tolerance),
            }
        )
    for check in checks:
        if check["required"] and not check["same"]:
            raise DataError(
                f"Seasonal Naive's MASE on {check['dataset']} must be the published "
                f"{check['published_mase']:.4f}, got {check['ours_mase']:.4f}; the data, the "
                "horizon, the seasonality or the metric is not the published one, so nothing "
                "was scored"
            )
    return checks


def score(benchmark: BenchmarkSet, rival: Rival, context_length: int | None) -> dict[str, Any]:
    """Forecast one set with one rival and return its row.

    A model that was trained on the set is labelled ``"seen"``, never ``"zero-shot"``.
    """
    contexts, offsets = benchmark.contexts, benchmark.offsets
    scale = seasonal_error(contexts, offsets, benchmark.seasonality)
    if context_length is not None and rival.kind == "model":
        contexts, offsets = last_steps(contexts, offsets, context_length)
    started = time.perf_counter()
    quantiles = rival.forecaster.forecast_arrays(
        contexts, offsets, benchmark.prediction_length, DECILES
    )
    seconds = time.perf_counter() - started
    target, median = benchmark.targets, quantiles[:, DECILES.index(0.5)]
    lower, upper = quantiles[:, 0], quantiles[:, -1]
    return {
        "dataset": benchmark.name,
        "model": rival.name,
        "kind": rival.kind,
        "label": rival.label(benchmark.card or benchmark.name),
        "n_items": len(benchmark),
        "mase": mase(target, median, scale),
        "mase_standard_error": _standard_error(scaled_errors(target, median, scale)),
        "wql": weighted_quantile_loss(target, quantiles, DECILES),
        "coverage_80": coverage(target, lower, upper),
        "interval_width_80": mean_interval_width(target, lower, upper),
        "seconds": seconds,
    }


def last_steps(
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    n_steps: int,
) -> tuple[Float64[ndarray, "kept_time channel"], Int[ndarray, " item_and_end"]]:
    """Keep at most the last `n_steps` of every item."""
    lengths = np.diff(offsets)
    kept = np.minimum(lengths, n_steps)
    step = np.arange(len(values)) - np.repeat(offsets[:-1], lengths)
    inside = step >= np.repeat(lengths - kept, lengths)
    return values[inside], np.concatenate([[0], np.cumsum(kept)])


def _baselines(seasonality: int) -> list[Rival]:
    return [
        Rival(OUR_SEASONAL_NAIVE, "baseline", SeasonalNaive(seasonality)),
        Rival("naive", "baseline", SeasonalNaive(1)),
        Rival("seasonal naive, normal bands", "baseline", SeasonalNaive(seasonality, True)),
    ]


def _published(
    published: pl.DataFrame, benchmark: BenchmarkSet, model: str
) -> dict[str, Any] | None:
    if benchmark.published_name is None:
        return None
    is_asked = (pl.col("dataset") == benchmark.published_name) & (pl.col("model") == model)
    found = published.filter(is_asked)
    return found.row(0, named=True) if len(found) else None


def _published_rows(
    benchmark: BenchmarkSet, published: pl.DataFrame, models: tuple[str, ...]
) -> list[dict[str, Any]]:
    rows = []
    for model in models:
        found = _published(published, benchmark, model)
        if found is not None:
            rows.append(
                {
                    "dataset": benchmark.name,
                    "model": model,
                    "kind": "published",
                    "label": f"published, {found['evaluation']}",
                    "n_items": len(benchmark),
                    "mase": found["mase"],
                    "wql": found["wql"],
                }
            )
    return rows


def _add_ratios(
    rows: list[dict[str, Any]], benchmark: BenchmarkSet, published: pl.DataFrame
) -> None:
    """Add the ratios to the published Seasonal Naive, or to ours where none is published.

    There is no ratio to a Seasonal Naive without an error, as on constant series: it is NaN.
    """
    reference = _published(published, benchmark, SEASONAL_NAIVE)
    source = "published" if reference is not None else "ours"
    if reference is None:
        reference = next(row for row in rows if row["model"] == OUR_SEASONAL_NAIVE)
    for row in rows:
        for metric in ("mase", "wql"):
            error = reference[metric]
            row[f"{metric}_ratio"] = row[metric] / error if error > 0 else float("nan")
        row["reference"] = source


def _standard_error(errors: Float[ndarray, "item horizon channel"]) -> float:
    """Return the standard error over items of the mean; NaN with fewer than two items."""
    count = np.sum(~np.isnan(errors), axis=(1, 2))
    per_item = (np.nansum(errors, axis=(1, 2)) / np.maximum(count, 1))[count > 0]
    if len(per_item) < 2:
        return float("nan")
    return float(np.std(per_item, ddof=1) / np.sqrt(len(per_item)))


def summarised(
    title: str,
    rows: pl.DataFrame,
    harness: list[dict[str, Any]],
    options: BesidePublished,
    generator: np.random.Generator,
) -> Evaluation:
    """Return what `scored` found, with its means and its page."""
    summary = summarise(rows, resamples=options.resamples, generator=generator)
    table = f"# {title}\n\n" + render(rows, summary, harness, options.must_match)
    return Evaluation(rows, {"harness": harness, "summary": summary.to_dicts(), "table": table})
