"""The results of a backtest as Markdown."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tsfm.jobs.backtest_luck import luck_table, portfolio_key
from tsfm.jobs.backtest_rows import MARKET, PRECISION_AT, RANDOM
from tsfm.markdown import markdown_table

SCORES = ("ic", "ic_t", "icir", "rank_ic", "rank_ic_t", "rank_icir", "precision")
PORTFOLIO = ("irr", "sharpe", "max_drawdown", "turnover", "break_even_bps")


def render(report: dict[str, Any], rows: pl.DataFrame) -> str:
    """Return all tables of a report."""
    parts = [f"# Stock ranking: {report['recipe']}", _caption(report)]
    parts += ["## Scores", _scores(rows)]
    for top_k in sorted(set(rows["top_k"].drop_nulls())):
        of_size = _portfolio(rows, pl.col("top_k") == top_k)
        parts += [f"## The {top_k} best, held for a day", of_size]
    for name, rule in report["config"].get("backtest", {}).get("portfolios", {}).items():
        said = ", ".join(f"{key} {one}" for key, one in rule.items() if one)
        borrow = report["config"]["backtest"]["borrow_bps"]
        caption = f"{said}; what is short costs {borrow:g} bp a year."
        parts += [f"## Portfolio {name}", caption, _portfolio(rows, pl.col("portfolio") == name)]
    if len(report["folds"]) > 1:
        parts += ["## Folds", _folds(report["folds"])]
    parts += ["## Luck", luck_table(report["luck"])]
    parts += ["## Look-ahead", _look_ahead(report)]
    pretext = _pretext(report)
    if pretext:
        parts += ["## What pre-training learned, on held-out days", pretext]
    return "\n\n".join(parts) + "\n"


def metrics(rows: pl.DataFrame) -> dict[str, float]:
    """Return what a tracker records: means over seeds, under paths, without gaps."""
    keys = ["model", *(one for one in ("portfolio",) if one in rows.columns), "top_k", "cost_bps"]
    means = rows.group_by(keys, maintain_order=True).agg(pl.col(*SCORES, *PORTFOLIO).mean())
    found = {}
    for row in means.iter_rows(named=True):
        name = row["model"].replace(",", "").replace(" ", "_")
        place = f"stocks/{name}/{portfolio_key(row)}/{row['cost_bps']:g}bps"
        for metric in (*SCORES, *PORTFOLIO):
            value = row[metric]
            if value is not None and np.isfinite(value):
                found[f"{place}/{metric}"] = value
    return found


def _caption(report: dict[str, Any]) -> str:
    panel, windows = report["panel"], report["config"]["ranker"]["windows"]
    seeds = report["config"]["run"]["seeds"]
    execution = {
        "close": "bought at the close that the score has seen",
        "open": "bought at the next open",
    }[windows["fill"]]
    if windows["execution_lag"] > 1:
        execution += f", {windows['execution_lag'] - 1} days later"
    text = (
        f"{panel['name']}: {panel['stocks']} stocks, {panel['stocks_per_test_day']:.0f} on a day; "
        f"{panel['test_days']} test days from {panel['first_test_day']} to "
        f"{panel['last_test_day']}; {execution} and held for a day. {len(seeds)} seeds, "
        f"{report['parameters']:,} weights, {report['seconds'] / 60:.0f} minutes. Values are means "
        "over seeds ± their standard error; costs are basis points of all that is bought or sold. "
        "The standard error of a yearly Sharpe ratio over so many days is "
        f"{np.sqrt(252 / panel['test_days']):.1f}."
    )
    share = sum(one["seen"] * one["test_days"] for one in report["folds"]) / panel["test_days"]
    if share:
        text += (
            f"\n\n**Seen**: the checkpoint that rankers start from may have seen {share:.0%} of "
            "the test days; what is found on them is no evidence."
        )
    ahead = []
    if windows["features"]["normalization"] == "whole_maximum":
        ahead.append("features are divided by the maximum of all days, those of the test included")
    if windows["universe"]["rule"] == "whole_period":
        ahead.append("the universe is chosen with the bars of all days")
    if ahead:
        text += f"\n\n**Look-ahead**, as released, for comparison only: {'; '.join(ahead)}."
    return text


def _scores(rows: pl.DataFrame) -> str:
    models = [name for name in dict.fromkeys(rows["model"]) if name not in (MARKET, RANDOM)]
    first = rows.filter(
        (pl.col("top_k") == pl.col("top_k").min()) & (pl.col("cost_bps") == rows["cost_bps"].min())
    )
    body = []
    for name in models:
        part = first.filter(pl.col("model") == name)
        body.append(
            [
                name,
                *(_spread(part[one], digits) for one, digits in zip(SCORES, _DIGITS, strict=True)),
            ]
        )
    header = ["model", "IC", "t", "ICIR", "rank IC", "t", "rank ICIR", f"precision@{PRECISION_AT}"]
    return markdown_table(header, body)


_DIGITS = (4, 1, 3, 4, 1, 3, 3)


def _portfolio(rows: pl.DataFrame, is_asked: pl.Expr) -> str:
    costs = sorted(set(rows["cost_bps"]))
    part = rows.filter(is_asked | (pl.col("model") == MARKET))
    body = []
    for name in dict.fromkeys(part["model"]):
        mine = part.filter(pl.col("model") == name)
        cells = [name]
        for cost in costs:
            cells.append(_sharpe(mine.filter(pl.col("cost_bps") == cost)))
        for cost in costs:
            cells.append(_spread(mine.filter(pl.col("cost_bps") == cost)["irr"], 3))
        last = mine.filter(pl.col("cost_bps") == costs[0])
        cells += [_spread(last["max_drawdown"], 3), _spread(last["turnover"], 2)]
        body.append([*cells, _spread(last["break_even_bps"], 1)])
    header = [
        "model",
        *(f"Sharpe, {cost:g} bp" for cost in costs),
        *(f"IRR, {cost:g} bp" for cost in costs),
        f"drawdown, {costs[0]:g} bp",
        "turnover a day",
        "break-even, bp",
    ]
    return markdown_table(header, body)


def _sharpe(part: pl.DataFrame) -> str:
    text = _spread(part["sharpe"], 2)
    band = part["sharpe_low"] if "sharpe_low" in part.columns else pl.Series([], dtype=pl.Float64)
    # Of a single day, or of portfolios that hold nothing, there is no ratio.
    if not band.is_finite().any():
        return text
    return f"{text} ({part['sharpe_low'][0]:.2f} to {part['sharpe_high'][0]:.2f})"


def _look_ahead(report: dict[str, Any]) -> str:
    found = report["look_ahead"]
    n_cutoffs = len(found["cutoffs"])
    if found["ok"]:
        return (
            f"After {n_cutoffs} test days all bars, members and halts were changed: no score up "
            "to them moved."
        )
    text = (
        f"After {n_cutoffs} test days all bars, members and halts were changed: "
        f"{found['moved_share']:.0%} of the scores up to them moved, by up to "
        f"{found['largest_move']:.2g} standard deviations, the earliest on {found['first_moved']}."
    )
    if "hidden_ic" in found:
        body = []
        for name, label in (("ic", "IC"), ("rank_ic", "rank IC")):
            seen, hidden = (pl.Series(found[f"{way}_{name}"]) for way in ("seen", "hidden"))
            gone = seen - hidden
            share = f"{1 - hidden.mean() / seen.mean():.0%}" if seen.mean() else ""  # type: ignore[operator]
            body.append([label, _spread(seen, 4), _spread(hidden, 4), _spread(gone, 4), share])
        header = ["", "as scored", "future hidden", "owed to the future", "share"]
        text += (
            f"\n\nThe same weights on {found['hidden_days']} test days, each scored from bars that "
            "end with it:\n\n"
        )
        text += markdown_table(header, body)
    return text


def _folds(found: Sequence[dict[str, Any]]) -> str:
    body = [
        [
            str(one["fold"]),
            f"{one['first_train_day']} to {one['last_train_day']}",
            one["last_validation_day"],
            f"{one['first_test_day']} to {one['last_test_day']}",
            f"{one['seen']:.0%}",
            f"{one['ic']:.4f}",
            f"{one['rank_ic']:.4f}",
        ]
        for one in found
    ]
    header = ["fold", "trained", "validated until", "tested", "seen before", "IC", "rank IC"]
    return markdown_table(header, body)


def _pretext(report: dict[str, Any]) -> str:
    found = [one for one in report["pretext"].values() if one]
    if not found:
        return ""
    body = [[name, _spread([one[name] for one in found], 4)] for name in found[0]]
    chance = f"Chance: {1 / report['panel']['stocks']:.4f} of the stocks"
    if report["panel"]["sectors"]:
        chance += f", {1 / report['panel']['sectors']:.4f} of the sectors"
    table = markdown_table(["part of the loss", "mean over seeds"], body)
    return f"{table}\n\n{chance}."


def _spread(values: pl.Series | Sequence[float], digits: int) -> str:
    """Return mean ± standard error; only the mean of a single value."""
    known = np.array([one for one in values if one is not None], np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return ""
    text = f"{known.mean():.{digits}f}"
    if len(known) == 1:
        return text
    return f"{text} ± {known.std(ddof=1) / np.sqrt(len(known)):.{digits}f}"
