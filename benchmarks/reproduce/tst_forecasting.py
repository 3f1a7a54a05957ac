"""TST forecasts ETTh1 by filling a hidden tail, beside ridge, seasonal naive and naive.

    TSFM_DATA=… python benchmarks/reproduce/tst_forecasting.py

Forecasting by masking the tail is named by the authors, without scores. Every test window of every
channel is scored, as in the long-term protocol; every choice is made on validation rows.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from einops import rearrange
from tables import Score, Table, arguments

from tsfm.config import load_recipe
from tsfm.evaluation import ltsf
from tsfm.jobs import finetune, pretrain
from tsfm.models.backbone import count_parameters
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.series.ltsf_set import read_ltsf_set
from tsfm.shapes import Float, ndarray
from tsfm.tasks.imputation.reconstruct import reconstruct

NAME, SPLIT, HORIZON, CONTEXT = "ETTh1", (8640, 2880, 2880), 96, 336
ARMS = {"target": "tst, pre-trained on target", "scratch": "tst, scratch"}
NOTES = (
    (
        "MSE and MAE of standardised values over every test window of every channel, horizon 96, "
        "context 336; mean over seeds ± its standard error. Lower is better."
    ),
    (
        '"pre-trained on target": fills hidden runs of the training rows (recipe '
        "`tst_forecasting_pretrain`), then the tail (`tst_forecasting`); "
        '"scratch": the tail at once, from random weights. All seven channels are read together.'
    ),
)


def main() -> None:
    """Score every arm and seed that the table does not have yet."""
    parser = arguments("tst_forecasting", __doc__.splitlines()[0])
    parser.add_argument("--pretrain-steps", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.set_defaults(seeds=2)
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.steps, options.pretrain_steps = 1, 2, 2
    title = "TST forecasts by filling the tail of its window"
    with Table("tst_forecasting", title=title, notes=NOTES, options=options) as table:
        if not table.has(dataset=NAME, model="naive"):
            table.add(*baselines(options))
        for seed in range(options.seeds):
            for arm, row in ARMS.items():
                if not table.has(dataset=NAME, model=row, seed=seed):
                    table.add(*scores(arm, row, seed, table, options))


def baselines(options: argparse.Namespace) -> Iterator[Score]:
    """Yield the scores of ridge, seasonal naive and naive."""
    rows = ltsf.evaluate(protocol(options), [], np.random.default_rng(0))
    for row in rows.iter_rows(named=True):
        yield from both(row, row["model"], "baseline", 0, row["seconds"])


def scores(
    arm: str, row: str, seed: int, table: Table, options: argparse.Namespace
) -> Iterator[Score]:
    """Train one arm and yield its scores on the test windows."""
    started = time.perf_counter()
    start = pretrained(seed, table, options)
    folder = options.work / arm / str(seed)
    overrides = [f"start.model={start}", f"run.seed={seed}", f"run.output={folder}"]
    overrides += [f"training.steps={options.steps}", *table.overrides]
    if arm == "scratch":
        overrides += ["start.scratch=true"]
    finetune.run(load_recipe("tst_forecasting", overrides))
    model = load_pretrained(folder / "checkpoint")
    (found,) = ltsf.window_errors(read_ltsf_set(NAME, SPLIT), filler(model), protocol(options))
    seconds = time.perf_counter() - started
    size = count_parameters(model.backbone)
    yield from both(
        found, row, "fine-tuned" if arm == "target" else "from scratch", seed, seconds, size
    )


def pretrained(seed: int, table: Table, options: argparse.Namespace) -> str:
    """Return the checkpoint of the recipe; train it if need be."""
    folder: Path = options.work / "pretrained" / str(seed)
    if not (folder / "report.json").is_file():
        overrides = [f"run.seed={seed}", f"run.output={folder}", *table.overrides]
        overrides += [f"training.steps={options.pretrain_steps}"]
        pretrain.run(load_recipe("tst_forecasting_pretrain", overrides))
    return str(folder / "checkpoint")


def filler(model: TimeSeriesModel) -> ltsf.ForecastWindows:
    """Return a function from contexts, channel by channel, to forecasts."""
    n_channels = model.backbone.config.n_channels

    def forecast(contexts: Float[ndarray, "row context"]) -> Float[ndarray, "row horizon"]:
        pattern = "(window channel) time -> window time channel"
        known = rearrange(contexts, pattern, channel=n_channels)
        tail = np.full((len(known), HORIZON, n_channels), np.nan)
        filled = reconstruct(model, np.concatenate([known, tail], axis=1))[:, -HORIZON:]
        return rearrange(filled, "window time channel -> (window channel) time")

    return forecast


def both(
    row: dict[str, float],
    model: str,
    label: str,
    seed: int,
    seconds: float,
    parameters: int | None = None,
) -> Iterator[Score]:
    """Yield MSE and MAE."""
    for metric in ("mse", "mae"):
        yield Score(
            dataset=NAME,
            setting=str(HORIZON),
            model=model,
            metric=metric,
            value=row[metric],
            label=label,
            seed=seed,
            seconds=seconds,
            parameters=parameters,
        )


def protocol(options: argparse.Namespace) -> ltsf.LtsfConfig:
    """Return the long-term protocol for the one set and horizon."""
    return ltsf.LtsfConfig(
        protocol="ltsf",
        models=(),
        datasets=(NAME,),
        horizons=(HORIZON,),
        context_length=CONTEXT,
        splits={NAME: SPLIT},
        stride=200 if options.smoke else 1,
    )


if __name__ == "__main__":
    main()
