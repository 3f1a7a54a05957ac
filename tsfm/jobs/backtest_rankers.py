"""The rankers of a backtest: fitted by fold and seed, or read where an earlier run left them."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.jobs.run_folder import write_config
from tsfm.models.backbone import count_parameters
from tsfm.shapes import Float, Int, ndarray
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.fitting import days_of
from tsfm.stocks.folds import Fold, folds_of
from tsfm.stocks.look_ahead import ScoreDays
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.ranker import RANKER_FILE, StockRanker
from tsfm.stocks.split import SplitDays
from tsfm.stocks.stream import panel_inputs
from tsfm.stocks.walk_forward import FoldedRanker, fold_record
from tsfm.tasks.arguments import find_device
from tsfm.toml_text import dump
from tsfm.tracking import PrefixTracker, Tracker

FITTED = ("panel", "split", "walk_forward", "ranker")
WALK = "walk_forward"
INPUTS_FILE = "inputs.json"


def folds_of_parts(parts: Mapping[str, Any], shown: CrossSections) -> tuple[Fold, ...]:
    """Return the folds of a recipe; a plain split is one.

    Raises
    ------
    DataError
        When a part has no day, or no test day two stocks to rank.
    """
    if WALK in parts:
        folds = folds_of(shown, parts[WALK])
    else:
        folds = (Fold(0, parts["split"], days_of(shown, parts["split"])),)
    test = all_days(folds).test
    if not (shown.eligible[test].sum(axis=1) > 1).any():
        first, last = shown.panel.days[test[[0, -1]]]
        raise DataError(
            f"a test day must have two stocks of the universe to rank, got none from {first} to "
            f"{last}; choose other dates, loosen the universe or min_observed, or look for members "
            "and bars in the file"
        )
    return folds


def place_of(fold: Fold, parts: Mapping[str, Any], folder: Path) -> Path:
    """Return where the rankers of a fold are, in the folder of the run."""
    return folder / f"fold{fold.number}" if WALK in parts else folder


def is_strict(parts: Mapping[str, Any]) -> bool:
    """Say whether days that a checkpoint may have seen are refused."""
    return WALK in parts and parts[WALK].strict


def all_days(folds: Sequence[Fold]) -> SplitDays:
    """Return the days of the last fit, with the tests of all folds."""
    test = np.concatenate([fold.days.test for fold in folds])
    return SplitDays(folds[-1].days.train, folds[-1].days.validation, test)


def fitted(
    parts: Mapping[str, Any],
    resolved: Mapping[str, Any],
    shown: CrossSections,
    folds: Sequence[Fold],
    folder: Path,
    tracker: Tracker,
) -> dict[int, FoldedRanker]:
    """Return the rankers by seed; those of an earlier run of the same configuration are read."""
    _make_room(folder, resolved, input_digests(parts))
    device = str(find_device(parts["run"].device))
    rankers: dict[int, list[StockRanker]] = {seed: [] for seed in parts["run"].seeds}
    for fold in folds:
        opened = fold_record(tracker, fold) if WALK in parts else nullcontext(tracker)
        with opened as record:
            for seed, found in rankers.items():
                place = place_of(fold, parts, folder) / f"seed{seed}"
                if (place / RANKER_FILE).is_file():
                    found.append(StockRanker.from_pretrained(place))
                    continue
                ranker = StockRanker.fit(
                    shown.panel,
                    fold.split,
                    parts["ranker"],
                    seed=seed,
                    device=device,
                    tracker=PrefixTracker(f"seed{seed}", record),
                    sections=shown,
                )
                ranker.save_pretrained(place)
                found.append(ranker)
    return {seed: FoldedRanker(found, folds) for seed, found in rankers.items()}


def training_of(rankers: Mapping[int, FoldedRanker]) -> dict[str, Any]:
    """Return what the fits said, those of the last fold, and the size of the model."""
    last = {seed: ranker.last for seed, ranker in rankers.items()}
    phases = ("pretrain", "finetune")
    return {
        "pretext": {seed: one.report.get("pretext", {}) for seed, one in last.items()},
        "training": {
            seed: {phase: one.report.get(phase) for phase in phases} for seed, one in last.items()
        },
        "parameters": count_parameters(next(iter(last.values())).model.backbone),
    }


def input_digests(parts: Mapping[str, Any]) -> dict[str, str]:
    """Return the digest of everything that the panel of a recipe is read from."""
    return {one.source: one.digest for one in panel_inputs(parts["panel"])}


def is_as_before(folder: Path, resolved: Mapping[str, Any], digests: Mapping[str, str]) -> bool:
    """Say whether what a folder holds was fitted so: same configuration, same content of files."""
    file = folder / "config.toml"
    if not file.is_file():
        return False
    before = tomllib.loads(file.read_text(encoding="utf-8"))
    wanted = tomllib.loads(dump(dict(resolved)))
    return _has_same_inputs(folder, digests) and all(
        before.get(name) == wanted.get(name) for name in FITTED
    )


def score_days(rankers: Sequence[StockRanker | FoldedRanker], config: SectionConfig) -> ScoreDays:
    """Return what computes the scores of rankers again from another panel."""

    def score(
        known: StockPanel, asked: Int[ndarray, " asked"]
    ) -> Float[ndarray, "ranker asked stock"]:
        again = cross_sections(known, config, first_day=int(asked.min()))
        return np.stack([one.predict(known, days=asked, sections=again)[asked] for one in rankers])

    return score


def _has_same_inputs(folder: Path, digests: Mapping[str, str]) -> bool:
    try:
        seen = json.loads((folder / INPUTS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:  # fitted before inputs were noted
        return True
    except ValueError:  # cut short
        return False
    return bool(seen == digests)


def _make_room(folder: Path, resolved: Mapping[str, Any], digests: Mapping[str, str]) -> None:
    """Write the configuration, and forget the rankers of another one, or of other data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
    if not is_as_before(folder, resolved, digests):
        # Before the new configuration is written, or a run that stops leaves others under it.
        for old in folder.rglob(f"seed*/{RANKER_FILE}"):
            old.unlink()
    text = json.dumps(digests, indent=2)
    (folder / INPUTS_FILE).write_text(text + "\n", encoding="utf-8")
    write_config(folder, resolved)
