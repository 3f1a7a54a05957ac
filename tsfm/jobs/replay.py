"""Replay a recorded run: the same verb with the same configuration, and the numbers compared."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tsfm.config import Recipe
from tsfm.environment import ran_on
from tsfm.errors import ConfigError, UnsupportedError
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.mlflow_store import DEFAULT_URI, answers, import_mlflow
from tsfm.mlflow_tracker import TrackingConfig, make_tracker

# What may differ between two runs that did the same: where, when, how fast, on what, and how many
# runs the store had before (which is what luck counts).
VOLATILE = {
    "config", "commit", "versions", "output", "plot", "run_id", "message", "table", "failed",
    "models", "processes", "luck",
}  # fmt: skip
VOLATILE_PARTS = ("second", "memory", "share_of_matrix")
SHOWN = 12


def run(run_id: str) -> dict[str, Any]:
    """Run again what a run of the tracking store was, beside it and shown under it.

    Parameters
    ----------
    run_id
        Of a run of pretrain, finetune, evaluate, backtest or forecast that ended with a report.

    Returns
    -------
    report
        What ``runs/replay/<run_id>/report.json`` holds, with ``message``. ``failed`` has a line per
        number that is another one now.

    Raises
    ------
    ConfigError
        When there is no such run or store, or the run left no report.
    UnsupportedError
        When the run was of another verb.
    """
    started = time.perf_counter()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    recorded = _recorded(uri, run_id)
    verb = _verb(recorded)
    folder = Path("runs") / "replay" / run_id
    shutil.rmtree(folder, ignore_errors=True)  # half a replay must not be gone on with
    again = VERBS[verb](verb, recorded, folder / verb, TrackingConfig(parent=run_id))
    again = json.loads((folder / verb / REPORT_FILE).read_text(encoding="utf-8")) | {
        "failed": again.get("failed", [])
    }
    differences = list(_differences(recorded, again))
    n_compared = len(_numbers(recorded))
    report = {
        "run_id": run_id,
        "verb": verb,
        "output": str(folder / verb),
        "compared": n_compared,
        "differences": differences,
        "failed": [*again["failed"], *_lines(differences)],
        "recorded": {"commit": recorded.get("commit"), "versions": recorded.get("versions")},
        **ran_on(),
        "seconds": round(time.perf_counter() - started, 3),
    }
    file = folder / REPORT_FILE
    write_report(file, report)
    equal = f"{n_compared - len(differences)} of {n_compared} recorded values are the same again"
    return {**report, "message": f"{verb} of run {run_id}: {equal}; report in {file}"}


def _recorded(uri: str, run_id: str) -> dict[str, Any]:
    """Return the report that a run left in the store."""
    reason = ""
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        reason = "there is no such file"  # which MLflow would make
    elif not answers(uri):
        reason = "nothing listens there"
    if not reason:
        try:
            client = import_mlflow().MlflowClient(tracking_uri=uri)
            client.get_run(run_id)
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
    if reason:
        raise ConfigError(
            f"run_id must be a run in the store {uri}, got {run_id!r}: {reason}; correct it or "
            "MLFLOW_TRACKING_URI"
        )
    place = _place(client, run_id)
    if place is None:
        raise ConfigError(
            f"run {run_id!r} must have ended with a {REPORT_FILE} to be replayed, got none among "
            "its artifacts; run its command again"
        )
    with TemporaryDirectory(prefix="tsfm-") as scratch:
        file = Path(client.download_artifacts(run_id, place, scratch))
        report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return report


def _place(client: Any, run_id: str) -> str | None:
    entries = client.list_artifacts(run_id)
    inner = [one for entry in entries if entry.is_dir for one in _entries(client, run_id, entry)]
    found = [entry.path for entry in (*entries, *inner) if Path(entry.path).name == REPORT_FILE]
    return found[0] if found else None


def _entries(client: Any, run_id: str, folder: Any) -> list[Any]:
    return list(client.list_artifacts(run_id, folder.path))


def _verb(report: Mapping[str, Any]) -> str:
    """Tell from what a report holds which verb wrote it."""
    sections = report.get("config", {})
    if "protocol" in report:
        return "evaluate"
    if "panel" in sections:
        return "backtest"
    if "objective" in sections:
        return "finetune" if "start" in sections else "pretrain"
    if {"prediction_length", "quantile_levels", "inputs"} <= set(report):
        return "forecast"
    raise UnsupportedError(
        f"a run must be of one of {sorted(VERBS)} to be replayed, got a report with "
        f"{sorted(report)}; run its command again"
    )


def _recipe_again(
    verb: str, recorded: dict[str, Any], folder: Path, tracking: TrackingConfig
) -> dict[str, Any]:
    sections = _given(recorded["config"])
    sections["run"] = {**sections.get("run", {}), "output": str(folder)}
    sections["tracking"] = {**sections.get("tracking", {}), "parent": tracking.parent}
    recipe = Recipe(recorded["recipe"], Path(f"run {tracking.parent}"), sections)
    found: dict[str, Any] = import_module(f"tsfm.jobs.{verb}").run(recipe)
    return found


def _forecast_again(
    verb: str, recorded: dict[str, Any], folder: Path, tracking: TrackingConfig
) -> dict[str, Any]:
    from tsfm.jobs import forecast

    names = ("model", "prediction_length", "quantile_levels", "id_column", "timestamp_column")
    return forecast.run(
        recorded["inputs"],
        output=folder / f"{verb}.parquet",
        tracker=make_tracker(tracking),
        **{name: recorded[name] for name in (*names, "target", "freq", "calendar")},
    )


VERBS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "pretrain": _recipe_again,
    "finetune": _recipe_again,
    "evaluate": _recipe_again,
    "backtest": _recipe_again,
    "forecast": _forecast_again,
}


def _given(value: Any) -> Any:
    """Leave out what a recipe leaves out: values that are None."""
    if isinstance(value, Mapping):
        return {key: _given(part) for key, part in value.items() if part is not None}
    return [_given(part) for part in value] if isinstance(value, list | tuple) else value


def _differences(recorded: Mapping[str, Any], again: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    before, after = _numbers(recorded), _numbers(again)
    for place in dict.fromkeys((*before, *after)):
        old, new = before.get(place), after.get(place)
        if old != new:
            yield {"place": place, "recorded": old, "replayed": new}


def _numbers(report: Any, place: str = "") -> dict[str, Any]:
    """Return every value of a report under its path, without what no two runs share."""
    if isinstance(report, Mapping):
        parts = {
            f"{place}.{key}" if place else str(key): value
            for key, value in report.items()
            if key not in VOLATILE and not any(part in str(key) for part in VOLATILE_PARTS)
        }
    elif isinstance(report, list | tuple):
        parts = {f"{place}[{number}]": value for number, value in enumerate(report)}
    else:
        return {place: report}
    return {key: one for inner, part in parts.items() for key, one in _numbers(part, inner).items()}


def _lines(differences: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{one['place']} must be {one['recorded']} again, got {one['replayed']}"
        for one in differences[:SHOWN]
    ]
    n_more = len(differences) - len(lines)
    return [*lines, f"{n_more} more values differ, see {REPORT_FILE}"] if n_more else lines
