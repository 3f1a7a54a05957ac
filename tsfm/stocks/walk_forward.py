"""Walk-forward: fitted again and again, and each time tested on the days that follow."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import ConfigError
from tsfm.mlflow_tracker import child_tracker
from tsfm.models.model import Provenance
from tsfm.models.pretrained import load_pretrained
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.stocks.cross_sections import CrossSections, cross_sections
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.folds import Fold, WalkForwardConfig, folds_of
from tsfm.stocks.metrics import information_coefficient, mean_of, rank_information_coefficient
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.ranker import StockRanker
from tsfm.tracking import NoTracker, Tracker, recorded


class FoldedRanker:
    """The rankers of all folds as one: each is asked on the days from its own test to the next.

    Days before the first test are asked of the first ranker, which has learned from them.

    Parameters
    ----------
    rankers, folds
        One ranker per fold.
    """

    def __init__(self, rankers: Sequence[StockRanker], folds: Sequence[Fold]) -> None:
        self.rankers = tuple(rankers)
        self.folds = tuple(folds)

    @property
    def last(self) -> StockRanker:
        """The ranker that was fitted last."""
        return self.rankers[-1]

    def predict(
        self,
        panel: StockPanel,
        *,
        days: Int[ndarray, " asked"] | None = None,
        sections: CrossSections | None = None,
    ) -> Float64[ndarray, "day stock"]:
        """Return scores as `StockRanker.predict` does."""
        if sections is None:
            sections = cross_sections(panel, self.last.config.windows)
        days = np.arange(panel.n_days) if days is None else days
        begins = [fold.days.test[0] for fold in self.folds]
        owner = np.maximum(np.searchsorted(begins, days, "right") - 1, 0)
        scores = np.full((panel.n_days, panel.n_stocks), np.nan)
        for number, ranker in enumerate(self.rankers):
            own = days[owner == number]
            if len(own):
                scores[own] = ranker.predict(panel, days=own, sections=sections)[own]
        return scores


@plain_dataclass(frozen=True)
class WalkForward:
    """What a walk-forward found.

    Parameters
    ----------
    ranker
        All folds as one.
    scores
        NaN on days of no test.
    seen
        Test days that the checkpoint of the start may have seen: no evidence.
    table
        One row per fold; see `fold_table`.
    """

    ranker: FoldedRanker
    scores: Float64[ndarray, "day stock"]
    seen: Bool[ndarray, " day"]
    table: pl.DataFrame


def walk_forward(
    panel: StockPanel,
    config: WalkForwardConfig,
    ranker: RankerConfig,
    *,
    seed: int = 0,
    device: str = "cpu",
    tracker: Tracker | None = None,
    progress: bool | None = None,
) -> WalkForward:
    """Fit a ranker per fold and score the days that follow it.

    Parameters
    ----------
    tracker
        Of the parent run, which must have been started; every fold is a run below it.

    Raises
    ------
    DataError
        When a fold has no day to train, validate or test on.
    ConfigError
        When `strict` and the checkpoint may have seen a test day.

    Examples
    --------
    >>> from tsfm.stocks.simulation import SimulationConfig, simulated_panel
    >>> panel = simulated_panel(SimulationConfig(n_stocks=6, n_days=60))
    >>> config = WalkForwardConfig(test_start="2013-03-01", test_days=8, validation_days=6)
    >>> small = RankerConfig(model={"d_model": 8, "d_ff": 8, "n_heads": 1}, pretext={})
    >>> found = walk_forward(panel, config, small)
    >>> found.table["test_days"].to_list(), bool(found.seen.any())
    ([8, 9], False)
    """
    sections = cross_sections(panel, ranker.windows)
    folds = folds_of(sections, config)
    seen = seen_days(ranker, panel, folds, strict=config.strict)
    tracker = tracker or NoTracker()
    fitted = []
    for fold in folds:
        with fold_record(tracker, fold) as record:
            fitted.append(
                StockRanker.fit(
                    panel,
                    fold.split,
                    ranker,
                    seed=seed,
                    device=device,
                    tracker=record,
                    sections=sections,
                    progress=progress,
                )
            )
    whole = FoldedRanker(fitted, folds)
    test = np.concatenate([fold.days.test for fold in folds])
    scores = whole.predict(panel, days=test, sections=sections)
    return WalkForward(whole, scores, seen, fold_table(folds, sections, scores[None], seen))


def seen_days(
    ranker: RankerConfig, panel: StockPanel, folds: Sequence[Fold], *, strict: bool = False
) -> Bool[ndarray, " day"]:
    """Return the test days that the checkpoint of the start may have seen.

    Raises
    ------
    ConfigError
        When there is one and `strict`.
    """
    seen = np.zeros(panel.n_days, bool)
    if not ranker.checkpoint:
        return seen
    provenance = load_pretrained(ranker.checkpoint).provenance
    test = np.concatenate([fold.days.test for fold in folds])
    seen[test] = may_have_seen(provenance, panel.days[test])
    if strict and seen.any():
        raise ConfigError(
            f"strict needs test days after the training_cutoff of {ranker.checkpoint!r}, "
            f"{provenance.training_cutoff}, got {int(seen.sum())} of {len(test)} days before, the "
            f"first on {panel.days[seen][0]}; choose later days, another checkpoint, or "
            "strict=false"
        )
    return seen


def may_have_seen(provenance: Provenance, days: ndarray) -> Bool[ndarray, " day"]:
    """Return whether weights may have seen each day: all of them when their cutoff is unknown.

    Weights that were trained on no data set have seen none.
    """
    if provenance.training_cutoff is not None:
        found: ndarray = days <= np.datetime64(provenance.training_cutoff)
        return found
    return np.full(len(days), bool(provenance.trained_on))


def fold_record(parent: Tracker, fold: Fold) -> Any:
    """Return a context that opens a run below `parent`, and gives its tracker."""
    if parent.run_id is None:
        return nullcontext(parent)
    name = f"fold {fold.number}, test from {fold.split.test_start}"
    return recorded(child_tracker(parent), name, {"fold": fold.number, "split": asdict(fold.split)})


def fold_table(
    folds: Sequence[Fold],
    sections: CrossSections,
    scores: Float64[ndarray, "seed day stock"],
    seen: Bool[ndarray, " day"],
) -> pl.DataFrame:
    """Return one row per fold: its days and dates, the share that was ``seen``, and what it found.

    ``ic`` and ``rank_ic`` are means over the days of the test, and over seeds.
    """
    panel, rows = sections.panel, []
    for fold in folds:
        test = fold.days.test
        returns, tradable = sections.forward_returns[test], panel.tradable[test]
        found = {
            name: float(np.mean([mean_of(measure(one[test], returns, tradable)) for one in scores]))
            for name, measure in (
                ("ic", information_coefficient),
                ("rank_ic", rank_information_coefficient),
            )
        }
        rows.append(
            {
                "fold": fold.number,
                "train_days": len(fold.days.train),
                "first_train_day": str(panel.days[fold.days.train[0]]),
                "last_train_day": str(panel.days[fold.days.train[-1]]),
                "validation_days": len(fold.days.validation),
                "last_validation_day": str(panel.days[fold.days.validation[-1]]),
                "test_days": len(test),
                "first_test_day": str(panel.days[test[0]]),
                "last_test_day": str(panel.days[test[-1]]),
                "seen": float(seen[test].mean()),
                **found,
            }
        )
    return pl.DataFrame(rows)
