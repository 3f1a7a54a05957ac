"""Impute files: every one is read, filled and written under its own name; `report.json` last."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.environment import commit, peak_memory_mb, versions
from tsfm.errors import DataError
from tsfm.jobs.places import output_places
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.series.files import read_input, write_output
from tsfm.tasks.impute import Imputer
from tsfm.tasks.impute_arrays import bundled_for
from tsfm.tasks.impute_frame import describe_left, read_rows
from tsfm.tracking import Tracker, recorded

REPORT_FILE = "report.json"


def run(
    inputs: Sequence[str | Path],
    *,
    output: Path,
    mode: str = "two_sided",
    max_gap: int | None = None,
    model: str | None = None,
    quantile_levels: Sequence[float] = (),
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Fill the gaps of every file; each file is imputed by itself.

    Parameters
    ----------
    output
        Folder; a file of an input folder keeps its place below it, any other file its name.
    mode
        ``"two_sided"`` or ``"causal"``; a hyphen will do as well.
    tracker
        By default an MLflow run, at the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``. ``failed`` has a line for every file that
        could not be imputed; the others are written all the same.

    Raises
    ------
    DataError
        When no file can be imputed, two would be written to one place, or an input would be
        overwritten.
    """
    started = time.perf_counter()
    mode = mode.replace("-", "_")
    places = output_places(inputs, Path(output))
    imputer = Imputer.from_pretrained(model or bundled_for(mode))
    columns: dict[str, Any] = {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
    }
    options = {"mode": mode, "max_gap": max_gap, "quantile_levels": list(quantile_levels)}
    facts = {"model": model or bundled_for(mode), **options, **columns}
    file = Path(output) / REPORT_FILE
    file.unlink(missing_ok=True)
    done, failed = [], []
    with recorded(tracker or make_tracker(TrackingConfig()), "impute", facts) as tracker:
        for source, place in places.items():
            try:
                done.append(_impute(imputer, source, place, columns, options))
            except DataError as error:
                failed.append(error)
        if not done:
            raise failed[0]
        report = {
            **facts,
            "output": str(output),
            "files": done,
            "rows": sum(one["rows"] for one in done),
            "filled": sum(sum(one["filled"].values()) for one in done),
            "failed": [str(error) for error in failed],
            "seconds": round(time.perf_counter() - started, 3),
            "commit": commit(),
            "versions": versions(),
            "peak_memory_mb": peak_memory_mb(),
        }
        text = json.dumps(report, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
        tracker.log(0, {name: float(report[name]) for name in ("rows", "filled", "seconds")})
        tracker.artifact(file)
    return {**report, "message": _message(report, file)}


def _impute(
    imputer: Imputer,
    source: Path,
    place: Path,
    columns: dict[str, Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    """Fill one file, and say what was done."""
    frame, sources = read_input([source])
    try:
        rows = read_rows(frame, **columns, sources=sources)
        imputed, left = imputer.impute_rows(rows, **options)
    except DataError as error:
        named = str(error).startswith(str(source))
        raise DataError(str(error) if named else f"{source}: {error}") from None
    write_output(imputed, place)
    targets = rows.series.targets
    return {
        "input": str(source),
        "output": str(place),
        "rows": frame.height,
        "items": rows.series.n_items,
        "filled": {target: int(_count(imputed, target)) for target in targets},
        "stay_missing": [{**one._asdict(), "item": str(one.item)} for one in left],
        "message": describe_left(left) if left else None,
    }


def _count(frame: pl.DataFrame, target: str) -> int:
    return int(frame[f"{target}_imputed"].sum())


def _message(report: dict[str, Any], file: Path) -> str:
    left = [f"{one['input']}: {one['message']}" for one in report["files"] if one["message"]]
    n_files = len(report["files"])
    first = (
        f"{report['filled']} values filled in {report['rows']} rows of {n_files} "
        f"file{'' if n_files == 1 else 's'}, report in {file}"
    )
    return "\n".join([first, *left])
