"""tsfm-fill beside SAITS, trained on ETTh1 for equal minutes.

    TSFM_DATA=… python benchmarks/reproduce/saits.py

Needs PyPOTS (extra `pypots`). Both start their clock with training: tsfm-fill from the bundled
weights, SAITS from random ones.
"""

import argparse
import time

import polars as pl
from tables import Score, Table, arguments

from tsfm.config import load_recipe
from tsfm.evaluation.imputation import saits_of_set, scored_windows, scores
from tsfm.evaluation.imputation_config import ImputationConfig
from tsfm.evaluation.imputation_fillers import Filler, filler_of, rivals
from tsfm.jobs import finetune
from tsfm.models.pretrained import load_pretrained
from tsfm.series.ltsf_set import LtsfSet, read_ltsf_set

NAME, SPLIT, LENGTH = "ETTh1", (8640, 2880, 2880), 192
PROBE_STEPS = 40
NOTES = (
    """MAE of values hidden in windows of 192 steps of the test rows of ETTh1, standardised by the
training rows; columns are the shares hidden. Segments have 24 steps, and the first is never hidden.
Mean over seeds of the training ± its standard error; the masks are the same for all.""",
    """tsfm-fill reads every channel by itself, SAITS all seven together. SAITS is trained as PyPOTS
does, with a fifth of the values of every window hidden at random; both choose their weights on the
validation rows, with gaps like those that are scored. "fine-tuned" hides points and segments.""",
)


def main() -> None:
    """Score what needs no training, then both models for every seed."""
    parser = arguments("saits", __doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0)
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.minutes = 1, 0.02
    title = "Gaps of ETTh1, trained for equal minutes"
    with Table("saits", title=title, notes=NOTES, options=options) as table:
        data = data_of()
        wanted = ("linear", f"seasonal linear, {data.seasonality}")
        fixed = [one for one in rivals(data.seasonality) if one.name in wanted]
        fixed.append(filler_of(load_pretrained("tsfm-fill"), "tsfm-fill"))
        for filler in fixed:
            add(filler, filler.label, 0, table, options)
        for seed in range(options.seeds):
            for row, train in ROWS.items():
                if not table.has(dataset=NAME, model=row, seed=seed):
                    started = time.perf_counter()
                    filler = train(seed, table, options)
                    spent = time.perf_counter() - started
                    add(filler, "trained", seed, table, options, row=row, spent=spent)


def add(
    filler: Filler,
    label: str,
    seed: int,
    table: Table,
    options: argparse.Namespace,
    *,
    row: str | None = None,
    spent: float = 0.0,
) -> None:
    """Score the test rows, unless the table has the scores."""
    row = row or filler.name
    if table.has(dataset=NAME, model=row, seed=seed):
        return
    config = configured(options, 0)
    found = pl.DataFrame(scores(filler, scored_windows(data_of(), LENGTH, config), config))
    table.add(
        *(
            Score(
                dataset=NAME,
                setting=f"{one['share']:.1%}",
                model=row,
                metric=f"MAE of {one['gaps']}",
                value=one["mae"],
                label=label,
                seed=seed,
                seconds=spent,
                parameters=filler.n_parameters,
            )
            for one in found.iter_rows(named=True)
        )
    )


def configured(options: argparse.Namespace, seed: int) -> ImputationConfig:
    """Return what is hidden and scored."""
    return ImputationConfig(
        protocol="imputation",
        models=(),
        datasets=(NAME,),
        stride=960 if options.smoke else 48,
        mask_seeds=(seed,),
        saits_minutes=options.minutes,
    )


def data_of() -> LtsfSet:
    """Return ETTh1."""
    return read_ltsf_set(NAME, SPLIT)


def fine_tuned(seed: int, table: Table, options: argparse.Namespace) -> Filler:
    """Fine-tune the bundled weights; how many steps fit is measured on the first ones."""

    def run(steps: int, folder: str) -> float:
        started = time.perf_counter()
        output = options.work / str(seed) / folder
        overrides = [f"run.seed={seed}", f"run.output={output}", f"training.steps={steps}"]
        overrides += ["training.save_every=0", "training.patience=0", *table.overrides]
        finetune.run(load_recipe("tsfm_fill_finetune", overrides))
        return time.perf_counter() - started

    n_first = 2 if options.smoke else PROBE_STEPS
    probe = run(n_first, "probe")
    steps = max(n_first, int(60 * options.minutes / probe * n_first))
    run(steps, "whole")
    model = load_pretrained(options.work / str(seed) / "whole" / "checkpoint")
    return filler_of(model, "tsfm-fill, fine-tuned")


def saits(seed: int, _table: Table, options: argparse.Namespace) -> Filler:
    """Train SAITS on the training rows."""
    return saits_of_set(data_of(), LENGTH, configured(options, seed))


ROWS = {"tsfm-fill, fine-tuned": fine_tuned, "SAITS": saits}


if __name__ == "__main__":
    main()
