"""Timer's imputation table: what pre-training is worth when few windows are there to train on.

    TSFM_DATA=… python benchmarks/reproduce/imputation.py --pool POOL

POOL is the folder that `tsfm data build` makes of the `pretrain` cards; Timer as released is
pre-trained on it once (kept under ``--work``); "two-sided" starts from the bundled ``tsfm-fill``,
which was, too. Arms start from the pool ("pool"), from weights pre-trained by the same recipe on
the set's own training rows ("self"), or from random weights ("scratch"). Each is fine-tuned on a
share of the training windows of a set, chosen on its validation rows, and scored on its test rows,
where the masks are the same for all. The gain of pre-training is the share of the squared error
that it takes away.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from tables import Score, Table, arguments

from tsfm.config import load_recipe
from tsfm.evaluation.imputation import scored_windows, scores
from tsfm.evaluation.imputation_config import ImputationConfig
from tsfm.evaluation.imputation_fillers import Filler, filler_of, rivals
from tsfm.jobs import finetune, pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.series.ltsf_set import read_ltsf_set
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool

SPLITS = {"ETTh1": (8640, 2880, 2880), "ETTm1": (34560, 11520, 11520)}
SETS = ("ETTh1", "ETTm1", "weather_jena_2020")
# Name of our row -> the recipe that fine-tunes it.
MODELS = {"two-sided": "tsfm_fill_finetune", "as released": "timer_imputation_finetune"}
# The recipes that pre-train them.
PRETRAINED = {"two-sided": "tsfm_fill", "as released": "timer_imputation_released"}
ARMS = ("pool", "scratch", "self")
SELF_STEPS, SELF_POINTS = 400, 12288
SHARES = (0.05, 0.2, 1.0)
GAIN = "gain of pre-training, %"
STRIDE = {"ETTh1": 24}
SMOKE = ["training.steps=2", "training.validate_every=1", "training.validation_batches=1"]
SMOKE += ["data.config.windows_per_batch=4"]
NOTES = (
    """MSE and MAE of values hidden in windows of 192 steps of the test rows, mean over 12.5, 25,
37.5 and 50 % hidden; standardised by the training rows; mean over seeds ± its standard error.
Segments have 24 steps and the first is never hidden. Columns are shares of the training
windows.""",
    """"two-sided" is tsfm-fill, which sees both sides of a gap; "as released" is Timer's causal
denoising of segments with its published sizes (2.1 M parameters), pre-trained on our pool for a
thousand steps. "pool": pre-trained on the `pretrain` cards, which hold none of these sets, then
fine-tuned; "self": pre-trained by the same recipe, for 400 steps of 12,288 points, on all training
rows of the set itself, then fine-tuned; "scratch": fine-tuned from random weights by the same
recipe. "zero-shot" has seen nothing of the set. The two-sided rows stop at 5 % of the windows: with
earlier weights twenty times as many changed nothing.""",
    """Published gains: MSE averaged over the four shares of hidden values, by segments; that the
