r"""Write a checkpoint's README.md from config, cards of data and reports, never by hand.

    TSFM_DATA=… tsfm evaluate zero_shot
    for n in 64 256 1024; do TSFM_DATA=… tsfm evaluate zero_shot \
        --set evaluate.context_length=$n run.output=runs/zero_shot/context_$n; done
    python benchmarks/model_card.py tsfm/checkpoints/tsfm-small runs/zero_shot/0 \
        runs/zero_shot/context_*

The first report gives the scores; the others, with ``evaluate.context_length`` set, those by
length of context. A report of other weights is refused. Beside the card stands ``failures.svg``:
forecasts of made series of the kinds that are hard, with the scores in the card.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from model_card_failures import failures

from tsfm.errors import DataError
from tsfm.evaluation.zero_shot_tables import COVERAGE, METRICS, with_interval
from tsfm.markdown import markdown_table
from tsfm.models.backbone import count_parameters
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.series.cards import load_card
from tsfm.tasks.forecast import Forecaster

HEADER = ["MASE ratio", "WQL ratio", "80 % coverage"]
N_WORST = 5
FREQUENCIES = {
    "min": "minutes", "T": "minutes", "h": "hours", "H": "hours", "D": "days", "B": "days",
    "W": "weeks", "M": "months", "Q": "quarters", "Y": "years",
}  # fmt: skip


def model_card(checkpoint: Path, reports: list[dict[str, Any]]) -> str:
    """Return the card; the reports must be of the weights in the folder.

    Raises
    ------
    ValueError
        When a report has no such model, or another one under its name.
    """
    model, name = load_pretrained(checkpoint), checkpoint.name
    for report in reports:
        _check(model, name, report)
    rows = [row for row in reports[0]["results"] if row["model"] == name]
    baseline = [row for row in reports[0]["results"] if row["kind"] == "baseline"]
    parts = [
        f"# {name}\n\n" + "\n".join(f"- {fact}" for fact in _facts(model)),
        "## Scores\n\n" + _scores(name, reports[0]),
        "## By frequency\n\n" + _by(rows, baseline, lambda row: _frequency(row["dataset"])),
        "## By length of the series\n\n" + _by(rows, baseline, lambda row: _length(row["dataset"])),
        "## By length of context\n\n" + _by_context(name, reports[1:]),
        "## Where it fails\n\n" + _worst(rows),
        "## Training data\n\n" + _training_data(model),
        "## Limits\n\n" + _limits(model),
    ]
    return "\n\n".join(parts) + "\n"


def _check(model: TimeSeriesModel, name: str, report: dict[str, Any]) -> None:
    facts = report.get("models", {}).get(name)
    ours = {
        "n_parameters": count_parameters(model.backbone),
        "trained_on": list(model.trained_on),
    }
    if report.get("protocol") != "zero_shot" or facts is None:
        raise ValueError(f"a report must be of tsfm evaluate zero_shot with {name!r}, got another")
    different = [key for key, value in ours.items() if facts.get(key) != value]
    if different:
        raise ValueError(
            f"a report must be of the weights in the folder, got other {different} for {name!r}; "
            "evaluate the folder again"
        )


def _facts(model: TimeSeriesModel) -> Iterator[str]:
    provenance, details = model.provenance, model.provenance.details
    yield f"backbone: {model.name}, {count_parameters(model.backbone):,} parameters"
    yield f"context: up to {model.context_length:,} steps, in patches of {model.patch_length}"
    if model.quantile_levels:
        yield f"quantile levels: {', '.join(map(str, model.quantile_levels))}"
    yield f"licence of the weights: {provenance.licence}"
    yield f"training cut-off: {provenance.training_cutoff or 'unknown'}"
    yield f"share of synthetic training windows: {provenance.synthetic_share:.0%}"
    stages = _stages(details)
    for key in ("steps", "points", "seconds"):
        if key in details:
            parts = [f"{stage[key]:,.0f}" for stage in stages if key in stage]
            yield f"{key} of training: {' + '.join(parts)}"
    names = [f"`{stage['name']}`" for stage in stages if "name" in stage]
    if names:
        yield f"recipes: {', '.join(names)}"


def _stages(details: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs that made the weights, the first one first."""
    stages = [details]
    while stages[0].get("started_from"):
        stages.insert(0, stages[0]["started_from"])
    return stages


