"""Covariates that are known ahead: a ridge beside the model, and channels of a fine-tuned one.

    TSFM_DATA=… python benchmarks/reproduce/covariates.py

Every cutoff is a day of the last fifth of the rows; what is trained sees only rows before that
fifth, a ridge also those between it and the cutoff. Two sets: day-ahead prices of five markets
(`epf_prices`) with the two day-ahead forecasts that were published for each, and made demand with
promotions at random days.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from tables import Score, Table, arguments

import tsfm
from tsfm import CovariateForecaster, Forecaster

NOTES = (
    """MASE: mean absolute error of the median, in units of the mean absolute change over one season
in the rows of training; mean over items and cutoffs. Lower is better. Mean over seeds ± its
standard error; a seed draws the batches of training, and the made series.""",
    """"fine-tuned" is `tsfm-small` with low-rank corrections, trained without covariates for as
many steps and windows as "channels", which reads them. Both keep the weights with the lowest loss
on the last tenth of the training rows.""",
)


@dataclass(frozen=True)
class Problem:
    """A frame of items with covariates, and where it is cut.

    Parameters
    ----------
    test_start
        First step of the last fifth, the same for all items.
    n_past
        Rows before a cutoff that are given to a forecaster.
    """

    name: str
    frame: pl.DataFrame
    covariates: tuple[str, ...]
    seasonality: int
    horizon: int
    test_start: int
    cutoffs: tuple[int, ...]
    n_past: int
    context_length: int

    @property
    def training(self) -> pl.DataFrame:
        """Rows of all items before the test rows."""
        return self.frame.filter(pl.col("step") < self.test_start)


def main() -> None:
    """Score every arm on both sets."""
    parser = arguments("covariates", __doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    options = parser.parse_args()
    title = "Covariates known ahead: ridge and channels"
    with Table("covariates", title=title, notes=NOTES, options=options, average=False) as table:
        for name in options.sets:
            for seed in range(1 if options.smoke else options.seeds):
                problem = SETS[name](seed, options.smoke)
                for arm in ARMS:
                    if not table.has(dataset=name, model=arm, seed=seed):
                        table.add(*scores(problem, arm, seed, options))


def scores(problem: Problem, arm: str, seed: int, options: argparse.Namespace) -> Iterator[Score]:
    """Forecast from every cutoff with one arm."""
    started = time.perf_counter()
    found = ARMS[arm](problem, seed, 2 if options.smoke else options.steps)
    seconds = time.perf_counter() - started
    season = pl.col("target").diff(problem.seasonality).abs().mean().over("item_id").alias("unit")
    units = problem.training.select("item_id", season).unique()
    both = found.join(truth(problem), on=["item_id", "timestamp"]).join(
        units, left_on="series", right_on="item_id"
    )
    error = (pl.col("predictions") - pl.col("target")).abs() / pl.col("unit")
    by_item = both.group_by("series", maintain_order=True).agg(error.mean().alias("mase"))
    settings = {"all": by_item["mase"].mean(), **dict(by_item.iter_rows())}
    if problem.name == "promotions":
        settings = {"all": settings["all"]}
    for setting, value in settings.items():
        yield Score(
            dataset=problem.name,
            setting=setting,
            model=arm,
            metric="mase",
            value=float(value),
            label=LABELS.get(arm, "baseline"),
            seed=seed,
            seconds=seconds,
        )


def truth(problem: Problem) -> pl.DataFrame:
    """Return what came after every cutoff, an item per series and cutoff."""
    return _cut(problem, 0, problem.horizon)


def past(problem: Problem) -> pl.DataFrame:
    """Return what came before every cutoff."""
    return _cut(problem, -problem.n_past, 0).drop("series")


def _cut(problem: Problem, first: int, last: int) -> pl.DataFrame:
    parts = [
        problem.frame.filter(pl.col("step").is_between(cut + first, cut + last - 1)).with_columns(
            series="item_id", item_id=pl.format("{} {}", "item_id", pl.lit(cut))
        )
        for cut in problem.cutoffs
    ]
    return pl.concat(parts).drop("step")


def naive(problem: Problem, _seed: int, _steps: int) -> pl.DataFrame:
    """Repeat the last season."""
    lag = -(-problem.horizon // problem.seasonality) * problem.seasonality
    moved = problem.frame.with_columns(
        predictions=pl.col("target").shift(lag).over("item_id", order_by="step")
    ).drop("target")
    return truth(Problem(**{**vars(problem), "frame": moved})).select(
        "item_id", "timestamp", "predictions"
    )


def zero_shot(problem: Problem, _seed: int, _steps: int) -> pl.DataFrame:
    """Read the target alone."""
    return tsfm.forecast(past(problem), prediction_length=problem.horizon)


def ridge(problem: Problem, _seed: int, _steps: int) -> pl.DataFrame:
    """Fit a ridge on the past of every cutoff, for every series of prices, or for all shops."""
    model = Forecaster.from_pretrained("tsfm-small")
    adapter = CovariateForecaster(model, covariates=problem.covariates)
    before, later = past(problem), truth(problem)
    cutoff = pl.col("item_id").str.extract(r" (\d+)$")
    group = [cutoff] if problem.name == "promotions" else [pl.col("item_id")]
    found = []
    for _, part in before.group_by(*group, maintain_order=True):
        ahead = later.join(part.select("item_id").unique(), on="item_id")
        found.append(
            adapter.predict(
                part,
                future=ahead.select("item_id", "timestamp", *problem.covariates),
                prediction_length=problem.horizon,
            )
        )
    return pl.concat(found)


def fine_tuned(problem: Problem, seed: int, steps: int) -> pl.DataFrame:
    """Train on windows of the target alone: those of `channels`, with an unknown covariate."""
    blank = problem.training.with_columns(blank=pl.lit(0.0))
    return _channels(problem, blank, past(problem).with_columns(blank=pl.lit(0.0)), (), seed, steps)


def channels(problem: Problem, seed: int, steps: int) -> pl.DataFrame:
    """Train on windows with the covariates."""
    known = problem.covariates
    return _channels(problem, problem.training, past(problem), known, seed, steps)


def _channels(
    problem: Problem,
    training: pl.DataFrame,
    before: pl.DataFrame,
    known: tuple[str, ...],
    seed: int,
    steps: int,
) -> pl.DataFrame:
    adapter = CovariateForecaster.from_pretrained("tsfm-small", covariates=known or ("blank",))
    model = adapter.finetune(
        training, known=known, steps=steps, seed=seed, context_length=problem.context_length
    )
    return model.predict(
        before,
        future=truth(problem).select("item_id", "timestamp", *known),
        prediction_length=problem.horizon,
        context_length=problem.context_length,
    )


def prices(_seed: int, smoke: bool) -> Problem:
    """Return `epf_prices`: hourly, a day ahead from every eleventh midnight of the last fifth."""
    frame = (
        tsfm.load_dataset("epf_prices")
        .collect()
        .rename({"series_id": "item_id", "price": "target"})
    )
    frame = frame.with_columns(step=pl.int_range(pl.len()).over("item_id", order_by="timestamp"))
    length = frame["step"].n_unique()
    test_start = length * 4 // 5 // 24 * 24
    cutoffs = tuple(range(test_start, length - 23, 11 * 24))
    return Problem(
        name="epf_prices",
        frame=frame.select("item_id", "timestamp", "step", "target", "exog_1", "exog_2"),
        covariates=("exog_1", "exog_2"),
        seasonality=168,
        horizon=24,
        test_start=test_start,
        cutoffs=cutoffs[:1] if smoke else cutoffs,
        n_past=600 if smoke else 365 * 24,
        context_length=96 if smoke else 672,
    )


def promotions(seed: int, smoke: bool) -> Problem:
    """Return demand of shops with a week, whose promotions raise it by shares of their own."""
    n_items, n_days = (3, 300) if smoke else (20, 700)
    generator = np.random.default_rng(seed)
    day = np.arange(n_days)
    parts = []
    for item in range(n_items):
        promo = (generator.random(n_days) < 0.2).astype(float)
        week = 1 + 0.3 * np.sin(2 * np.pi * (day + generator.integers(7)) / 7)
        lift = 1 + generator.uniform(0.3, 1.0) * promo
        level = np.exp(np.cumsum(0.02 * generator.normal(size=n_days)))
        sold = 10 ** generator.uniform(1, 4) * week * lift * level
        sold *= np.exp(0.1 * generator.normal(size=n_days))
        columns = {"item_id": f"shop {item:02}", "timestamp": day, "step": day, "target": sold}
        parts.append(pl.DataFrame({**columns, "promo": promo}))
    test_start = n_days * 4 // 5
    cutoffs = tuple(range(test_start, n_days - 13, 14))
    return Problem(
        name="promotions",
        frame=pl.concat(parts),
        covariates=("promo",),
        seasonality=7,
        horizon=14,
        test_start=test_start,
        cutoffs=cutoffs[:1] if smoke else cutoffs,
        n_past=test_start,
        context_length=96 if smoke else 256,
    )


Arm = Callable[[Problem, int, int], pl.DataFrame]
SETS: dict[str, Callable[[int, bool], Problem]] = {"promotions": promotions, "epf_prices": prices}
ARMS: dict[str, Arm] = {
    "seasonal naive": naive,
    "tsfm-small": zero_shot,
    "ridge": ridge,
    "fine-tuned": fine_tuned,
    "channels": channels,
}
LABELS = {
    "tsfm-small": "zero-shot",
    "ridge": "fitted",
    "fine-tuned": "fine-tuned",
    "channels": "fine-tuned",
}


if __name__ == "__main__":
    main()
