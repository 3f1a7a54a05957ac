"""Results of the classification protocol as Markdown: one line per set, means, and the bar."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from tsfm.evaluation.protocols import Evaluation
from tsfm.markdown import markdown_table


def render(rows: pl.DataFrame, bar: str, part: str) -> str:
    """Return the results as Markdown."""
    scored = "test samples" if part == "test" else "training samples, cross-validated"
    caption = (
        f"Accuracy on {scored}; in brackets the seconds of a set, features and head together. "
        "Published rows are of the same split. Higher is better."
    )
    models = list(dict.fromkeys(rows["model"]))
    body = []
    for (dataset,), own in rows.group_by("dataset", maintain_order=True):
        found = {row["model"]: row for row in own.iter_rows(named=True)}
        name = str(dataset).rpartition("/")[2]
        size = next(iter(found.values()))["n_train"]
        body.append([f"{name} ({size})", *(_cell(found.get(model)) for model in models)])
    means = [_mean(rows.filter(model=model)) for model in models]
    body.append(["mean", *means])
    table = markdown_table(["set (training samples)", *models], body)
    return "\n\n".join(["# Classification", caption, table, *verdicts(rows, bar)]) + "\n"


def verdicts(rows: pl.DataFrame, bar: str) -> Iterator[str]:
    """Compare what is ours with the published models, on the sets that both have."""
    ours = [
        str(model)
        for (model, label) in rows.select("model", "label").unique(maintain_order=True).iter_rows()
        if label in ("frozen", "seen", "from scratch")
    ]
    others = list(dict.fromkeys(rows.filter(label="published")["model"]))
    if not others:
        return
    for model in dict.fromkeys(ours):
        own = rows.filter(model=model)
        lines = [f"{model}, {own['seconds'].sum():.0f} seconds for {len(own)} sets:"]
        for other in others:
            both = own.join(rows.filter(model=other), on="dataset", suffix="_published")
            gain = (both["accuracy"] - both["accuracy_published"]).to_numpy()
            verdict = ""
            if other == bar:
                verdict = f"; the bar is {'passed' if gain.mean() > 0 else 'missed'}"
            lines.append(
                f"- {other}: {gain.mean():+.3f}{_error(gain)} on average, at least as good on "
                f"{(gain >= 0).sum()} of {len(gain)} sets{verdict}"
            )
        yield "\n".join(lines)


def metrics(found: Evaluation) -> Iterator[tuple[str, Mapping[str, float | None]]]:
    """Yield accuracy and seconds of what was scored here."""
    for row in found.rows.iter_rows(named=True):
        if row["label"] != "published":
            place = f"{row['dataset']}/{row['model']}"
            yield place, {name: row[name] for name in ("accuracy", "seconds")}


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    text = f"{row['accuracy']:.3f}"
    return text if row.get("seconds") is None else f"{text} ({row['seconds']:.1f})"


def _mean(rows: pl.DataFrame) -> str:
    found = rows["accuracy"].to_numpy()
    sets = "1 set" if len(found) == 1 else f"{len(found)} sets"
    return f"{found.mean():.3f}{_error(found)}, {sets}"


def _error(values: np.ndarray) -> str:
    """Return the standard error of the mean, where there is more than one set."""
    return f" ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}" if len(values) > 1 else ""
