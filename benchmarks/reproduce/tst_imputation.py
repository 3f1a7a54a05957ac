"""TST fills gaps of ETTh1, all channels together, beside lines, splines, seasons and last values.

    TSFM_DATA=… python benchmarks/reproduce/tst_imputation.py

Gaps are drawn for every channel by itself, 15 % of the values in runs of a mean length. The same
gaps are filled by all; only hidden values are scored. Every choice is made on validation rows.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from tables import Score, Table, arguments

from tsfm.config import load_recipe
from tsfm.jobs import finetune, pretrain
from tsfm.models.backbone import count_parameters
from tsfm.models.pretrained import load_pretrained
from tsfm.objectives.masked_values import MaskedValuesConfig, draw_mask
from tsfm.series.ltsf_set import read_ltsf_set
from tsfm.shapes import Float, ndarray
from tsfm.tasks.imputation.reconstruct import reconstruct

NAME, SPLIT, LENGTH, STRIDE, DAY = "ETTh1", (8640, 2880, 2880), 96, 12, 24
RUNS = (3, 12, 24)
ARMS = {
    "pre-trained": "tst, runs of 3",
    "tuned": "tst, runs of 3, then of 12",
    "scratch": "tst, runs of 12 at once",
}
NOTES = (
    (
        "MSE and MAE of hidden values in units of the training rows' deviation; 15 % of every "
        "channel of the test windows (96 steps, every twelfth) are hidden in runs of the given "
        "mean length. Mean over seeds ± its standard error; the gaps are the same for all. Lower "
        "is better."
    ),
    (
        '"runs of 3": recipe `tst_imputation_pretrain`, the published masks; "then of 12": '
        '`tst_imputation` from there; "at once": the same recipe from random weights, for as many '
        'steps as both together. "seasonal": the mean of the same hour of the other days of the '
        "window."
    ),
)
Fill = Callable[[Float[ndarray, "window time channel"]], Float[ndarray, "window time channel"]]


def main() -> None:
    """Score every arm and seed that the table does not have yet."""
    parser = arguments("tst_imputation", __doc__.splitlines()[0])
    parser.add_argument("--pretrain-steps", type=int, default=400)
    parser.add_argument("--steps", type=int, default=200)
    parser.set_defaults(seeds=2)
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.steps, options.pretrain_steps = 1, 2, 2
    title = "TST fills gaps"
    with Table("tst_imputation", title=title, notes=NOTES, options=options, average=False) as table:
        for name, fill in RIVALS.items():
            if not table.has(dataset=NAME, model=name):
                table.add(*scored(fill, options, model=name, label="baseline"))
        for seed in range(options.seeds):
            for arm, row in ARMS.items():
                if not table.has(dataset=NAME, model=row, seed=seed):
                    table.add(*of_arm(arm, row, seed, table, options))


def of_arm(
    arm: str, row: str, seed: int, table: Table, options: argparse.Namespace
) -> Iterator[Score]:
    """Train one arm and yield its scores."""
    started = time.perf_counter()
    start = pretrained(seed, table, options)
    if arm != "pre-trained":
        folder = options.work / arm / str(seed)
        overrides = [f"start.model={start}", f"run.seed={seed}", f"run.output={folder}"]
        steps = options.steps + (options.pretrain_steps if arm == "scratch" else 0)
        overrides += [f"training.steps={steps}", *table.overrides]
        if arm == "scratch":
            overrides += ["start.scratch=true"]
        finetune.run(load_recipe("tst_imputation", overrides))
        start = folder / "checkpoint"
    model = load_pretrained(start)
    yield from scored(
        lambda windows: reconstruct(model, windows),
        options,
        model=row,
        label="trained here",
        seed=seed,
        spent=time.perf_counter() - started,
        parameters=count_parameters(model.backbone),
    )


def pretrained(seed: int, table: Table, options: argparse.Namespace) -> Path:
    """Return the checkpoint of the recipe with the published masks; train it if need be."""
    folder: Path = options.work / "pretrained" / str(seed)
    if not (folder / "report.json").is_file():
        overrides = [f"run.seed={seed}", f"run.output={folder}", *table.overrides]
        overrides += [f"training.steps={options.pretrain_steps}"]
        pretrain.run(load_recipe("tst_imputation_pretrain", overrides))
    return folder / "checkpoint"


def scored(
    fill: Fill,
    options: argparse.Namespace,
    *,
    model: str,
    label: str,
    seed: int = 0,
    spent: float = 0.0,
    parameters: int | None = None,
) -> Iterator[Score]:
    """Fill the test windows and yield the errors of what was hidden."""
    data = read_ltsf_set(NAME, SPLIT)
    rows = data.values[data.test_start :]
    starts = np.arange(0, len(rows) - LENGTH + 1, 300 if options.smoke else STRIDE)
    windows = rows[starts[:, None] + np.arange(LENGTH)]
    for run in RUNS:
        hidden = drawn(windows.shape, run)
        started = time.perf_counter()
        error = (fill(np.where(hidden, np.nan, windows)) - windows)[hidden]
        seconds = spent + time.perf_counter() - started
        for metric, value in (("mse", np.mean(error**2)), ("mae", np.mean(np.abs(error)))):
            yield Score(
                dataset=NAME,
                setting=f"runs of {run}",
                model=model,
                metric=metric,
                value=float(value),
                label=label,
                seed=seed,
                seconds=seconds,
                parameters=parameters,
            )


def drawn(shape: tuple[int, ...], run: int) -> np.ndarray:
    """Return what is hidden, the same at every call; no channel of a window is hidden whole."""
    config = MaskedValuesConfig(masked_share=0.15, mean_run=float(run))
    n_windows, time_steps, n_channels = shape
    mask = draw_mask(
        (n_windows, time_steps, n_channels), config, torch.Generator().manual_seed(run)
    ).numpy()
    return mask & ~mask.all(axis=1, keepdims=True)


def by_column(fill: Callable[[ndarray, ndarray], ndarray]) -> Fill:
    """Return a filler of windows from one that knows steps and values that are there."""

    def filled(windows: Float[ndarray, "window time channel"]) -> ndarray:
        result = windows.copy()
        for window, channel in np.ndindex(len(windows), windows.shape[2]):
            column = windows[window, :, channel]
            known = np.flatnonzero(np.isfinite(column))
            result[window, :, channel] = fill(known, column[known])
        return np.where(np.isfinite(windows), windows, result)

    return filled


def line(known: ndarray, values: ndarray) -> ndarray:
    """Return straight lines through the gaps, level beyond the ends."""
    return np.interp(np.arange(LENGTH), known, values)


def spline(known: ndarray, values: ndarray) -> ndarray:
    """Return monotone cubic splines through the gaps, level beyond the ends."""
    if len(known) < 2:
        return line(known, values)
    return PchipInterpolator(known, values)(np.arange(LENGTH).clip(known[0], known[-1]))


def last(known: ndarray, values: ndarray) -> ndarray:
    """Return the last value before a gap, the first after one at the start."""
    return values[np.searchsorted(known, np.arange(LENGTH), "right").clip(1) - 1]


def season(known: ndarray, values: ndarray) -> ndarray:
    """Return the mean of the same hour of other days, a line where there is none."""
    hour = known % DAY
    count = np.bincount(hour, minlength=DAY)
    mean = np.bincount(hour, values, DAY) / np.maximum(count, 1)
    every = np.arange(LENGTH) % DAY
    return np.where(count[every] > 0, mean[every], line(known, values))


def level(_: ndarray, values: ndarray) -> ndarray:
    """Return the mean of what is there."""
    return np.full(LENGTH, values.mean())


RIVALS = {
    "linear": by_column(line),
    "spline": by_column(spline),
    "last value": by_column(last),
    "seasonal": by_column(season),
    "mean": by_column(level),
}


if __name__ == "__main__":
    main()
