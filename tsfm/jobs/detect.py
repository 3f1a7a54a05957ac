"""Score files: every one is read, scored and written under its own name; `report.json` last."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from tsfm.environment import ran_on
from tsfm.errors import DataError
from tsfm.jobs.places import output_places
from tsfm.jobs.reports import REPORT_FILE, check_report_place, n_files, write_report
from tsfm.lake.footer import with_added
from tsfm.lake.store import replacing, write
from tsfm.lake.text import read_text_file
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.series.files import read_table
from tsfm.series.folder_values import names_in_file
from tsfm.tasks.detect import FLAG, SCORE, Detector
from tsfm.tracking import Tracker, recorded


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
        When no file can be scored: what is wrong with the first; or when the report has no place.
    """
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
    started = time.perf_counter()
    places = output_places(inputs, output)
    file = output / REPORT_FILE
    check_report_place(str(file))
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
            **ran_on(),
        }
        write_report(file, report)
        tracker.log(0, {"rows": float(report["rows"]), "seconds": report["seconds"]})
        tracker.artifact(file)
    return {**report, "message": _message(report)}


def _score(
    detector: Detector, source: Path, place: Path, columns: dict[str, Any]
) -> dict[str, Any]:
    """Score one file, and say what was found."""
    text = read_text_file(source, columns) if place.suffix == ".csv" else None
    frame: Any = text.typed if text else read_table(source)
    asked = text.asked if text else names_in_file(columns, source, frame.column_names)
    try:
        scored = detector.detect(frame, **asked)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    names = [SCORE] if detector.threshold is None else [SCORE, FLAG]
    added = pl.DataFrame([pl.Series(name, scored[name]) for name in names])
    if text:
        write(str(place), text.to_csv(text.fields.hstack(added)))
    else:
        kinds = [(name, "bool" if name == FLAG else "double") for name in names]
        metadata = with_added(scored.schema.metadata, kinds)
        _write_table(scored.replace_schema_metadata(metadata), place)
    return {
        "input": str(source),
        "output": str(place),
        "rows": added.height,
        "scored": added.height - added[SCORE].null_count(),
        "highest": added[SCORE].max(),
        "flagged": int(added[FLAG].sum()) if FLAG in names else None,
    }


def _write_table(table: Any, place: Path) -> None:
    import pyarrow.parquet as pq

    with replacing(str(place)) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _message(report: dict[str, Any]) -> str:
    scored = sum(one["scored"] for one in report["files"])
    flagged = [one["flagged"] for one in report["files"] if one["flagged"] is not None]
    flags = f", {sum(flagged)} flagged" if flagged else ""
    return (
        f"{scored} of {report['rows']} rows of {n_files(report)} scored{flags}, "
        f"report in {report['output']}/{REPORT_FILE}"
    )
