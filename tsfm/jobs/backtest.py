"""Rank stocks and trade on it: pre-train, fine-tune, test; rivals and an audit beside every number.

A seed whose ranker is in the run's folder is not fitted again, as long as panel, split and ranker
are configured as they were.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import AfterValidator, ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass
from pydantic_core import to_jsonable_python

from tsfm.config import Recipe, build_sections, discover_all
from tsfm.environment import ran_on
from tsfm.errors import ConfigError
from tsfm.jobs import (
    backtest_luck,
    backtest_portfolios,
    backtest_rankers,
    backtest_rows,
    backtest_tables,
)
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.jobs.run_folder import check_run_folder, folder_of
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.seeds import Seeds
from tsfm.shapes import Int, ndarray
from tsfm.stocks.boosting import Boosting
from tsfm.stocks.cross_sections import CrossSections, cross_sections
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.folds import WalkForwardConfig
from tsfm.stocks.look_ahead import ScoreDays, audit, future_hidden
from tsfm.stocks.metrics import information_coefficient, mean_of, rank_information_coefficient
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.portfolio import PortfolioConfig
from tsfm.stocks.split import SplitConfig, SplitDays
from tsfm.stocks.start import check_names
from tsfm.stocks.stream import PanelConfig, located, panel_inputs, read_panel
from tsfm.stocks.trials import RETURNS_FILE
from tsfm.stocks.walk_forward import FoldedRanker, fold_table, seen_days
from tsfm.tracking import Tracker, recorded

WRITTEN = ("config.toml", "results.md", "results.parquet", RETURNS_FILE)


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class BacktestRunConfig:
    """The ``[run]`` section of a recipe for `tsfm backtest`.

    Parameters
    ----------
    seeds
        One ranker each; the spread over them is the error of the table.
    output
        Folder of the run; by default ``runs/<recipe>``.
    """

    seeds: Seeds = (0, 1, 2, 3, 4)
    device: str = "auto"
    output: str | None = None


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = sorted({one for one in values if values.count(one) > 1})
    if twice:
        raise ConfigError(
            f"values must differ, got {list(values)} with {twice} more than once; the second would "
            "count as another measurement"
        )
    return values


Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Costs = Annotated[tuple[Cost, ...], Field(min_length=1), AfterValidator(_different)]
Sizes = Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_different)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class BacktestConfig:
    """The ``[backtest]`` section; execution and universe are those of the ranker's windows.

    Parameters
    ----------
    top_k
        Stocks held, equally weighted, anew every day; one table each.
    portfolios
        Further rules by name, such as ``neutral = { rule = "quantile_long_short", sector_neutral =
        true }``: see `PortfolioConfig`; one table each, with random scores under the same rule.
    costs_bps
        Basis points of all that is bought or sold.
    borrow_bps
        Basis points a year of what is sold short.
    delisting_return
        Of a stock after the close of its last bar, such as -0.3.
    rivals
        Whether ridge, boosted trees, reversal and momentum stand beside the rankers; the market and
        random picks always do.
    boosting
        Library of the boosted trees; ``"lightgbm"`` needs the extra ``finance``.
    n_random
        Random portfolios beside each.
    audit_cutoffs
        Test days after which everything is changed, to see whether a score before them moves.
    hide_future
        Score so many test days once more, each from a panel that ends with it: what was the future
        worth? 0 asks for none.
    """

    top_k: Sizes = (5,)
    portfolios: Mapping[str, PortfolioConfig] = field(default_factory=dict)
    costs_bps: Costs = (0.0, 5.0, 10.0)
    borrow_bps: Cost = 0.0
    delisting_return: float = Field(default=0.0, ge=-1, allow_inf_nan=False)
    rivals: bool = True
    boosting: Boosting = "scikit-learn"
    n_random: PositiveInt = 200
    audit_cutoffs: PositiveInt = 10
    hide_future: int = Field(default=120, ge=0)


def sections(recipe: Recipe) -> dict[str, Any]:
    """Build every section of a recipe; its files and folders are named from the root.

    Raises
    ------
    ConfigError
        With the problems of all sections together.
    """
    discover_all()
    is_walk = "walk_forward" in recipe.sections
    parts = build_sections(
        recipe,
        {
            "run": BacktestRunConfig,
            "panel": PanelConfig,
            **({"walk_forward": WalkForwardConfig} if is_walk else {"split": SplitConfig}),
            "ranker": RankerConfig,
            "backtest": BacktestConfig,
            "tracking": TrackingConfig,
        },
    )
    check_names(parts["ranker"])
    start = Path(parts["ranker"].checkpoint)
    if parts["ranker"].checkpoint and start.is_dir():
        parts["ranker"] = replace(parts["ranker"], checkpoint=str(start.absolute()))
    return {**parts, "panel": located(parts["panel"])}


def run(recipe: Recipe, *, tracker: Tracker | None = None) -> dict[str, Any]:
    """Fit a ranker per seed, score the test days, and write what that was worth.

    With a section ``[walk_forward]`` in place of ``[split]`` rankers are fitted again for every
    fold, each a run below that of the whole.

    Writes ``config.toml``, ``seed<n>/`` with each ranker, ``results.parquet``, ``returns.parquet``
    (every portfolio by day), ``results.md`` and, last, ``report.json``.

    Parameters
    ----------
    tracker
        By default an MLflow run, at the recipe's or the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``: the tables, and where the results are.

    Raises
    ------
    ConfigError
        When the recipe is wrong, or the folder has files that no backtest left.
    DataError
        When the panel cannot be read.
    """
    started = time.perf_counter()
    parts = sections(recipe)
    folder = folder_of(parts["run"].output, Path("runs") / recipe.name)
    check_run_folder(folder, "backtest", (*WRITTEN, REPORT_FILE))
    resolved = {name: asdict(section) for name, section in parts.items()}
    panel = read_panel(parts["panel"])
    shown = cross_sections(panel, parts["ranker"].windows)
    folds = backtest_rankers.folds_of_parts(parts, shown)
    seen = seen_days(parts["ranker"], panel, folds, strict=backtest_rankers.is_strict(parts))
    days = backtest_rankers.all_days(folds)
    backtest_portfolios.check(parts["backtest"].portfolios, panel)
    with recorded(tracker or make_tracker(parts["tracking"]), recipe.name, resolved) as record:
        for data in panel_inputs(parts["panel"]):
            record.log_input(data.name, data.digest, source=data.source, context="backtest")
        rankers = backtest_rankers.fitted(parts, resolved, shown, folds, folder, record)
        fold_days = [fold.days for fold in folds]
        rows, daily, scores = backtest_rows.make_rows(parts["backtest"], shown, fold_days, rankers)
        report = {
            "recipe": recipe.name,
            "config": to_jsonable_python(resolved),
            "panel": backtest_rows.describe(shown, days),
            "folds": fold_table(folds, shown, scores, seen).to_dicts(),
            "results": rows.to_dicts(),
            "luck": backtest_luck.rows(daily, parts, record),
            "look_ahead": _look_ahead(parts["backtest"], shown, panel, days, rankers),
            **backtest_rankers.training_of(rankers),
            **ran_on(),
            "seconds": time.perf_counter() - started,
        }
        report["table"] = backtest_tables.render(report, rows)
        _write(folder, rows, daily, report)
        record.log(0, backtest_tables.metrics(rows) | backtest_luck.metrics(report["luck"]))
        for fold in report["folds"]:
            found = {f"stocks/fold/{name}": fold[name] for name in ("ic", "rank_ic")}
            record.log(fold["fold"], {k: one for k, one in found.items() if np.isfinite(one)})
        for name in (*WRITTEN, REPORT_FILE):
            record.artifact(folder / name)
    return {**report, "message": f"{report['table']}\nresults: {folder}"}


def _look_ahead(
    config: BacktestConfig,
    shown: CrossSections,
    panel: StockPanel,
    days: SplitDays,
    rankers: Mapping[int, FoldedRanker],
) -> dict[str, Any]:
    """Change the future, and hide it."""
    score = backtest_rankers.score_days(list(rankers.values()), shown.config)
    found = audit(
        score,
        panel,
        days.test[:-1] if len(days.test) > 1 else days.test,
        n_cutoffs=config.audit_cutoffs,
        generator=np.random.default_rng(0),
    )
    result: dict[str, Any] = {**asdict(found), "ok": found.ok}
    # What nothing moves is worth the same without a future.
    if config.hide_future and not found.ok:
        result |= _worth(score, shown, panel, _spread_over(days.test, config.hide_future))
    return result


def _worth(
    score: ScoreDays, shown: CrossSections, panel: StockPanel, asked: Int[ndarray, " asked"]
) -> dict[str, Any]:
    """Return the coefficients of every ranker on some days, as scored and with a hidden future."""
    found: dict[str, Any] = {"hidden_days": len(asked)}
    returns, tradable = shown.forward_returns[asked], shown.panel.tradable[asked]
    for way, scores in (
        ("seen", score(panel, asked)),
        ("hidden", future_hidden(score, panel, asked)),
    ):
        for name, measure in (
            ("ic", information_coefficient),
            ("rank_ic", rank_information_coefficient),
        ):
            found[f"{way}_{name}"] = [mean_of(measure(one, returns, tradable)) for one in scores]
    return found


def _spread_over(days: Int[ndarray, " day"], n_days: int) -> Int[ndarray, " asked"]:
    """Return at most `n_days` of the days, evenly spread."""
    places = np.linspace(0, len(days) - 1, min(n_days, len(days)))
    return days[places.astype(np.int64)]


def _write(folder: Path, rows: pl.DataFrame, daily: pl.DataFrame, report: dict[str, Any]) -> None:
    """Write the results; `report.json` last, so that its presence means that all is there."""
    rows.write_parquet(folder / "results.parquet")
    daily.write_parquet(folder / RETURNS_FILE)
    (folder / "results.md").write_text(report["table"], encoding="utf-8")
    write_report(folder / REPORT_FILE, report)
