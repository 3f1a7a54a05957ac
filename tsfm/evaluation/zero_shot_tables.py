"""Results of the zero-shot protocol as tables: geometric means over sets, and Markdown."""

from collections.abc import Iterator, Sequence
from math import exp
from typing import Any

import numpy as np
import polars as pl

from tsfm.evaluation.protocols import Evaluation
from tsfm.markdown import markdown_table
from tsfm.shapes import Float, ndarray

INTERVAL = (0.05, 0.95)
METRICS = ("mase_ratio", "wql_ratio")
COVERAGE = "coverage_80"


def summarise(
    rows: pl.DataFrame, *, resamples: int, generator: np.random.Generator
) -> pl.DataFrame:
    """Return per group and model geometric means of ratios and mean coverage, with 90 % intervals.

    The interval is a percentile bootstrap over sets: how far the mean depends on which sets are
    in the group. A model that lacks a set of the group is left out of that group.
    """
    summary: list[dict[str, Any]] = []
    for (group,), in_group in rows.group_by("group", maintain_order=True):
        n_sets = in_group["dataset"].n_unique()
        draws = generator.integers(0, n_sets, (resamples, n_sets))
        for (model,), part in in_group.group_by("model", maintain_order=True):
            if len(part) < n_sets:
                continue
            row: dict[str, Any] = {
                "group": group,
                "model": model,
                "kind": part["kind"][0],
                "label": _label(part),
                "n_sets": n_sets,
            }
            for metric in METRICS:
                with np.errstate(divide="ignore"):  # a forecast without an error
                    logs = np.log(part[metric].to_numpy())
                ends = [None if end is None else exp(end) for end in _interval(logs, draws)]
                row |= _named(metric, ends)
            covered = part[COVERAGE].drop_nulls().to_numpy()
            is_known = len(covered) == n_sets
            row |= _named(COVERAGE, _interval(covered, draws) if is_known else [None] * 3)
            row["seconds"] = part["seconds"].sum() if part["kind"][0] != "published" else None
            summary.append(row)
    return pl.DataFrame(summary, infer_schema_length=None)


def render(
    rows: pl.DataFrame,
    summary: pl.DataFrame,
    harness: list[dict[str, Any]],
    must_match: tuple[str, ...],
) -> str:
    """Return everything as Markdown: the check of the harness, the summary, then the sets."""
    parts = [text] if (text := _harness_text(rows, harness, must_match)) else []
    for (group,), part in summary.group_by("group", maintain_order=True):
        of_group = rows.filter(pl.col("group") == group)
        references = sorted(of_group["reference"].unique())
        parts += [
            f"## {group}",
            _caption(references, part["n_sets"][0], _without_ratio(of_group)),
            _summary_table(part),
            _set_table(of_group, part, "mase"),
            _set_table(of_group, part, "wql"),
        ]
    return "\n\n".join(parts) + "\n"


def metrics(found: Evaluation) -> Iterator[tuple[str, dict[str, float | None]]]:
    """Yield the ratios of every model in every group; published ones are not ours to record."""
    for row in found.findings["summary"]:
        if row["kind"] != "published":
            yield f"{row['group']}/{row['model']}", {metric: row[metric] for metric in METRICS}


def _label(part: pl.DataFrame) -> str:
    """Return the label of a model in a group; one seen set is enough not to be zero-shot."""
    seen = int((part["label"] == "seen").sum())
    if not seen:
        return str(part["label"][0])
    return "seen" if seen == len(part) else f"seen ({seen} of {len(part)} sets)"


def _named(metric: str, interval: Sequence[float | None]) -> dict[str, float | None]:
    return dict(zip((metric, f"{metric}_low", f"{metric}_high"), interval, strict=True))