def _scores(name: str, report: dict[str, Any]) -> str:
    """Return one table per group with several sets: the model, its cheap rivals, the published."""
    says = (
        "Geometric means of ratios to Seasonal Naive (below 1 is better), with 90 % intervals over "
        "sets; `tsfm evaluate zero_shot` makes them."
    )
    parts = [says]
    shown = [row for row in report["summary"] if row["n_sets"] > 1]
    for group in dict.fromkeys(row["group"] for row in shown):
        rows = [row for row in shown if row["group"] == group]
        body = [
            [
                f"**{row['model']}**" if row["model"] == name else row["model"],
                row["label"],
                *(with_interval(row, metric) for metric in METRICS),
                with_interval(row, COVERAGE, 2),
            ]
            for row in sorted(rows, key=lambda row: row["wql_ratio"])
        ]
        table = markdown_table(["model", "scores are", *HEADER], body)
        parts.append(f"{group}, {rows[0]['n_sets']} sets:\n\n{table}")
    return "\n\n".join(parts)


def _by(
    rows: list[dict[str, Any]],
    baseline: list[dict[str, Any]],
    key: Callable[[dict[str, Any]], tuple[int, str]],
) -> str:
    """Return a table over groups of sets, with the best baseline of each beside the model."""
    unseen = [row for row in rows if row["label"] != "seen"]
    body = []
    for group in sorted({key(row) for row in unseen}):
        own = [row for row in unseen if key(row) == group]
        sets = {row["dataset"] for row in own}
        rivals = {row["model"] for row in baseline}
        of_rival = {
            rival: _mean(
                [r for r in baseline if r["model"] == rival and r["dataset"] in sets], METRICS[0]
            )
            for rival in sorted(rivals)
        }
        known = {rival: value for rival, value in of_rival.items() if value is not None}
        best = min(known, key=lambda rival: known[rival]) if known else None
        body.append(
            [
                group[1],
                str(len(own)),
                *(_number(_mean(own, metric)) for metric in METRICS),
                _number(float(np.mean([row["coverage_80"] for row in own])), 2),
                "" if best is None else f"{best}: {known[best]:.3f}",
            ]
        )
    header = ["sets", "number", *HEADER, "best baseline, MASE ratio"]
    note = "" if len(unseen) == len(rows) else "\n\nSets that the model has seen are left out."
    return markdown_table(header, body) + note


def _by_context(name: str, reports: list[dict[str, Any]]) -> str:
    if not reports:
        return "Not measured."
    body = []
    for report in sorted(reports, key=_context_length):
        length = _context_length(report)
        for row in report["summary"]:
            if row["model"] == name and row["n_sets"] > 1:
                values = [_number(row[metric]) for metric in METRICS]
                coverage = _number(row["coverage_80"], 2)
                body.append([f"{length:,}", row["group"], str(row["n_sets"]), *values, coverage])
    return markdown_table(["context", "group", "sets", *HEADER], body)


def _context_length(report: dict[str, Any]) -> int:
    length = report["config"]["evaluate"].get("context_length")
    if length is None:
        raise ValueError(
            "every report after the first must have evaluate.context_length set, got none; "
            "evaluate again with --set evaluate.context_length=256"
        )
    return int(length)


