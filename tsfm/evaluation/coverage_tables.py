"""The results of the coverage protocol as Markdown."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from tsfm.markdown import markdown_table

HEADER = ["set", "calibration", "coverage", "kept", "worst step", "width", "cutoffs", "is"]


def coverage_tables(rows: pl.DataFrame, nominal: float, bar: tuple[float, float]) -> str:
    """Return a table per model, and how many sets are kept: within the bar."""
    low, high = bar
    caption = (
        f"Share of truths within intervals of {nominal:.0%}, ± standard error over tested "
        f"forecasts; kept: between {low:.0%} and {high:.0%}. Of the cutoffs one horizon apart the "
        "newest half is tested, each with margins from all truths that were known by then, also of "
        "cutoffs in between. Worst step: of the horizon, the one farthest from what was claimed. "
        "Width: of the interval, over that before calibration. Of counts that are mostly zero "
        f"nothing lies below the lower end: equal tails hold {(1 + nominal) / 2:.0%} or more."
    )
    parts = ["# Coverage", caption]
    for (model,), part in rows.group_by("model", maintain_order=True):
        body = [_cells(row, bar) for row in part.iter_rows(named=True)]
        parts += [f"## {model}", markdown_table(HEADER, body), _verdict(part, bar)]
    return "\n\n".join(parts) + "\n"


def _cells(row: Mapping[str, Any], bar: tuple[float, float]) -> list[str]:
    start = [row["dataset"], row["method"]]
    counts = [f"{row['n_cutoffs']}", row["label"]]
    if row["coverage"] is None:
        return [*start, "too few cutoffs", "", "", "", *counts]
    return [
        *start,
        f"{row['coverage']:.1%} ± {row['standard_error']:.1%}",
        "yes" if bar[0] <= row["coverage"] <= bar[1] else "no",
        f"{row['worst_step']:.0%}",
        f"{row['width_ratio']:.2f}",
        *counts,
    ]


def _verdict(rows: pl.DataFrame, bar: tuple[float, float]) -> str:
    """Count the sets within the bar, and name those that are not."""
    lines = []
    for (method,), part in rows.group_by("method", maintain_order=True):
        scored = part.drop_nulls("coverage")
        is_kept = scored["coverage"].is_between(*bar)
        missed = [
            f"{row['dataset']} {row['coverage']:.1%}"
            for row in scored.filter(~is_kept).iter_rows(named=True)
        ]
        tail = f"; not {', '.join(missed)}" if missed else ""
        lines.append(f"- {method}: kept on {is_kept.sum()} of {len(part)} sets{tail}.")
    return "\n".join(lines)
