"""The look-ahead audit of a recipe that ranks stocks: universe, features, labels and scores."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from tsfm.audits.comparison import ROWS, canonical
from tsfm.audits.cutoffs import choose_cutoffs
from tsfm.config import Recipe
from tsfm.jobs import backtest, backtest_rankers, pretrain
from tsfm.jobs.audit_checks import Check, Worth, ask
from tsfm.jobs.run_folder import folder_of
from tsfm.shapes import Float64, Int, ndarray
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.fitting import RankerConfig, days_of
from tsfm.stocks.folds import Fold
from tsfm.stocks.look_ahead import (
    DAYS_WATCHED,
    KEYS,
    STATES,
    TOLERANCE,
    frame_panel,
    observe_scores,
    panel_frame,
)
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.ranker import RANKER_FILE, StockRanker
from tsfm.stocks.split import SplitConfig, SplitDays
from tsfm.stocks.stream import PanelConfig, StockStreamConfig, read_panel

MOST_STOCKS = 64
"""Stocks of a larger panel that are audited, evenly spread: fifty times a thousand take minutes."""
UNIVERSE = ("member", "eligible")


def checks(recipe: Recipe, n_cutoffs: int) -> list[Check]:
    """Audit the parts of a recipe for `tsfm backtest`.

    Scores are those of the rankers that the recipe's run has left, in a walk-forward those of its
    last fold, or of one with random weights.
    """
    parts = backtest.sections(recipe)
    config: RankerConfig = parts["ranker"]
    panel, where = _read(parts["panel"])
    shown = cross_sections(panel, config.windows)
    fold = backtest_rankers.folds_of_parts(parts, shown)[-1]
    split = fold.split
    found = _inputs_and_labels(
        panel, where, config.windows, split, n_cutoffs, both=config.fit_on_validation
    )
    rankers, kind = _rankers(parts, panel, fold, recipe.name)
    days = days_of(shown, split)
    test = pl.Series(panel.days[days.test].astype("datetime64[D]"))
    scores = ask(
        f"scores, {kind}",
        where,
        observe_scores(backtest_rankers.score_days(rankers, config.windows), panel),
        panel_frame(panel),
        KEYS,
        (*panel.fields, *STATES),
        choose_cutoffs(test, n_cutoffs, 0),
        n_stamps=DAYS_WATCHED,
        tolerance=TOLERANCE,
    )
    return [*found, scores]


def pretraining_checks(recipe: Recipe, n_cutoffs: int) -> list[Check]:
    """Audit what a recipe for `tsfm pretrain` shows of stocks."""
    config: StockStreamConfig = pretrain.sections(recipe)["data.config"]
    panel, where = _read(config.panel)
    return _inputs_and_labels(panel, where, config.windows, config.split, n_cutoffs, both=False)


def _inputs_and_labels(
    panel: StockPanel,
    where: str,
    windows: SectionConfig,
    split: SplitConfig,
    n_cutoffs: int,
    *,
    both: bool,
) -> list[Check]:
    frame = panel_frame(panel)
    inputs = ask(
        f"features, {windows.features.normalization}",
        where,
        lambda known, _: _inputs(frame_panel(known, panel), windows),
        frame,
        KEYS,
        (*panel.fields, *STATES),
        choose_cutoffs(frame["timestamp"], n_cutoffs, 0),
    )
    is_universe = pl.col("column").is_in([*UNIVERSE, ROWS])
    shown = cross_sections(panel, windows)
    days = days_of(shown, split)
    features = inputs.leaks.filter(~is_universe)
    return [
        replace(
            inputs,
            name=f"universe, {windows.universe.rule}",
            leaks=inputs.leaks.filter(is_universe),
        ),
        replace(inputs, leaks=features, worth=_worth(panel, shown, days, features["column"])),
        *_labels(panel, frame, where, windows, split, days, both=both),
    ]


def _read(config: PanelConfig) -> tuple[StockPanel, str]:
    """Return a panel of a bearable size, and what to call it."""
    whole = read_panel(config)
    where = whole.name or "simulated panel"
    if whole.n_stocks <= MOST_STOCKS:
        return whole, where
    kept = np.linspace(0, whole.n_stocks - 1, MOST_STOCKS).astype(np.int64)
    return whole.take(kept), f"{where}, {MOST_STOCKS} of {whole.n_stocks:,} stocks"


def _inputs(panel: StockPanel, windows: SectionConfig) -> pl.DataFrame:
    """Return what is shown of every stock on the last day of a window, and the scale of that."""
    shown = cross_sections(panel, windows)
    has_bar = np.isfinite(panel["close"])
    columns = {name: values[has_bar] for name, values in _features(shown).items()}
    day, stock = np.nonzero(has_bar)
    frame = pl.DataFrame(
        {
            "item_id": pl.Series(panel.stocks).gather(stock),
            "timestamp": panel.days[day].astype("datetime64[D]"),
            "member": shown.panel.member[has_bar],
            "eligible": shown.eligible[has_bar],
            **columns,
        }
    )
    return canonical(frame, KEYS, pl.Date)


def _features(shown: CrossSections) -> dict[str, Float64[ndarray, "day stock"]]:
    config = shown.config.features
    per_field = len(config.averages) + 1
    scale = np.repeat(shown.features.reference, per_field, axis=-1).astype(np.float64)
    is_log = config.normalization == "last_close"
    with np.errstate(divide="ignore", invalid="ignore"):
        levels = shown.features.levels
        values = np.where(
            shown.features.observed, levels - scale if is_log else levels / scale, np.nan
        )
    names = [
        name if span == 1 else f"{name}, mean of {span} days"
        for name in config.fields
        for span in (*config.averages, 1)
    ]
    found = {name: values[..., place] for place, name in enumerate(names)}
    for place, name in enumerate(config.fields):
        found[f"scale of {name}"] = shown.features.reference[..., place].astype(np.float64)
    return found


def _worth(
    panel: StockPanel, shown: CrossSections, days: SplitDays, columns: pl.Series
) -> dict[str, Worth]:
    """Score the test days by each leaking feature, as it is and from panels that end with the day.

    A scale alone ranks stocks by the size of their price, so it has no coefficient.
    """
    asked = [name for name in columns if not name.startswith("scale of ")]
    if not asked:
        return {}
    test = days.test
    seen = {name: values[test] for name, values in _features(shown).items() if name in asked}
    hidden: dict[str, list[ndarray]] = {name: [] for name in asked}
    for day in test:
        ends = cross_sections(panel.head(int(day) + 1), shown.config, first_day=int(day))
        features = _features(ends)
        for name in asked:
            hidden[name].append(features[name][-1])
    returns, selectable = shown.forward_returns[test], shown.selectable[test]

    def coefficient(scores: Float64[ndarray, "day stock"]) -> float:
        return mean_of(information_coefficient(scores, returns, selectable))

    return {
        name: Worth(coefficient(seen[name]), coefficient(np.stack(hidden[name]))) for name in asked
    }


def _labels(
    panel: StockPanel,
    frame: pl.DataFrame,
    where: str,
    windows: SectionConfig,
    split: SplitConfig,
    days: SplitDays,
    *,
    both: bool,
) -> list[Check]:
    """Ask whether a label of one part has a price of the next.

    Parameters
    ----------
    both
        Training and validation are one part.
    """
    if both:
        parts = {"training": (np.union1d(days.train, days.validation), split.test_start)}
    else:
        parts = {
            "training": (days.train, split.validation_start),
            "validation": (days.validation, split.test_start),
        }
    found = []
    for name, (asked, next_start) in parts.items():
        last = int(np.searchsorted(panel.days, np.datetime64(next_start))) - 1

        def observe(
            known: pl.DataFrame, _: pl.Series | None, asked: Int[ndarray, " asked"] = asked
        ) -> pl.DataFrame:
            again = cross_sections(frame_panel(known, panel, all_days=True), windows)
            rows = again.forward_returns[asked][:, : panel.n_stocks]
            labels = pl.DataFrame(
                {
                    "item_id": list(panel.stocks) * len(asked),
                    "timestamp": np.repeat(panel.days[asked], panel.n_stocks),
                    "label": rows.ravel(),
                }
            )
            return canonical(labels, KEYS, pl.Date)

        cutoffs = pl.Series(panel.days[last : last + 1].astype("datetime64[D]"))
        columns = (*panel.fields, *STATES)
        found.append(ask(f"labels of {name}", where, observe, frame, KEYS, columns, cutoffs))
    return found


def _rankers(
    parts: Mapping[str, Any], panel: StockPanel, fold: Fold, name: str
) -> tuple[list[StockRanker], str]:
    """Return the rankers of the recipe's run when it has left any, else one without training."""
    folder = folder_of(parts["run"].output, Path("runs") / name)
    place = backtest_rankers.place_of(fold, parts, folder)
    places = sorted(one.parent for one in place.glob(f"seed*/{RANKER_FILE}"))
    resolved = {key: asdict(part) for key, part in parts.items()}
    digests = backtest_rankers.input_digests(parts)
    if places and backtest_rankers.is_as_before(folder, resolved, digests):
        return [StockRanker.from_pretrained(place) for place in places], "fitted"
    config: RankerConfig = parts["ranker"]
    untrained = replace(
        config,
        pretrain=replace(config.pretrain, epochs=0),
        finetune=replace(config.finetune, epochs=0),
    )
    ranker = StockRanker.fit(panel, fold.split, untrained)
    generator = torch.Generator().manual_seed(0)
    # Heads start at zero, and would say nothing whatever they see.
    with torch.no_grad():
        for parameter in (*ranker.model.parameters(), *ranker.objective.parameters()):
            parameter.normal_(0.0, 0.1, generator=generator)
    return [ranker], "random weights"