data share was 5 % is from memory. One model is trained for all shares hidden, where the released
code trains one for each. weather_jena_2020 lacks one repeated stamp and keeps its codes of
-9999.""",
)


def main() -> None:
    """Score every set, model, arm, share and seed that the table does not have yet."""
    parser = arguments("imputation", __doc__.splitlines()[0])
    parser.add_argument("--pool", default="pool", help="folder of a single-series pool")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES))
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.shares = 1, options.shares[:1]
    title = "Imputation, fine-tuned on few and on all windows"
    with Table("imputation", title=title, notes=NOTES, options=options) as table:
        for name in options.sets:
            table.add(*unfitted(name, table, options))
        for seed in range(options.seeds):
            for name in options.sets:
                for model in options.models:
                    for share in options.shares:
                        fine_tuned(name, model, share, seed, table, options)


def unfitted(name: str, table: Table, options: argparse.Namespace) -> Iterator[Score]:
    """Yield the scores of lines, splines, seasons, and of the bundled model as it is."""
    fillers = rivals(read_ltsf_set(name, SPLITS.get(name)).seasonality)
    if "two-sided" in options.models:
        fillers = [filler_of(load_pretrained("tsfm-fill"), "two-sided, zero-shot"), *fillers]
    for filler in fillers:
        for share in options.shares:
            if not table.has(dataset=name, model=filler.name, setting=setting(share)):
                yield from scored(name, filler, filler.label, share, 0, options)


def fine_tuned(
    name: str, model: str, share: float, seed: int, table: Table, options: argparse.Namespace
) -> None:
    """Add the scores of all arms, and of the differences from scratch."""
    for arm in options.arms:
        row = f"{model}, {arm}"
        if table.has(dataset=name, model=row, seed=seed, setting=setting(share)):
            continue
        started = time.perf_counter()
        folder = options.work / name / row.replace(", ", "_") / f"{share:g}" / str(seed)
        overrides = [f"run.seed={seed}", f"run.output={folder}", f"data.config.share={share}"]
        overrides += [*of_set(name), *table.overrides, "training.save_every=0"]
        if arm == "self":
            overrides += [f"start.model={self_trained(name, model, seed, table, options)}"]
        else:
            overrides += [f"start.model={started_from(model, table, options)}"]
        overrides += ["start.scratch=true"] if arm == "scratch" else []
        overrides += SMOKE if options.smoke else []
        finetune.run(load_recipe(MODELS[model], overrides))
        filler = filler_of(load_pretrained(folder / "checkpoint"), row)
        spent = time.perf_counter() - started
        table.add(*scored(name, filler, "fine-tuned", share, seed, options, spent=spent))
    table.add(*gains(name, model, share, seed, table))


def gains(name: str, model: str, share: float, seed: int, table: Table) -> Iterator[Score]:
    """Yield what either pre-training takes away of the squared error, where it is not there yet."""
    words = {"dataset": name, "setting": setting(share), "seed": seed}
    found = table.frame.filter(**words, metric="MSE of segments")
    errors = dict(zip(found["model"], found["value"], strict=True))
    scratch = errors.get(f"{model}, scratch")
    for arm, row in {"pool": f"{model}, gain", "self": f"{model}, gain of self"}.items():
        error = errors.get(f"{model}, {arm}")
        if error is None or scratch is None or table.has(**words, model=row):
            continue
        gain = 100 * (1 - error / scratch)
        yield Score(**words, model=row, metric=GAIN, value=gain, label="fine-tuned")


def scored(
    name: str,
    filler: Filler,
    label: str,
    share: float,
    seed: int,
    options: argparse.Namespace,
    *,
    spent: float = 0.0,
) -> Iterator[Score]:
    """Fill the test windows; a causal model of segments is not asked for points."""
    config = ImputationConfig(
        protocol="imputation",
        models=(),
        datasets=(name,),
        kinds=("segments",) if filler.name.startswith("as released") else ("segments", "points"),
        stride=960 if options.smoke else STRIDE.get(name, 96),
        mask_seeds=(0,),
    )
    data = read_ltsf_set(name, SPLITS.get(name))
    started = time.perf_counter()
    found = pl.DataFrame(scores(filler, scored_windows(data, 192, config), config))
    seconds = spent + time.perf_counter() - started
    for kind in config.kinds:
        for metric in ("mse", "mae"):
            yield Score(
                dataset=name,
                setting=setting(share),
                model=filler.name,
                metric=f"{metric.upper()} of {kind}",
                value=float(found.filter(gaps=kind)[metric].to_numpy().mean()),
                label=label,
                seed=seed,
                seconds=seconds,
                parameters=filler.n_parameters,
            )


def started_from(model: str, table: Table, options: argparse.Namespace) -> str:
    """Return the checkpoint of a model; Timer as released is pre-trained when it is not there."""
    if model == "two-sided":
        return "tsfm-fill"
    folder = options.work / "released"
    if not (folder / "report.json").is_file():
        overrides = [f"data.config.pool={options.pool}", f"run.output={folder}", *table.overrides]
        overrides += ["training.steps=2", "data.config.pool="] if options.smoke else []
        pretrain.run(load_recipe(PRETRAINED[model], overrides))
    return str(folder / "checkpoint")


def self_trained(
    name: str, model: str, seed: int, table: Table, options: argparse.Namespace
) -> str:
    """Return a checkpoint pre-trained like that of the pool, on the set's training rows."""
    folder: Path = options.work / name / f"{model.replace(' ', '_')}_self_pretrained" / str(seed)
    if (folder / "report.json").is_file():
        return str(folder / "checkpoint")
    pool = options.work / name / "pool"
    if not pool.is_dir():
        found = read_ltsf_set(name, SPLITS.get(name))
        rows = found.values[: found.train_end]
        save_pool(SingleSeriesPool.from_series(list(rows.T), name=name), pool)
    overrides = [f"data.config.pool={pool}", "data.config.real_share=1.0", "data.config.factors={}"]
    overrides += [f"data.config.points_per_batch={SELF_POINTS}", f"training.steps={SELF_STEPS}"]
    overrides += [f"run.seed={seed}", f"run.output={folder}", *table.overrides]
    overrides += ["training.steps=2", "training.validate_every=0"] if options.smoke else []
    pretrain.run(load_recipe(PRETRAINED[model], overrides))
    return str(folder / "checkpoint")


def of_set(name: str) -> list[str]:
    """Return the settings that choose a set and its rows."""
    found = read_ltsf_set(name, SPLITS.get(name))
    split = [found.train_end, found.test_start - found.train_end]
    split.append(len(found.values) - found.test_start)
    return [f"data.config.dataset={name}", f"data.config.split={split}"]


def setting(share: float) -> str:
    """Return the column of a share of the training windows."""
    return f"{share:.0%}"


if __name__ == "__main__":
    main()
