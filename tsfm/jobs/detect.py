"""Score files: every one is read, scored and written under its own name; `report.json` last."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tsfm.environment import commit, peak_memory_mb, versions
from tsfm.errors import DataError
from tsfm.jobs.places import output_places
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.series.files import read_input, write_output
from tsfm.tasks.detect import FLAG, SCORE, Detector
from tsfm.tracking import Tracker, recorded

REPORT_FILE = "report.json"


def run(
    inputs: Sequence[str | Path],
    *,
    output: Path,
    model: str = "tsfm-small",
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    target: str | Sequence[str] = "target",
    freq: str | None = None,
    calendar: str | None = None,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Score the rows of every file; each file is scored by itself.

    Parameters
    ----------
    output
        Folder; a file of an input folder keeps its place below it, any other file its name.
    model
        A folder of `Detector.save_pretrained` brings its threshold, and rows are flagged too.
    tracker
        By default an MLflow run, at the environment's address.

    Returns
    -------
    report
        What ``report.json`` holds, with ``message``. ``failed`` has a line for every file that
        could not be scored; the others are written all the same.

    Raises
    ------
    ConfigError
        When two files would be written to one place, or an input would be overwritten.
    DataError
        When no file can be scored.
    """
    started = time.perf_counter()
    places = output_places(inputs, Path(output))
    detector = Detector.from_pretrained(model)
    columns: dict[str, Any] = {
        "id_column": id_column,
        "timestamp_column": timestamp_column,
        "target": target,
        "freq": freq,
        "calendar": calendar,
    }
    threshold = None if detector.threshold is None else asdict(detector.threshold)
    facts = {"model": model, "threshold": threshold, **columns}
    file = Path(output) / REPORT_FILE
    file.unlink(missing_ok=True)
    done, failed = [], []
    with recorded(tracker or make_tracker(TrackingConfig()), "detect", facts) as tracker:
        for source, place in places.items():
            try:
                done.append(_score(detector, source, place, columns))
            except DataError as error:
                failed.append(error)
        if not done:
            raise failed[0]
        report = {
            **facts,
            "output": str(output),
            "files": done,
            "rows": sum(one["rows"] for one in done),
            "failed": [str(error) for error in failed],
            "seconds": round(time.perf_counter() - started, 3),
            "commit": commit(),
            "versions": versions(),
            "peak_memory_mb": peak_memory_mb(),
        }
        text = json.dumps(report, indent=2, ensure_ascii=False)
        file.write_text(text + "\n", encoding="utf-8")
        tracker.log(0, {name: float(report[name]) for name in ("rows", "seconds")})
        tracker.artifact(file)
    return {**report, "message": _message(report, file)}


def _score(
    detector: Detector, source: Path, place: Path, columns: dict[str, Any]
) -> dict[str, Any]:
    """Score one file, and say what was found."""
    frame, _ = read_input([source])
    try:
        scored = detector.detect(frame, **columns)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    write_output(scored, place)
    return {
        "input": str(source),
        "output": str(place),
        "rows": scored.height,
        "scored": scored.height - scored[SCORE].null_count(),
        "highest": scored[SCORE].max(),
        "flagged": int(scored[FLAG].sum()) if FLAG in scored.columns else None,
    }


def _message(report: dict[str, Any], file: Path) -> str:
    n_files = len(report["files"])
    scored = sum(one["scored"] for one in report["files"])
    flagged = [one["flagged"] for one in report["files"] if one["flagged"] is not None]
    flags = f", {sum(flagged)} flagged" if flagged else ""
    return (
        f"{scored} of {report['rows']} rows of {n_files} file{'' if n_files == 1 else 's'} "
        f"scored{flags}, report in {file}"
    )
