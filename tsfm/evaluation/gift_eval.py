"""The tasks of GIFT-Eval on the sets that have a card, beside the results on its public board.

A task is a set at one rate and one term: windows of the last tenth of the shortest series, at most
twenty, every channel by itself. MASE has GluonTS' seasonality of the rate; CRPS is the mean
weighted quantile loss at nine levels. Means are geometric, of ratios to the published Seasonal
Naive, which is ours with normal bands.

References
----------
Aksu et al. (2024), "GIFT-Eval: A Benchmark for General Time Series Forecasting Model Evaluation".
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError, DataError
from tsfm.evaluation.benchmark_sets import BenchmarkSet, set_of_windows, with_values
from tsfm.evaluation.beside_published import BesidePublished, scored, summarised
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.rivals import Rival
from tsfm.evaluation.zero_shot_tables import metrics
from tsfm.series.card_series import read_rows, read_series
from tsfm.series.cards import load_card
from tsfm.shapes import Float64, ndarray

RESULTS = Path("published") / "gift_eval_results.csv"
TERMS = {"short": 1, "medium": 10, "long": 15}
TEST_SHARE, MOST_WINDOWS = 0.1, 20
GROUP = "GIFT-Eval"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class GiftEvalSet:
    """A set at one rate.

    Parameters
    ----------
    dataset
        Its card.
    horizon
        Steps of the short term; the medium and the long one have ten and fifteen times as many.
    seasonality
        That of the rate in GluonTS, which scales MASE.
    every
        Length of the steps where it is not the card's: a duration of polars, ``"1d"``.
    whole
        ``"mean"`` or ``"sum"``: what stands for the values of such a step.
    incomplete
        Steps at the end that are cut off, since they have only some of their values.
    n_windows
        None: as many as a tenth of the shortest series holds.
    """

    dataset: str
    horizon: PositiveInt
    seasonality: PositiveInt
    terms: tuple[Literal["short", "medium", "long"], ...] = ("short",)
    every: str | None = None
    whole: Literal["mean", "sum"] = "mean"
    incomplete: NonNegativeInt = 0
    n_windows: PositiveInt | None = None


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class GiftEvalConfig(BesidePublished):
    """The ``[evaluate]`` section of a recipe whose protocol is ``gift_eval``.

    Parameters
    ----------
    sets
        By name and rate as GIFT-Eval has them: ``"ett1/H"``.
    tasks
        Which of their tasks to score, such as ``"ett1/H/short"``; empty for all.
    """

    protocol: Literal["gift_eval"]
    sets: Mapping[str, GiftEvalSet]
    tasks: tuple[str, ...] = ()


def read_tasks(config: GiftEvalConfig) -> Iterator[BenchmarkSet]:
    """Yield every task that was asked for.

    Raises
    ------
    ConfigError
        When a task is not one of the sets'.
    """
    every = [f"{name}/{term}" for name, one in config.sets.items() for term in one.terms]
    unknown = sorted(set(config.tasks) - set(every))
    if unknown:
        raise ConfigError(f"evaluate.tasks must be some of {every}, got {unknown}")
    for name, one in config.sets.items():
        terms = [t for t in one.terms if not config.tasks or f"{name}/{t}" in config.tasks]
        series = read_at_rate(one) if terms else []
        for term in terms:
            yield cut_windows(f"{name}/{term}", one, series, TERMS[term])


def read_at_rate(one: GiftEvalSet) -> list[Float64[ndarray, " _time"]]:
    """Return the channels of a set, in steps of its rate; whole weeks count from the first day.

    A mean is that of the values that are there; a sum of which one is missing is missing.

    Raises
    ------
    DataError
        When the stamps cannot be brought to that rate.
    """
    card = load_card(one.dataset)
    if one.every is None:
        return [values for _, values in read_series(card)]
    start: Literal["datapoint", "window"] = "datapoint" if one.every.endswith("w") else "window"
    channels = pl.col(card.channels)
    whole = channels.mean()
    if one.whole == "sum":
        whole = pl.when(channels.null_count() == 0).then(channels.sum())
    try:
        steps = (
            read_rows(card)
            .group_by_dynamic(
                card.timestamp, every=one.every, group_by=card.item_id, start_by=start
            )
            .agg(whole)
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"stamps of {card.name} must be brought to every={one.every!r}, got: "
            f"{str(error).splitlines()[0]}; write a duration such as '1d', or leave it out"
        ) from None
    series = []
    for part in steps.partition_by(card.item_id, maintain_order=True):
        kept = part.head(max(0, part.height - one.incomplete))
        series += [kept[channel].fill_null(np.nan).to_numpy() for channel in card.channels]
    return series


def cut_windows(
    name: str, one: GiftEvalSet, series: list[Float64[ndarray, " _time"]], times: int
) -> BenchmarkSet:
    """Cut the last windows of every series; each is an item, with all that came before it.

    One with no value before it is left out, with a warning.

    Raises
    ------
    DataError
        When nothing comes before the first window of a series, or no window has a value before it.
    """
    horizon = times * one.horizon
    shortest = min(len(values) for values in series)
    n_windows = one.n_windows or min(MOST_WINDOWS, max(1, -int(-TEST_SHARE * shortest // horizon)))
    if shortest <= n_windows * horizon:
        raise DataError(
            f"series of {name} must be longer than {n_windows} windows of {horizon} steps, got one "
            f"of {shortest}; lower horizon, incomplete or n_windows, or leave the term out"
        )
    windows = []
    for number, values in enumerate(series):
        for back in reversed(range(n_windows)):
            end = len(values) - back * horizon
            called = f"series {number + 1}, window {n_windows - back}"
            windows.append((called, (values[: end - horizon], values[end - horizon : end])))
    return set_of_windows(
        name,
        with_values(name, windows),
        seasonality=one.seasonality,
        published_name=name,
        card=one.dataset,
    )


def published_results(folder: Path | None = None) -> pl.DataFrame:
    """Return the results of the public board as `published.published_results` does."""
    path = (folder or Path(os.environ.get("TSFM_DATA", ""))) / RESULTS
    if not path.is_file():
        text = ("dataset", "model", "evaluation")
        numbers = dict.fromkeys(("mase", "wql"), pl.Float64)
        return pl.DataFrame(schema={**dict.fromkeys(text, pl.String), **numbers})
    seen = pl.when(pl.col("testdata_leakage") == "Yes").then(pl.lit(", has seen test data"))
    return pl.read_csv(path).select(
        pl.concat_str("dataset", "freq", "term", separator="/").alias("dataset"),
        "model",
        pl.concat_str("model_type", seen.otherwise(pl.lit(""))).alias("evaluation"),
        mase=pl.col("MASE"),
        wql=pl.col("CRPS"),
    )


def _evaluate(
    config: GiftEvalConfig, models: list[Rival], generator: np.random.Generator
) -> Evaluation:
    sets = [(GROUP, task) for task in read_tasks(config)]
    rows, harness = scored(sets, models, published_results(), config)
    return summarised("GIFT-Eval tasks", rows, harness, config, generator)


PROTOCOL = Protocol(config=GiftEvalConfig, evaluate=_evaluate, metrics=metrics)