def _worst(rows: list[dict[str, Any]]) -> str:
    lost = [row for row in rows if max(row[metric] or 0 for metric in METRICS) >= 1]
    ordered = sorted(rows, key=lambda row: row["mase_ratio"], reverse=True)[:N_WORST]
    body = [
        [row["dataset"], row["label"], *(_number(row[metric]) for metric in METRICS)]
        for row in ordered
    ]
    says = (
        f"Seasonal Naive is as good or better on {len(lost)} of {len(rows)} sets"
        + (f" ({', '.join(row['dataset'] for row in lost)})" if lost else "")
        + f". The {len(body)} highest MASE ratios:"
    )
    return f"{says}\n\n{markdown_table(['set', 'scores are', *HEADER[:2]], body)}"


def _training_data(model: TimeSeriesModel) -> str:
    body = []
    for name in model.trained_on:
        try:
            card = load_card(name)
        except DataError:
            body.append([f"`{name}`", "no card here", "", ""])
            continue
        body.append([f"`{name}`", _cell(card.title), _cell(card.licence), f"{card.n_obs or 0:,}"])
    says = "What the model says of these series is not zero-shot; `data/` has a card of each."
    return f"{says}\n\n{markdown_table(['set', 'what', 'licence', 'values'], body)}"


def _limits(model: TimeSeriesModel) -> str:
    usual = Forecaster(model).usual_context
    return (
        "Univariate: every channel is read by itself, without covariates or stamps. Steps must be\n"
        f"regular. The network reads no more than {model.context_length:,} steps of the past; a "
        f"forecast reads\n{usual:,} unless `context_length=` says more, and looks further back "
        "only for seasons and far\nhorizons. Quantiles outside the trained levels are extrapolated."
    )


def _frequency(dataset: str) -> tuple[int, str]:
    """Return the unit of a set's steps, with its place in the table."""
    card = load_card(dataset)
    freq = card.freq or ""
    if freq == "step":
        return (len(FREQUENCIES), f"steps without dates, season {card.seasonality}")
    alias = freq.partition("-")[0].lstrip("0123456789")
    unit = FREQUENCIES.get(alias) or FREQUENCIES.get(alias.removesuffix("S").removesuffix("E"))
    names = list(dict.fromkeys(FREQUENCIES.values()))
    return (names.index(unit), unit) if unit else (len(FREQUENCIES) + 1, "mixed")


def _length(dataset: str) -> tuple[int, str]:
    """Return the class of a set's mean length."""
    card = load_card(dataset)
    if not card.n_obs or not card.n_series:
        return (9, "unknown")
    length = card.n_obs / card.n_series / len(card.channels)
    limits = (60, 250, 1000, 5000)
    place = sum(length >= limit for limit in limits)
    names = (
        *(f"under {limit:,} steps" for limit in limits),
        f"{limits[-1]:,} steps and more",
    )
    return (place, names[place])


def _mean(rows: list[dict[str, Any]], metric: str) -> float | None:
    values = [row[metric] for row in rows]
    if not values or any(value is None or value <= 0 for value in values):
        return None
    return float(np.exp(np.mean(np.log(values))))


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def main(arguments: list[str]) -> None:
    """Write the card and the plots of failures into the folder of the checkpoint."""
    if len(arguments) < 2:
        sys.exit("usage: model_card.py CHECKPOINT_FOLDER RUN_FOLDER [RUN_FOLDER…]")
    checkpoint, *folders = map(Path, arguments)
    reports = [json.loads((folder / "report.json").read_text("utf-8")) for folder in folders]
    card = model_card(checkpoint, reports)
    table, drawing = failures(checkpoint)
    marks = "## Training data"
    text = f"{table}\n\n![forecasts of hard kinds of series](failures.svg)\n\n{marks}"
    (checkpoint / "failures.svg").write_text(drawing, encoding="utf-8")
    (checkpoint / "README.md").write_text(card.replace(marks, text, 1), encoding="utf-8")
    print(f"{checkpoint / 'README.md'} from {len(reports)} reports")


if __name__ == "__main__":
    main(sys.argv[1:])
