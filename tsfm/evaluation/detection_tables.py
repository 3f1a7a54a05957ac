"""Results of the detection protocol as tables: means over series with intervals, and Markdown."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tsfm.markdown import markdown_table
from tsfm.metrics.nab import PROFILES
from tsfm.shapes import Float64, ndarray

INTERVAL = (0.05, 0.95)
MEANS = ("auc_pr", "vus_pr", "auc_roc", "alpha")
SHARES = {"found_3": 0.03, "found_10": 0.10}
SCOREBOARD = Path("published") / "nab_scoreboard.csv"
OFFICIAL = {
    "standard": "standard",
    "reward_low_FP": "reward_low_FP_rate",
    "reward_low_FN": "reward_low_FN_rate",
}


def summarise(
    rows: pl.DataFrame,
    whole: list[dict[str, Any]],
    *,
    resamples: int,
    generator: np.random.Generator,
) -> pl.DataFrame:
    """Return one row per set and detector: means over series, and the measures of the whole set.

    Intervals are the middle 90 % of a bootstrap over the series that have an anomaly; all
    detectors of a set are drawn alike.
    """
    summary = []
    draws: dict[str, ndarray] = {}
    for facts in whole:
        part = rows.filter(
            (pl.col("dataset") == facts["dataset"]) & (pl.col("model") == facts["model"])
        ).filter(pl.col("alpha").is_not_nan())
        n_items = part.height
        if facts["dataset"] not in draws:
            draws[facts["dataset"]] = generator.integers(0, max(1, n_items), (resamples, n_items))
        row: dict[str, Any] = {**facts, "n_items": n_items}
        for name in MEANS:
            values = part[name].to_numpy()
            row[name], row[f"{name}_low"], row[f"{name}_high"] = interval(
                values, draws[facts["dataset"]]
            )
        for name, share in SHARES.items():
            row[name] = int((part["alpha"] <= share).sum())
        summary.append(row)
    return pl.DataFrame(summary, infer_schema_length=None)


def interval(
    values: Float64[ndarray, " item"], draws: ndarray
) -> tuple[float, float | None, float | None]:
    """Return the mean and its interval; a series without a value counts as 0 for no detector."""
    if not len(values):
        return float("nan"), None, None
    if len(values) < 2:
        return float(values.mean()), None, None
    low, high = np.nanquantile(np.nanmean(values[draws], axis=1), INTERVAL)
    return float(np.nanmean(values)), float(low), float(high)


def render(
    summary: pl.DataFrame,
    absent: dict[str, str],
    notes: dict[str, str],
    caption: str,
) -> str:
    """Return everything as Markdown, a section per set."""
    parts = ["# Anomaly detection", caption]
    parts += [
        f"No row for {name}: {package} is not installed (extra eval)."
        for name, package in absent.items()
    ]
    for (dataset,), part in summary.group_by("dataset", maintain_order=True):
        ordered = part.sort("vus_pr", descending=True, nulls_last=True)
        parts += [f"## {dataset}", notes[str(dataset)], _areas(ordered), _counts(ordered)]
        if dataset == "nab_shared":
            parts += _scoreboard(ordered)
    return "\n\n".join(parts) + "\n"


def _areas(part: pl.DataFrame) -> str:
    header = ["detector", "scores are", "AUC-PR", "VUS-PR", "AUC-ROC", "alpha", "≤ 3 %", "≤ 10 %"]
    body = [
        [
            _shown(row),
            row["label"],
            *(_with_interval(row, name) for name in MEANS),
            f"{row['found_3']} of {row['n_items']}",
            f"{row['found_10']} of {row['n_items']}",
        ]
        for row in part.iter_rows(named=True)
    ]
    return markdown_table(header, body)


def _counts(part: pl.DataFrame) -> str:
    header = [
        "detector", "pooled AUC-PR", "NAB", "NAB low FP", "NAB low FN", "NAB, train threshold",
        "F1", "point-adjusted F1", "false alarms", "seconds",
    ]  # fmt: skip
    body = [
        [
            _shown(row),
            f"{row['pooled_auc_pr']:.3f}",
            *(f"{row[f'nab_{name}']:.1f}" for name in PROFILES),
            f"{row['nab_train_threshold']:.1f}",
            f"{row['f1']:.3f}",
            f"{row['point_adjusted_f1']:.3f}",
            f"{row['false_alarms']:.2%}",
            f"{row['seconds']:.1f}",
        ]
        for row in part.iter_rows(named=True)
    ]
    return markdown_table(header, body)


def _scoreboard(part: pl.DataFrame) -> list[str]:
    """Return the published scores with ours between them; nothing without the file."""
    file = Path(os.environ.get("TSFM_DATA", "")) / SCOREBOARD
    if not file.is_file():
        return []
    published = pl.read_csv(file).pivot("profile", index="detector", values="score")
    rows = [
        (row["detector"], "published", [row[name] for name in OFFICIAL.values()])
        for row in published.iter_rows(named=True)
    ]
    rows += [
        (_shown(row), "here", [row[f"nab_{name}"] for name in OFFICIAL])
        for row in part.iter_rows(named=True)
    ]
    rows.sort(key=lambda row: -row[2][0])
    body = [[name, source, *(f"{one:.1f}" for one in scores)] for name, source, scores in rows]
    text = (
        "Beside the scoreboard. Published scores are over all 58 series of NAB; the 13 of groups "
        "realTraffic and realAdExchange are not here, so ranks are a hint, not a result."
    )
    return [text, markdown_table(["detector", "from", *OFFICIAL], body)]


def _with_interval(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    text = f"{row[name]:.3f}"
    return text if low is None else f"{text} [{low:.3f}, {high:.3f}]"


def _shown(row: dict[str, Any]) -> str:
    return f"**{row['model']}**" if row["kind"] == "model" else str(row["model"])
