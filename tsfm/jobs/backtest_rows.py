"""The rows of a backtest's table: every ranker and every rival, at every size and cost."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import polars as pl

from tsfm.jobs import backtest_portfolios
from tsfm.shapes import Float64, Int, ndarray
from tsfm.stocks import rivals
from tsfm.stocks.backtest import BacktestReport
from tsfm.stocks.boosting import BoostedRanker, Boosting
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.metrics import mean_of, precision_at
from tsfm.stocks.scores import BAND, of_scores, traded
from tsfm.stocks.split import SplitDays
from tsfm.stocks.walk_forward import FoldedRanker

OURS, AVERAGED, MARKET, RANDOM = "ranker", "ranker, seeds averaged", "market", "random picks"
PRECISION_AT = 10


def make_rows(
    config: Any,
    shown: CrossSections,
    folds: Sequence[SplitDays],
    rankers: Mapping[int, FoldedRanker],
) -> tuple[pl.DataFrame, pl.DataFrame, Float64[ndarray, "seed day stock"]]:
    """Return a row per model, seed, `top_k` and cost; portfolios by day; the scores of rankers.

    Columns: ``model``, ``kind`` (``"ranker"`` or ``"rival"``), ``seed``, ``portfolio`` (its name,
    null for the `top_k` best), ``top_k`` (null for a named portfolio), ``cost_bps``,
    the scores' ``ic``, ``ic_t``, ``icir``, ``rank_ic``, ``rank_ic_t``, ``rank_icir``,
    ``precision``, and the portfolio's ``irr``, ``sharpe``, ``sharpe_error``, ``max_drawdown``,
    ``turnover``; for random picks, means, and ``sharpe_low`` and ``sharpe_high`` around nine in
    ten of them. What does not apply is null. The columns of the second are those of
    `tsfm.stocks.trials.RETURNS_FILE`.
    """
    rows: list[dict[str, Any]] = []
    daily: list[pl.DataFrame] = []
    ours: list[Float64[ndarray, "day stock"]] = []
    test = np.concatenate([days.test for days in folds])
    borrow = config.borrow_bps
    scored: Iterable[Scored] = _of_rankers(shown, test, rankers)
    if config.rivals:
        scored = chain(scored, _of_rivals(shown, folds, config.boosting))
    for model, kind, seed, scores in scored:
        if seed is not None:
            ours.append(scores)
        coefficients = _of_scores(scores, shown, test)
        reports = {
            (name, top_k): _traded(weights, shown, test, config.delisting_return, cap)
            for name, top_k, weights, cap in backtest_portfolios.wanted(config, scores, shown, test)
        }
        for (name, top_k), report in reports.items():
            key = {"model": model, "kind": kind, "seed": seed, "portfolio": name, "top_k": top_k}
            daily.append(_daily(key, report, borrow))
            rows += [
                {**key, "cost_bps": cost, **coefficients, **report.summary(cost, borrow_bps=borrow)}
                for cost in config.costs_bps
            ]
    rows += _of_nobody(config, shown, test)
    found = pl.DataFrame(rows, infer_schema_length=None)
    found = found.with_columns(pl.col("portfolio").cast(pl.String))
    return found, pl.concat(daily), np.stack(ours)


def _of_nobody(
    config: Any, shown: CrossSections, test: Int[ndarray, " test_day"]
) -> list[dict[str, Any]]:
    """Return the rows of the market and of random picks."""
    market = _traded(rivals.equal_weights(shown, test), shown, test, config.delisting_return)
    key = {"model": MARKET, "kind": "rival"}
    rows = [{**key, "cost_bps": cost, **market.summary(cost)} for cost in config.costs_bps]
    for top_k in config.top_k:
        drawn = rivals.random_picks(
            shown,
            test,
            top_k=top_k,
            n_portfolios=config.n_random,
            generator=np.random.default_rng(top_k),
            delisting_return=config.delisting_return,
        )
        rows += [_of_random(drawn, {"top_k": top_k}, cost) for cost in config.costs_bps]
    for name, rule in config.portfolios.items():
        drawn = backtest_portfolios.random_scores(
            shown,
            test,
            rule,
            n_portfolios=config.n_random,
            generator=np.random.default_rng(0),
            delisting_return=config.delisting_return,
        )
        rows += [
            _of_random(drawn, {"portfolio": name}, cost, config.borrow_bps)
            for cost in config.costs_bps
        ]
    return rows


def describe(shown: CrossSections, days: SplitDays) -> dict[str, Any]:
    """Return what the test is made of, for the report."""
    panel, test = shown.panel, days.test
    return {
        "name": panel.name or "simulated",
        "stocks": panel.n_stocks,
        "sectors": len(panel.sectors),
        "stocks_per_test_day": float(shown.selectable[test].sum(axis=1).mean()),
        "train_days": len(days.train),
        "validation_days": len(days.validation),
        "test_days": len(test),
        "first_test_day": str(panel.days[test[0]]),
        "last_test_day": str(panel.days[test[-1]]),
    }


Scored = tuple[str, str, int | None, Float64[ndarray, "day stock"]]
"""Model, kind, seed and scores."""


def _of_rankers(
    shown: CrossSections, test: Int[ndarray, " test_day"], rankers: Mapping[int, FoldedRanker]
) -> Iterator[Scored]:
    total = np.zeros(shown.eligible.shape)
    for seed, ranker in rankers.items():
        scores = ranker.predict(shown.panel, days=test, sections=shown)
        total += scores
        yield OURS, "ranker", seed, scores
    if len(rankers) > 1:
        yield AVERAGED, "ranker", None, total / len(rankers)


def _of_rivals(
    shown: CrossSections, folds: Sequence[SplitDays], boosting: Boosting
) -> Iterator[Scored]:
    def ridge(days: SplitDays) -> rivals.RidgeRanker:
        return rivals.RidgeRanker.fit(shown, days.train, days.validation)

    def boosted(days: SplitDays) -> BoostedRanker:
        generator = np.random.default_rng(0)
        return BoostedRanker.fit(
            shown, days.train, days.validation, generator=generator, library=boosting
        )

    trees = {"scikit-learn": "boosted trees", "lightgbm": "LightGBM"}[boosting]
    yield "ridge on the same features", "rival", None, _folded(ridge, shown, folds)
    yield f"{trees} on the same features", "rival", None, _folded(boosted, shown, folds)
    yield "reversal, one day", "rival", None, rivals.reversal(shown)
    yield "momentum, a year less a month", "rival", None, rivals.momentum(shown)


def _folded(
    fit: Callable[[SplitDays], Any], shown: CrossSections, folds: Sequence[SplitDays]
) -> Float64[ndarray, "day stock"]:
    """Return the scores of a rival that is fitted anew for every fold."""
    scores = np.full(shown.eligible.shape, np.nan)
    for days in folds:
        scores[days.test] = fit(days).predict(shown, days.test)[days.test]
    return scores


def _of_scores(
    scores: Float64[ndarray, "day stock"], shown: CrossSections, test: Int[ndarray, " test_day"]
) -> dict[str, float]:
    asked = scores[test]
    returns, tradable = shown.forward_returns[test], shown.panel.tradable[test]
    precision = mean_of(precision_at(asked, returns, PRECISION_AT, tradable))
    return {**of_scores(asked, returns, tradable), "precision": precision}


def _daily(key: dict[str, Any], report: BacktestReport, borrow: float) -> pl.DataFrame:
    kinds = {"model": pl.String, "kind": pl.String, "seed": pl.Int64}
    kinds |= {"portfolio": pl.String, "top_k": pl.Int64}
    return pl.DataFrame(
        {
            "day": report.days.astype("datetime64[D]"),
            **{
                name: pl.Series([key[name]], dtype=kind).new_from_index(0, len(report.days))
                for name, kind in kinds.items()
            },
            # What is borrowed is paid by whoever is short, so it is no choice of costs.
            "gross": report.net(0.0, borrow_bps=borrow)[:, 0],
            "turnover": report.turnover[:, 0],
        }
    )


def _traded(
    weights: Float64[ndarray, "day stock"],
    shown: CrossSections,
    test: Int[ndarray, " test_day"],
    delisting_return: float,
    cap: float | None = None,
) -> BacktestReport:
    config = shown.config
    return traded(
        weights,
        shown.panel,
        test,
        execution_lag=config.execution_lag,
        fill=config.fill,
        delisting_return=delisting_return,
        max_turnover=cap,
    )


def _of_random(
    drawn: BacktestReport, portfolio: dict[str, Any], cost: float, borrow: float = 0.0
) -> dict[str, Any]:
    found = [drawn.summary(cost, one, borrow_bps=borrow) for one in range(drawn.gross.shape[1])]
    sharpe = np.array([one["sharpe"] for one in found])
    low, high = np.quantile(sharpe, BAND)
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    key = {"model": RANDOM, "kind": "rival", **portfolio, "cost_bps": cost}
    return {**key, **means, "sharpe_low": float(low), "sharpe_high": float(high)}
