"""Which pretext task helps a ranker, if any: none, stock, sector, average and all of them.

    TSFM_DATA=… python benchmarks/reproduce/pretext.py

Each arm is pre-trained on its task, then fine-tuned whole (full) or with its head alone (frozen),
on members of the S&P 500. Every arm is a run of ``tsfm backtest sspt_sp500_corrected``, kept in
``--work``, so a table that was stopped goes on.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from sspt_rows import SCORES, named, seconds_of
from tables import Score, Table, arguments, standard_error

from tsfm.config import load_recipe
from tsfm.jobs import backtest

RECIPE, DATASET = "sspt_sp500_corrected", "S&P 500, 2017"
TASKS: dict[str, tuple[str, ...]] = {
    "none": (),
    "code": ("stock_code",),
    "sector": ("stock_sector",),
    "average": ("moving_average",),
    "all": ("stock_code", "stock_sector", "moving_average"),
}
FREEZING = {"full": "nothing", "frozen": "backbone"}
# Rankers are compared with each other: no rivals, one random portfolio, one cutoff.
ALONE = ("backtest.rivals=false", "backtest.n_random=1", "backtest.audit_cutoffs=1")
SMOKE = (
    "panel.dataset=simulated",
    "panel.start=2013-01-01",
    "panel.end=2013-07-19",
    "panel.simulation={n_stocks=7,n_days=144,reversal=0.6}",
    "split.train_start=2013-01-07",
    "split.validation_start=2013-05-20",
    "split.test_start=2013-06-17",
    "ranker.model={d_model=8,d_ff=8,n_heads=1}",
    "ranker.pretrain.epochs=0.1",
    "ranker.finetune.epochs=0.1",
    "ranker.validation_days=2",
)
NOTES = (
    """The members of January 2020 in 2015 to 2017, so all of them survived; test days are those of
2017. Log prices relative to the last close of the window, a universe by trailing bars, bought at
the next open. "full": fine-tuning moves all weights; "frozen": the head alone, so that what a task
has taught is all there is. Mean over seeds ± its standard error; Sharpe ratios of the 5 best.""",
)


def main() -> None:
    """Run what is not in the table yet, and write the page."""
    parser = arguments("pretext", __doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--modes", nargs="+", default=list(FREEZING), choices=list(FREEZING))
    options = parser.parse_args()
    if options.smoke:
        options.seeds = 2
    table = Table(
        "pretext",
        title="Pretext tasks of SSPT, one by one",
        notes=NOTES,
        options=options,
        average=False,
    )
    with table:
        for mode in options.modes:
            for task in options.tasks:
                if not table.has(dataset=DATASET, model=label(task, mode), seed=options.seeds - 1):
                    table.add(*scores_of(task, mode, table, options))
        table.notes = [*NOTES, "## Verdict", *verdict(table, options)]


def label(task: str, mode: str) -> str:
    """Return the row of an arm."""
    return f"{task}, {mode}"


def scores_of(task: str, mode: str, table: Table, options: argparse.Namespace) -> Iterator[Score]:
    """Run an arm and yield its scores."""
    weights = ",".join(f"{name}=1.0" for name in TASKS[task])
    recipe = load_recipe(
        RECIPE,
        [
            f"run.seeds={list(range(options.seeds))}",
            f"run.output={options.work / f'{task}_{mode}'}",
            f"ranker.pretext={{{weights}}}",
            f"ranker.freeze={FREEZING[mode]}",
            *ALONE,
            *(SMOKE if options.smoke else ()),
            *table.overrides,
        ],
    )
    report = backtest.run(recipe)
    cost = {
        "seconds": seconds_of(report) / options.seeds,
        "parameters": report["parameters"],
    }
    for row in report["results"]:
        if row["model"] != "ranker" or row["top_k"] != 5:
            continue
        key: dict[str, Any] = {
            "dataset": DATASET,
            "model": label(task, mode),
            "label": "held-out",
            "seed": row["seed"],
            **cost,
        }
        if row["cost_bps"] == 0:
            yield from named(key, "scores", row, SCORES)
        if row["cost_bps"] in (0, 10):
            name = f"Sharpe of the 5 best, {row['cost_bps']:g} bp"
            yield from named(key, "scores", row, {"sharpe": name})


def verdict(table: Table, options: argparse.Namespace) -> list[str]:
    """Return what the rank ICs say of each task, against no task."""
    found = []
    for mode in options.modes:
        values = {task: rank_ics(table, label(task, mode)) for task in options.tasks}
        if "none" not in values or not len(values["none"]):
            continue
        for task in (one for one in options.tasks if one != "none"):
            gain = values[task].mean() - values["none"].mean()
            error = np.hypot(standard_error(values[task]), standard_error(values["none"]))
            says = "no difference beyond two standard errors"
            if abs(gain) > 2 * error:
                says = "better" if gain > 0 else "worse"
            found.append(
                f"{mode}: pre-trained on {task}, the rank IC moves by {gain:+.4f} ± {error:.4f}: "
                f"{says}."
            )
    return found


def rank_ics(table: Table, model: str) -> np.ndarray:
    """Return the rank IC of an arm by seed."""
    return table.frame.filter(model=model, setting="rank IC").sort("seed")["value"].to_numpy()


if __name__ == "__main__":
    main()
