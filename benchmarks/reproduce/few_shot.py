"""Few-shot curves of Timer: MSE by share of the training windows, pre-trained and from scratch.

    TSFM_DATA=… python benchmarks/reproduce/few_shot.py --pool POOL

The same model, recipe and protocol as ltsf.py; the share is drawn at random from every channel.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from ltsf import SMOKE, fine_tuned, of_set, pretrained, scored
from tables import Score, Table, arguments

SETS = ("ETTh1", "ETTm1")
SHARES = (0.01, 0.05, 0.2, 1.0)
NOTES = (
    """MSE and MAE of standardised values, mean over horizons 96, 192, 336 and 720, over every test
window; columns are shares of the training windows. Mean over seeds ± its standard error.""",
    """"pool": pre-trained on the `pretrain` cards, then fine-tuned; "scratch": random weights. Both
choose their step on the validation rows, which are not cut. The paper shows curves without numbers:
nearly flat when pre-trained, steep from scratch below 25 %.""",
)


def main() -> None:
    """Fine-tune on every share."""
    parser = arguments("few_shot", __doc__.splitlines()[0])
    parser.add_argument("--pool", default="pool", help="folder of a single-series pool")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    options = parser.parse_args()
    if options.smoke:
        options.seeds = 1
    title = "Few-shot fine-tuning of Timer"
    with Table("few_shot", title=title, notes=NOTES, options=options) as table:
        for seed in range(options.seeds):
            for name in options.sets:
                for arm in ("pool", "scratch"):
                    for share in SHARES[:1] if options.smoke else SHARES:
                        row = {"dataset": name, "model": f"timer, {arm}", "seed": seed}
                        if not table.has(**row, setting=f"{share:.0%}"):
                            table.add(*scores(name, arm, share, seed, table, options))


def scores(
    name: str, arm: str, share: float, seed: int, table: Table, options: argparse.Namespace
) -> Iterator[Score]:
    """Fine-tune on a share of the windows and yield the mean errors over the horizons."""
    start = pretrained("timer", table, options)
    folder = options.work / name / arm / f"{share:.0%}" / str(seed)
    overrides = [f"run.seed={seed}", *of_set(name), f"data.config.share={share}"]
    overrides += [*table.overrides, "training.save_every=0", *(SMOKE if options.smoke else [])]
    rival = fine_tuned("timer", arm, start, folder, overrides)
    row = f"timer, {arm}"
    found = list(scored(name, rival, row, "fine-tuned", seed, options))
    for metric in ("mse", "mae"):
        yield Score(
            dataset=name,
            setting=f"{share:.0%}",
            model=row,
            metric=metric,
            value=float(np.mean([one.value for one in found if one.metric == metric])),
            label="fine-tuned",
            seed=seed,
            parameters=rival.n_parameters,
        )


if __name__ == "__main__":
    main()
