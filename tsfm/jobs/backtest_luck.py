"""How much of a backtest luck explains, by the number of tries that the experiment has logged."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tsfm.jobs.backtest_rows import AVERAGED
from tsfm.markdown import markdown_table
from tsfm.mlflow_tracker import MlflowTracker
from tsfm.stocks.metrics import DAYS_PER_YEAR
from tsfm.stocks.trials import logged_returns, trials_of, what_luck_explains
from tsfm.tracking import Tracker

YEARLY = math.sqrt(DAYS_PER_YEAR)
SHOWN = ("sharpe", "best_by_luck", "deflated_sharpe", "overfitting")


def rows(daily: pl.DataFrame, parts: Mapping[str, Any], tracker: Tracker) -> list[dict[str, Any]]:
    """Return one row per portfolio and cost: what `what_luck_explains` says of our portfolio.

    It is that of the averaged scores, or of the only seed. The tries are all portfolios of this
    run and of the runs before it; where nothing is recorded with MLflow, of this run alone.
    """
    frames = [daily]
    if isinstance(tracker, MlflowTracker):
        frames += logged_returns(
            parts["panel"].dataset, experiment=tracker.experiment, tracking_uri=tracker.uri
        )
    ours = daily.filter(pl.col("kind") == "ranker")
    averaged = ours.filter(pl.col("model") == AVERAGED)
    shown = averaged if len(averaged) else ours
    found = []
    for cost in parts["backtest"].costs_bps:
        trials = trials_of(frames, cost)
        for (name, top_k), part in shown.group_by(["portfolio", "top_k"], maintain_order=True):
            (chosen,) = trials_of([part], cost)[:1]
            explained = what_luck_explains(chosen, trials)
            for ratio in ("sharpe", "best_by_luck"):
                explained[ratio] *= YEARLY
            key = {"portfolio": name, "top_k": top_k, "cost_bps": cost}
            found.append({**key, "n_runs": len(frames), **explained})
    return found


def metrics(found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what a tracker records, under paths, without gaps."""
    values = {
        f"stocks/luck/{portfolio_key(row)}/{row['cost_bps']:g}bps/{name}": float(row[name])
        for row in found
        for name in ("n_trials", "best_by_luck", "deflated_sharpe", "overfitting")
    }
    return {name: value for name, value in values.items() if np.isfinite(value)}


def luck_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as Markdown, with what they mean."""
    if not found:
        return "No portfolio was tried."
    n_trials, n_runs = max(row["n_trials"] for row in found), found[0]["n_runs"]
    text = (
        f"{n_trials} portfolios of rankers were tried on this panel in {n_runs} logged runs, this "
        "one included. The best of so many without any edge is expected to have the Sharpe ratio "
        "by luck; deflated is the probability that ours is better than that, overfitted the share "
        "of halves of the test days whose best is below the median of the other half."
    )
    body = [
        [
            f"{portfolio_name(row)}, {row['cost_bps']:g} bp",
            *(
                f"{row[one]:.{digits}f}" if np.isfinite(row[one]) else ""
                for one, digits in zip(SHOWN, (2, 2, 3, 2), strict=True)
            ),
        ]
        for row in found
    ]
    header = ["portfolio", "Sharpe", "by luck", "deflated", "overfitted"]
    return f"{text}\n\n{markdown_table(header, body)}"


def portfolio_name(row: Mapping[str, Any]) -> str:
    """Return what readers call the portfolio of a row.

    Examples
    --------
    >>> portfolio_name({"top_k": 5}), portfolio_name({"portfolio": "neutral", "top_k": None})
    ('the 5 best', 'neutral')
    """
    return row.get("portfolio") or f"the {row['top_k']} best"


def portfolio_key(row: Mapping[str, Any]) -> str:
    """Return what a tracker calls the portfolio of a row; ``top0`` is the market."""
    return row.get("portfolio") or f"top{row['top_k'] or 0}"
