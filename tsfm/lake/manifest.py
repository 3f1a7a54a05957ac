"""The manifest: one small file per part that is done, so that a later run can prove it.

It lies in the folder ``_manifest`` of the output, which readers of lakes skip by its name. A record
is written after its part has its name, so what has no record is done again, to the same bytes.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from tsfm.lake.gap_counts import GapCounts
from tsfm.lake.store import digest, join, list_below, locate, read, remove, write

FOLDER = "_manifest"
FILLS = "fills"
SUFFIX = ".json"


@dataclass(frozen=True)
class Record:
    """What was done to one part.

    Parameters
    ----------
    job
        Digest of options and model.
    partition
        Digest of all input that the output depends on: this part, and those it shares items with.
    input_digest, output_digest
        SHA-256 of the files.
    rows
        Of the output.
    counts
        Gaps by target, as `GapCounts` gives them.
    """

    name: str
    source: str
    job: str
    partition: str
    input_digest: str
    output_digest: str
    rows: int
    items: int
    filled: dict[str, int]
    seconds: float
    counts: dict[str, Any] = field(default_factory=dict)
    left: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    message: str | None = None

    def gap_counts(self) -> dict[str, GapCounts]:
        """Return the gaps by target."""
        return {name: GapCounts.from_json(one) for name, one in self.counts.items()}


def write_record(output: str, record: Record) -> None:
    """Record a part that has its name."""
    text = json.dumps(asdict(record), ensure_ascii=False)
    write(_place(output, record.name), text.encode() + b"\n")


def read_records(output: str) -> dict[str, Record]:
    """Return all records, by name of part; one that cannot be read proves nothing."""
    folder = join(output, FOLDER)
    found = {}
    for name in list_below(folder):
        if name.endswith(SUFFIX):
            try:
                record = Record(**json.loads(read(join(folder, name))))
            except (ValueError, TypeError):
                continue
            found[record.name] = record
    return found


def proves(record: Record, output: str, *, job: str, partition: str) -> bool:
    """Say whether a part is done: same options, model and input, and its bytes are there."""
    if (record.job, record.partition) != (job, partition):
        return False
    try:
        return digest(join(output, record.name)) == record.output_digest
    except OSError:
        return False


def forget(output: str, names: Mapping[str, Any] | set[str]) -> None:
    """Remove the records of some parts, before these are written again."""
    for name in names:
        remove(_place(output, name))


def remove_parts(output: str, records: Iterable[Record]) -> None:
    """Remove what these say was written, with the records; what was changed since then stays."""
    for record in records:
        with suppress(OSError):
            if digest(join(output, record.name)) == record.output_digest:
                remove(output, record.name)
        forget(output, {record.name})


def fills_place(output: str, key: str, part_digest: str) -> str:
    """Return where a chunk keeps what it filled of a part."""
    return join(output, f"{FOLDER}/{FILLS}/{key}/{part_digest}.arrow")


def remove_fills(output: str) -> None:
    """Remove what chunks kept, once the parts are written."""
    folder = join(output, f"{FOLDER}/{FILLS}")
    filesystem, path = locate(folder)
    if list_below(folder):
        filesystem.delete_dir(path)


def _place(output: str, name: str) -> str:
    return join(output, f"{FOLDER}/{name}{SUFFIX}")
