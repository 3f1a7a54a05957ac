"""What a batch imputation did, counted as it goes, and its `report.json`."""

import json
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from tsfm.environment import ran_on
from tsfm.jobs.reports import REPORT_FILE, n_files, write_report
from tsfm.lake.gap_counts import GapCounts
from tsfm.lake.manifest import Record
from tsfm.lake.parts import Part
from tsfm.lake.store import exists, join, read, remove
from tsfm.lake.work import Filling
from tsfm.tracking import Tracker

MOST_LINES = 5
"""Files whose gaps a message speaks of."""


class Progress:
    """What is done and what failed so far.

    Parameters
    ----------
    items
        Name of a part -> its items, as of `scan`.
    done
        Records of parts that an earlier run wrote.
    failed
        What is wrong with files that could not be planned.
    """

    def __init__(
        self,
        filling: Filling,
        items: Mapping[str, pl.DataFrame],
        done: Sequence[Record],
        failed: Sequence[str],
    ) -> None:
        self.filling = filling
        self._items = items
        self.records = list(done)
        self.n_kept = len(done)
        self.failed = list(failed)
        self.facts: dict[str, Any] = {}
        self._rows = 0
        self._tracker: Tracker | None = None
        self._started = time.perf_counter()

    def open(self, facts: dict[str, Any], tracker: Tracker) -> None:
        """Begin: a report of an earlier run is no longer true."""
        remove(self.filling.output, REPORT_FILE)
        self.facts = facts
        self._tracker = tracker

    def add(self, record: Record | None) -> None:
        """Count a part that is done; None is a chunk, of which nothing is written yet."""
        if record is None:
            return
        self.records.append(record)
        self._rows += record.rows
        if self._tracker is not None:
            numbers = {"rows": self._rows, "rows_per_second": self._rows / self.seconds}
            numbers |= {"filled": sum(record.filled.values()), "part_seconds": record.seconds}
            self._tracker.log(len(self.records), {key: float(n) for key, n in numbers.items()})

    def fail(self, source: str, error: str) -> None:
        """List a part that could not be written."""
        self.failed.append(named(source, error))

    @property
    def seconds(self) -> float:
        """Seconds since the job was planned."""
        return time.perf_counter() - self._started

    def log_inputs(self, parts: Sequence[Part], tracker: Tracker) -> None:
        """Record what was read and what was written as data sets."""
        from hashlib import sha256

        sides = {
            "input": sorted(part.digest for part in parts),
            "output": sorted(record.output_digest for record in self.records),
        }
        places = {"input": parts[0].source, "output": self.filling.output}
        for name, digests in sides.items():
            found = sha256("".join(digests).encode()).hexdigest()
            tracker.log_input(f"impute_{name}", found, source=places[name], context=name)

    def report(self) -> dict[str, Any]:
        """Return everything that is known, files in the order of their names."""
        records = sorted(self.records, key=lambda one: one.name)
        counts: dict[str, GapCounts] = {}
        for record in records:
            for target, one in record.gap_counts().items():
                counts[target] = counts.get(target, GapCounts()).plus(one)
        return {
            **self.facts,
            "job": self.filling.job,
            "rows": sum(one.rows for one in records),
            "items": self._n_items(records),
            "filled": sum(sum(one.filled.values()) for one in records),
            "gaps": {target: one.by_length for target, one in counts.items()},
            "refused": {target: one.refused for target, one in counts.items()},
            "files": [self._of_file(one) for one in records],
            "kept_files": self.n_kept,
            "failed": self.failed,
            "run_id": self._tracker.run_id if self._tracker else None,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self._rows / self.seconds),
            "points_per_second": round(
                self._rows * len(self.filling.options.target) / self.seconds
            ),
            **ran_on(),
        }

    def _n_items(self, records: Sequence[Record]) -> int:
        """Count the items of what is written, each once, however many files it lies in."""
        named = [self._items[one.name] for one in records]
        alone = sum(one.items for one, own in zip(records, named, strict=True) if not own.height)
        return alone + (pl.concat(named)["item"].n_unique() if named else 0)

    def _of_file(self, record: Record) -> dict[str, Any]:
        return {
            "name": record.name,
            "input": record.source,
            "output": join(self.filling.output, record.name),
            "rows": record.rows,
            "items": record.items,
            "filled": record.filled,
            "stay_missing": record.left,
            "message": record.message,
            "notes": record.notes,
        }


def named(source: str, error: str) -> str:
    """Return what is wrong with a file, with its name."""
    return error if source in error else f"{source}: {error}"


def record_report(progress: Progress, tracker: Tracker) -> dict[str, Any]:
    """Write `report.json`, and record it."""
    report = progress.report()
    write_report(join(progress.filling.output, REPORT_FILE), report)
    numbers = ("rows", "filled", "seconds", "rows_per_second", "points_per_second")
    tracker.log(len(progress.records), {name: float(report[name]) for name in numbers})
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / REPORT_FILE
        write_report(file, report)
        tracker.artifact(file)
    return {**report, "message": _message(report)}


def rewrite_report(output: str, report: dict[str, Any]) -> dict[str, Any]:
    """Write a report again, to which something was added."""
    written = {name: one for name, one in report.items() if name != "message"}
    write_report(join(output, REPORT_FILE), written)
    return report


def finished_report(output: str, job: str, names: AbstractSet[str]) -> dict[str, Any] | None:
    """Return the report of a job over these files that ended without a failure, if there is one."""
    address = join(output, REPORT_FILE)
    if not exists(address):
        return None
    try:
        report = json.loads(read(address))
    except ValueError:
        return None
    if not isinstance(report, dict) or report.get("job") != job or report.get("failed"):
        return None
    if {one["name"] for one in report["files"]} != names:
        return None
    message = f"nothing to do: {n_files(report)} done before, report in {address}"
    return {**report, "message": message}


def _message(report: dict[str, Any]) -> str:
    told = [one for one in report["files"] if one["message"] or one["notes"]]
    left = [
        f"{one['input']}: {one['message']}" if one["message"] else one["notes"][0]
        for one in told[:MOST_LINES]
    ]
    if len(told) > MOST_LINES:
        left.append(f"{len(told) - MOST_LINES} more files keep gaps; see the report")
    kept = f", {report['kept_files']} of them done before" if report["kept_files"] else ""
    first = (
        f"{report['filled']} values filled in {report['rows']} rows of {n_files(report)}{kept}, "
        f"report in {join(report['output'], REPORT_FILE)}"
    )
    return "\n".join([first, *left])
