"""`report.json`, the last file of a job: never in the place of a file of somebody else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from tsfm.errors import DataError
from tsfm.lake.store import exists, read, write

REPORT_FILE = "report.json"


def check_report_place(address: str) -> None:
    """Raise when a report would take the place of a file that no job wrote.

    Parameters
    ----------
    address
        Of the report, on this machine or not.

    Raises
    ------
    DataError
        When something else is there.
    """
    if not exists(address):
        return
    try:
        found = json.loads(read(address))
    except ValueError:
        found = None
    # Every report says the versions that made it.
    if not isinstance(found, dict) or "versions" not in found:
        raise DataError(
            f"output must be in a folder without a {REPORT_FILE} of something else, got {address}, "
            "which the report of the job would replace; rename it, or choose another folder"
        )


def write_report(address: str | Path, report: Mapping[str, Any]) -> None:
    """Write a report whole; numbers that JSON does not know are null."""
    known = to_jsonable_python(report, inf_nan_mode="null")
    text = json.dumps(known, indent=2, ensure_ascii=False)
    write(str(address), f"{text}\n".encode())


def n_files(report: Mapping[str, Any]) -> str:
    """Return the number of files in words.

    Examples
    --------
    >>> n_files({"files": [{}]}), n_files({"files": [{}, {}]})
    ('1 file', '2 files')
    """
    number = len(report["files"])
    return f"{number} file{'' if number == 1 else 's'}"
