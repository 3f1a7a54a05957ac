"""What was tried: every portfolio of every backtest that an MLflow experiment holds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from tsfm.mlflow_store import import_mlflow
from tsfm.shapes import Float64, ndarray
from tsfm.stocks.backtest import net_returns
from tsfm.stocks.metrics import information_ratio
from tsfm.stocks.overfitting import (
    deflated_sharpe_ratio,
    expected_best_sharpe,
    probability_of_overfitting,
)

RETURNS_FILE = "returns.parquet"
"""Artifact of a backtest: ``day``, ``model``, ``kind``, ``seed``, ``portfolio`` (null for the best
few; older files have none), ``top_k``, ``gross`` (less what borrowing costs), ``turnover``, a row
per day and portfolio."""
MOST_BLOCKS = 16
KEYS = ("model", "seed", "portfolio", "top_k")


@dataclass(frozen=True)
class Trial:
    """One portfolio that was tried.

    Parameters
    ----------
    days, net
        Its days and what it earned on each, after costs.
    """

    days: ndarray
    net: Float64[ndarray, " day"]

    @property
    def key(self) -> bytes:
        """Equal for two portfolios that earned the same: one that was logged twice."""
        text = np.round(self.net, 12) + 0.0
        return self.days.astype("datetime64[D]").tobytes() + text.tobytes()


def logged_returns(
    dataset: str, *, experiment: str = "tsfm", tracking_uri: str | None = None
) -> list[pl.DataFrame]:
    """Return the `RETURNS_FILE` of every run of an experiment that traded a data set.

    Parameters
    ----------
    dataset
        Name on the card, or ``"simulated"``.
    tracking_uri
        By default MLflow's own.
    """
    client = import_mlflow().MlflowClient(tracking_uri=tracking_uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    frames = []
    with TemporaryDirectory(prefix="tsfm-") as scratch:
        for run in _runs(client, found.experiment_id, dataset):
            if any(one.path == RETURNS_FILE for one in client.list_artifacts(run)):
                folder = Path(scratch) / run
                folder.mkdir()
                file = client.download_artifacts(run, RETURNS_FILE, str(folder))
                frames.append(pl.read_parquet(file))
    return frames


def trials_of(frames: Iterable[pl.DataFrame], cost_bps: float) -> list[Trial]:
    """Return the different portfolios of rankers in the frames, after costs.

    Rivals are no trials: nobody chooses them. What was logged twice counts once.
    """
    found: dict[bytes, Trial] = {}
    for frame in frames:
        ours = frame.filter(pl.col("kind") == "ranker").sort("day")
        for _, part in ours.group_by(
            [one for one in KEYS if one in ours.columns], maintain_order=True
        ):
            net = net_returns(part["gross"].to_numpy(), part["turnover"].to_numpy(), cost_bps)
            trial = Trial(part["day"].to_numpy(), net)
            found.setdefault(trial.key, trial)
    return list(found.values())


def what_luck_explains(chosen: Trial, trials: list[Trial]) -> dict[str, Any]:
    """Return how good a portfolio is beside the best of so many tries.

    Parameters
    ----------
    trials
        All that was tried, `chosen` among them.

    Returns
    -------
    dict
        ``n_trials``; daily ratios ``sharpe`` and ``best_by_luck``; ``deflated_sharpe``; of the
        tries on the same days, ``n_compared`` and ``overfitting``, NaN with fewer than two tries
        or eight days.
    """
    ratios = np.array([information_ratio(one.net) for one in trials])
    known = ratios[np.isfinite(ratios)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    alike = [one.net for one in trials if np.array_equal(one.days, chosen.days)]
    n_blocks = min(MOST_BLOCKS, len(chosen.days) // 4 * 2)
    overfitting = float("nan")
    if len(alike) > 1 and n_blocks >= 4:
        together = np.stack(alike, axis=1)
        overfitting = probability_of_overfitting(together, n_blocks=n_blocks).probability
    return {
        "n_trials": len(trials),
        "sharpe": information_ratio(chosen.net),
        "best_by_luck": expected_best_sharpe(max(1, len(known)), spread),
        "deflated_sharpe": deflated_sharpe_ratio(chosen.net, ratios),
        "n_compared": len(alike),
        "overfitting": overfitting,
    }


def _runs(client: Any, experiment_id: str, dataset: str) -> Iterator[str]:
    """Yield the ids of the runs on a data set, page by page."""
    quote = '"' if "'" in dataset else "'"
    token, kept = None, f"params.`panel.dataset` = {quote}{dataset}{quote}"
    while True:
        page = client.search_runs([experiment_id], filter_string=kept, page_token=token)
        yield from (run.info.run_id for run in page)
        token = page.token
        if not token:
            return