def _interval(values: Float[ndarray, " dataset"], draws: np.ndarray) -> list[float | None]:
    """Return the mean over sets, and the ends between which it would lie with other sets."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return [mean, None, None]
    return [mean, *(float(end) for end in np.quantile(values[draws].mean(1), INTERVAL))]


def _harness_text(
    rows: pl.DataFrame, harness: list[dict[str, Any]], must_match: tuple[str, ...]
) -> str:
    lines = []
    checked = {check["dataset"] for check in harness}
    selected = set(rows["dataset"])
    unchecked = [name for name in must_match if name in selected - checked]
    if unchecked:
        lines += [f"Not checked, no published table found: {', '.join(unchecked)}.", ""]
    if harness:
        lines += [
            "Our Seasonal Naive beside the published one.",
            "",
            markdown_table(
                ["set", "MASE, ours", "published", "difference", "WQL, ours", "published", "same"],
                [_harness_row(check) for check in harness],
            ),
        ]
    different = [check["dataset"] for check in harness if not check["same"]]
    if different:
        lines += [
            "",
            f"Not quite the published data, so compare with care: {', '.join(different)}.",
        ]
    return "\n".join(["## Harness", "", *lines]).rstrip() if lines else ""


def _harness_row(check: dict[str, Any]) -> list[str]:
    same = "yes" if check["same"] else "no"
    return [
        check["dataset"],
        f"{check['ours_mase']:.4f}",
        f"{check['published_mase']:.4f}",
        f"{check['difference']:+.4f}",
        f"{check['ours_wql']:.4f}",
        f"{check['published_wql']:.4f}",
        same if check["required"] else f"{same} (not required)",
    ]


def _without_ratio(rows: pl.DataFrame) -> list[str]:
    """Return the sets on which something has no ratio, which leaves it without a mean."""
    lacks = pl.any_horizontal(pl.col(METRICS).is_nan())
    return rows.filter(lacks)["dataset"].unique(maintain_order=True).to_list()


def _caption(references: list[str], n_sets: int, without: list[str]) -> str:
    over = (
        f"geometric mean over {n_sets} sets; in brackets the middle 90 % of a bootstrap over sets"
        if n_sets > 1
        else "one set"
    )
    caption = (
        f"Ratios to Seasonal Naive ({' or '.join(references)}), {over}. Lower is better; coverage "
        "of the 80 % interval should be 0.80."
    )
    if without:
        caption += (
            f" No ratio, and so no mean, because of {', '.join(without)}: Seasonal Naive has no "
            "error there, or nothing can be scored; leave it out."
        )
    return caption


def _summary_table(summary: pl.DataFrame) -> str:
    header = ["model", "label", "MASE ratio", "WQL ratio", "80 % coverage", "seconds"]
    body = [
        [
            _shown(row),
            row["label"],
            *(with_interval(row, metric) for metric in METRICS),
            with_interval(row, COVERAGE, 2),
            _number(row["seconds"], 1),
        ]
        for row in summary.sort("wql_ratio", maintain_order=True).iter_rows(named=True)
    ]
    return markdown_table(header, body)


def _set_table(rows: pl.DataFrame, summary: pl.DataFrame, metric: str) -> str:
    """Return one line per set and one column per model that is ours, and the best published."""
    ours = summary.filter(pl.col("kind") != "published")["model"].to_list()
    others = summary.filter(pl.col("kind") == "published").sort("wql_ratio")["model"].to_list()
    columns = [*ours, *others[:4]]
    body = []
    for (dataset,), part in rows.group_by("dataset", maintain_order=True):
        found = {row["model"]: row for row in part.iter_rows(named=True)}
        body.append(
            [
                f"{dataset} ({part['n_items'][0]:,})",
                *(_cell(found[name], metric) for name in columns),
            ]
        )
    return markdown_table([f"{metric.upper()} per set (series)", *columns], body)


def _cell(row: dict[str, Any], metric: str) -> str:
    digits = 3 if metric == "mase" else 4
    text = _number(row[metric], digits)
    error = row["mase_standard_error"]
    if metric == "mase" and row["kind"] == "model" and error is not None and error == error:
        text += f" ± {error:.3f}"
    return f"{text} (seen)" if row["label"] == "seen" else text


def with_interval(row: dict[str, Any], metric: str, digits: int = 3) -> str:
    """Return a mean of a summary, with its interval where it has one."""
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    text = _number(row[metric], digits)
    return text if low is None else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _shown(row: dict[str, Any]) -> str:
    return f"**{row['model']}**" if row["kind"] == "model" else row["model"]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"
