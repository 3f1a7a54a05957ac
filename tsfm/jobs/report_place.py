"""The place of `report.json`: that of an earlier report, never of a file of somebody else."""

import json

from tsfm.errors import DataError
from tsfm.lake.store import exists, read

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
