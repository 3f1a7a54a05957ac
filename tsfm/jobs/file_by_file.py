"""What jobs over a user's files share: each file by itself, then `report.json`, written last."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tsfm.environment import ran_on
from tsfm.errors import DataError
from tsfm.jobs.places import output_places
from tsfm.jobs.report_place import REPORT_FILE, check_report_place
from tsfm.lake.store import write
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.tracking import Tracker, recorded


def run_file_by_file(
    verb: str,
    inputs: Sequence[str | Path],
    output: Path,
    *,
    facts: dict[str, Any],
    do: Callable[[Path, Path], dict[str, Any]],
    totals: Callable[[list[dict[str, Any]]], dict[str, int]],
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Do one thing to every file; what fails is listed, and the others are written all the same.

    Parameters
    ----------
    facts
        How the job was called; recorded as parameters.
    do
        Input file and its place in `output` -> what was done.
    totals
        What was done to all files -> numbers of the whole job.
    tracker
        By default an MLflow run, at the environment's address.

    Raises
    ------
    ConfigError
        When two files would be written to one place, or an input would be overwritten.
    DataError
        When every file failed: that of the first; or when the report has no place.
    """
    started = time.perf_counter()
    places = output_places(inputs, output)
    file = output / REPORT_FILE
    check_report_place(str(file))
    file.unlink(missing_ok=True)
    done, failed = [], []
    with recorded(tracker or make_tracker(TrackingConfig()), verb, facts) as tracker:
        for source, place in places.items():
            try:
                done.append(do(source, place))
            except DataError as error:
                failed.append(error)
        if not done:
            raise failed[0]
        numbers = totals(done)
        report = {
            **facts,
            "output": str(output),
            "files": done,
            **numbers,
            "failed": [str(error) for error in failed],
            "seconds": round(time.perf_counter() - started, 3),
            **ran_on(),
        }
        text = json.dumps(report, indent=2, ensure_ascii=False)
        write(str(file), f"{text}\n".encode())
        measured = {name: float(number) for name, number in numbers.items()}
        tracker.log(0, {**measured, "seconds": report["seconds"]})
        tracker.artifact(file)
    return report


def n_files(report: dict[str, Any]) -> str:
    """Return the number of files in words.

    Examples
    --------
    >>> n_files({"files": [{}]}), n_files({"files": [{}, {}]})
    ('1 file', '2 files')
    """
    number = len(report["files"])
    return f"{number} file{'' if number == 1 else 's'}"
