"""Score models on benchmarks: a recipe in, tables and `report.json` out."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ConfigDict, NonNegativeInt
from pydantic.dataclasses import dataclass

from tsfm.config import Recipe, build_sections
from tsfm.environment import ran_on
from tsfm.errors import ConfigError
from tsfm.evaluation import (
    classification,
    coverage,
    detection,
    gift_eval,
    imputation,
    ltsf,
    zero_shot,
)
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.jobs.run_folder import check_run_folder, folder_of, write_config
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.tracking import Tracker, recorded

PROTOCOLS: Mapping[str, Protocol] = {
    "zero_shot": zero_shot.PROTOCOL,
    "gift_eval": gift_eval.PROTOCOL,
    "ltsf": ltsf.PROTOCOL,
    "imputation": imputation.PROTOCOL,
    "detection": detection.PROTOCOL,
    "coverage": coverage.PROTOCOL,
    "classification": classification.PROTOCOL,
}
WRITTEN = ("config.toml", "results.md", "results.parquet")


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class EvaluateRunConfig:
    """The ``[run]`` section of a recipe for `tsfm evaluate`.

    Parameters
    ----------
    seed
        Of the bootstrap and of the windows on which linear baselines are fitted.
    device
        Where models run; ``"auto"`` takes a GPU when there is one.
    output
        Folder of the results; by default ``runs/<recipe>/<seed>``.
    """

    seed: NonNegativeInt = 0
    device: str = "auto"
    output: str | None = None


def run(
    recipe: Recipe, *, output: str | Path | None = None, tracker: Tracker | None = None
) -> dict[str, Any]:
    """Evaluate the models of a recipe.

    Writes ``config.toml``, ``results.parquet``, ``results.md`` and, last, ``report.json``.

    Parameters
    ----------
    output
        Folder of the results; overrides the recipe's.
    tracker
        By default an MLflow run, at the recipe's or the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``: the tables, and where the results are.

    Raises
    ------
    ConfigError
        When the recipe is wrong, or the folder has files that no evaluation left.
    DataError
        When a set cannot be scored, or the harness does not reproduce the published baseline.
    """
    started = time.perf_counter()
    sections = _sections(recipe)
    settings, config = sections["run"], sections["evaluate"]
    protocol = PROTOCOLS[config.protocol]
    default = Path("runs") / recipe.name / str(settings.seed)
    folder = folder_of(output or settings.output, default)
    check_run_folder(folder, "evaluate", (*WRITTEN, REPORT_FILE))
    resolved = {name: asdict(section) for name, section in sections.items()}
    with recorded(tracker or make_tracker(sections["tracking"]), recipe.name, resolved) as record:
        models = _told_apart(
            config.models, [protocol.load(name, device=settings.device) for name in config.models]
        )
        found = protocol.evaluate(config, models, np.random.default_rng(settings.seed))
        report = {
            "recipe": recipe.name,
            "protocol": config.protocol,
            "config": resolved,
            **found.findings,
            "results": found.rows.to_dicts(),
            "models": {model.name: model.facts() for model in models},
            **ran_on(),
            "seconds": time.perf_counter() - started,
        }
        _write(folder, resolved, found.rows, report)
        record.log(0, _metrics(config.protocol, found))
        for name in (*WRITTEN, REPORT_FILE):
            record.artifact(folder / name)
    return {**report, "message": f"{report['table']}\nresults: {folder}"}


def _sections(recipe: Recipe) -> dict[str, Any]:
    """Build the sections; the protocol decides what ``[evaluate]`` must hold."""
    if "backtest" in recipe.sections:
        raise ConfigError(
            f"a recipe for evaluate must have a section [evaluate], got {recipe.source} with "
            f"[backtest]; run tsfm backtest {recipe.name}"
        )
    values = recipe.sections.get("evaluate", {})
    protocol = values.get("protocol") if isinstance(values, Mapping) else None
    if not isinstance(protocol, str) or protocol not in PROTOCOLS:
        raise ConfigError(
            f"{recipe.source}: evaluate.protocol: must be one of {sorted(PROTOCOLS)}, "
            f"got {protocol!r}"
        )
    classes = {
        "run": EvaluateRunConfig,
        "tracking": TrackingConfig,
        "evaluate": PROTOCOLS[protocol].config,
    }
    sections = build_sections(recipe, classes)
    models = sections["evaluate"].models
    if len(set(models)) < len(models):
        raise ConfigError(
            f"{recipe.source}: evaluate.models: must name every model once, got {list(models)}"
        )
    return sections


def _told_apart(asked: Sequence[str], models: list[Any]) -> list[Any]:
    """Call models by what was asked for where their own names are the same, such as checkpoint."""
    names = [model.name for model in models]
    return [
        replace(model, name=name) if names.count(model.name) > 1 else model
        for name, model in zip(asked, models, strict=True)
    ]


def _metrics(name: str, found: Evaluation) -> dict[str, float]:
    """Return scores under paths, ``protocol/place/metric``, without gaps."""
    return {
        f"{name}/{place}/{metric}".replace(" ", "_").replace(",", ""): value
        for place, values in PROTOCOLS[name].metrics(found)
        for metric, value in values.items()
        if value is not None and np.isfinite(value)
    }


def _write(
    folder: Path, resolved: dict[str, Any], rows: pl.DataFrame, report: dict[str, Any]
) -> None:
    """Write the results; `report.json` last, so that its presence means that all is there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REPORT_FILE).unlink(missing_ok=True)
    write_config(folder, resolved)
    rows.write_parquet(folder / "results.parquet")
    (folder / "results.md").write_text(report["table"], encoding="utf-8")
    write_report(folder / REPORT_FILE, report)
