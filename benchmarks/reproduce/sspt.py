"""Score SSPT on two panels: as released, with its look-ahead, and corrected; rivals beside both.

    TSFM_DATA=… python benchmarks/reproduce/sspt.py

Every panel and mode is one run of ``tsfm backtest sspt_PANEL_MODE``, whose fitted seeds are kept in
``--work``, so a table that was stopped goes on. A control then asks what pre-training is worth.
"""

import argparse
from collections.abc import Iterator
from typing import Any

from sspt_notes import NOTES, verdict
from sspt_rows import CONTROL, control_scores, dataset_name, main_scores
from tables import Table, arguments

from tsfm.config import load_recipe
from tsfm.jobs import backtest

PANELS, MODES = ("nasdaq", "nyse"), ("corrected", "faithful")
SSPT = "SSPT, pre-trained on the panel"
CONTROLLED = ("nasdaq", "corrected")
# Timer reads every feature by itself, so it is given the closes alone, and patches of 16 days.
OF_TIMER = (
    "ranker.windows.features.columns=close",
    "ranker.windows.features.averages=[]",
    "ranker.windows.context_length=64",
    "ranker.pretext={}",
    "ranker.finetune.epochs=0.5",
)
# The sizes of tsfm-small.
TIMER_SMALL = (
    "ranker.backbone=timer",
    "ranker.model.patch_length=16",
    "ranker.model.d_model=192",
    "ranker.model.n_heads=6",
    "ranker.model.n_layers=4",
    "ranker.model.d_ff=768",
    "ranker.model.n_output_patches=4",
    "ranker.model.quantile_levels=[0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9]",
)
ARMS: dict[str, tuple[str, ...]] = {
    "SSPT, scratch": ("ranker.pretext={}",),
    "Timer, pre-trained on the pool": (
        *OF_TIMER,
        "ranker.model={}",
        "ranker.checkpoint=tsfm-small",
    ),
    "Timer, scratch": (*OF_TIMER, *TIMER_SMALL),
}
# No rivals, one random portfolio, one cutoff: the control compares rankers with each other.
CONTROL_ONLY = ("backtest.rivals=false", "backtest.n_random=1", "backtest.audit_cutoffs=1")
SMOKE = (
    "panel.dataset=simulated",
    "panel.start=2013-01-01",
    "panel.end=2013-07-19",
    "panel.simulation={n_stocks=7,n_days=144,reversal=0.6}",
    "split.train_start=2013-01-07",
    "split.validation_start=2013-05-20",
    "split.test_start=2013-06-17",
    "ranker.pretrain.epochs=0.1",
    "ranker.finetune.epochs=0.1",
    "ranker.validation_days=2",
    "backtest.n_random=5",
    "backtest.audit_cutoffs=1",
    "backtest.hide_future=2",
)


def main() -> None:
    """Run what is not in the table yet, and write the page."""
    parser = arguments("sspt", __doc__.splitlines()[0])
    parser.set_defaults(seeds=5)
    parser.add_argument("--panels", nargs="+", default=list(PANELS), choices=PANELS)
    parser.add_argument("--modes", nargs="*", default=list(MODES), choices=MODES)
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--control-seeds", type=int, default=3)
    options = parser.parse_args()
    if options.smoke:
        options.seeds = options.control_seeds = 1
    table = Table(
        "sspt",
        title="SSPT: ranking stocks, as released and corrected",
        notes=NOTES,
        options=options,
        average=False,
    )
    with table:
        for panel in options.panels:
            for mode in options.modes:
                last = options.seeds - 1
                if not table.has(dataset=dataset_name(panel, mode), model=SSPT, seed=last):
                    report = traded(panel, mode, options.seeds, table, options)
                    table.add(*main_scores(report, panel, mode, SSPT))
                    if (panel, mode) == CONTROLLED:
                        found = control_scores(report, SSPT)
                        table.add(*(one for one in found if one.seed < options.control_seeds))
        for arm in options.arms:
            if not table.has(dataset=CONTROL, model=arm, seed=options.control_seeds - 1):
                table.add(*of_arm(arm, table, options))
        table.notes = [*NOTES, *verdict(table.frame, SSPT)]


def of_arm(arm: str, table: Table, options: argparse.Namespace) -> Iterator[Any]:
    """Yield the scores of one arm of the control."""
    changes = (*ARMS[arm], *CONTROL_ONLY)
    report = traded(*CONTROLLED, options.control_seeds, table, options, arm, changes)
    yield from control_scores(report, arm)


def traded(
    panel: str,
    mode: str,
    seeds: int,
    table: Table,
    options: argparse.Namespace,
    arm: str = "",
    changes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the report of a backtest; seeds that are fitted are read."""
    name = f"sspt_{panel}_{mode}"
    folder = options.work / (f"{name} {arm}".replace(", ", " ").replace(" ", "_") if arm else name)
    overrides = [f"run.seeds={list(range(seeds))}", f"run.output={folder}", *changes]
    smoke = SMOKE if options.smoke else ()
    return backtest.run(load_recipe(name, [*overrides, *smoke, *table.overrides]))


if __name__ == "__main__":
    main()
