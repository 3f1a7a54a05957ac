"""The one function that engines run over the units of a plan."""

import json
import time
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from tsfm.errors import DataError
from tsfm.lake.fill_text import fill_text
from tsfm.lake.gap_counts import GapCounts
from tsfm.lake.manifest import Record, fills_place, write_record
from tsfm.lake.options import Checkpoint, FillOptions
from tsfm.lake.parts import Part
from tsfm.lake.plan import Chunk, Merge, Whole
from tsfm.lake.solve import ROW, STAMP, Fills, solve
from tsfm.lake.store import digest, join, locate, replacing, write
from tsfm.lake.write import write_part
from tsfm.series.validation import Columns


@dataclass(frozen=True)
class Filling:
    """Fills one unit of a plan and commits what it wrote; every call is independent of others.

    Parameters
    ----------
    output
        Folder, or address of one.
    job
        Digest of options and model.
    """

    output: str
    options: FillOptions
    checkpoint: Checkpoint
    job: str

    def __call__(self, unit: Whole | Chunk | Merge) -> Record | None:
        """Return the record of a part that was written, None for a chunk.

        Raises
        ------
        DataError
            When the part cannot be read, filled or written; nothing is left of it then.
        """
        started = time.perf_counter()
        if isinstance(unit, Chunk):
            self._keep(unit)
            return None
        part = unit.part
        if part.columns is None:
            return self._commit_text(part, unit.partition, started)
        if isinstance(unit, Whole):
            (fills,) = solve([part], None, self.options, self.checkpoint.imputer())
        else:
            fills = self._kept(unit)
        return self._commit(part, part.columns, fills, unit.partition, started)

    def _commit(
        self, part: Part, columns: Columns, fills: Fills, partition: str, started: float
    ) -> Record:
        address = join(self.output, part.name)
        with replacing(address) as temporary:
            rows, filled = write_part(part, columns, fills.table, self.options, temporary)
            output_digest = digest(temporary)
        return self._record(part, partition, output_digest, rows, filled, fills, started)

    def _record(
        self,
        part: Part,
        partition: str,
        output_digest: str,
        rows: int,
        filled: dict[str, int],
        fills: Fills,
        started: float,
    ) -> Record:
        record = Record(
            name=part.name,
            source=part.source,
            job=self.job,
            partition=partition,
            input_digest=part.digest,
            output_digest=output_digest,
            rows=rows,
            items=part.n_items,
            filled=filled,
            seconds=round(time.perf_counter() - started, 3),
            counts={name: one.to_json() for name, one in fills.counts.items()},
            left=list(fills.left),
            notes=list(fills.notes),
            message=fills.message,
        )
        write_record(self.output, record)
        return record

    def _keep(self, chunk: Chunk) -> None:
        """Solve a chunk, and keep what goes into each of its parts."""
        found = solve(chunk.parts, chunk.items, self.options, self.checkpoint.imputer())
        for part, fills in zip(chunk.parts, found, strict=True):
            table = fills.table.to_arrow()
            facts = {
                "counts": {name: one.to_json() for name, one in fills.counts.items()},
                "left": fills.left,
                "notes": fills.notes,
                "message": fills.message,
            }
            table = table.replace_schema_metadata({"facts": json.dumps(facts)})
            _write_arrow(table, fills_place(self.output, chunk.key, part.digest))

    def _kept(self, merge: Merge) -> Fills:
        """Return what the chunks of a part kept, as one."""
        tables, counts, left, notes, message = [], dict[str, GapCounts](), [], [], None
        for key in merge.chunks:
            table = _read_arrow(fills_place(self.output, key, merge.part.digest))
            facts = json.loads(table.schema.metadata[b"facts"])
            tables.append(pl.DataFrame(pl.from_arrow(table)))
            for name, one in facts["counts"].items():
                counts[name] = counts.get(name, GapCounts()).plus(GapCounts.from_json(one))
            left += facts["left"]
            notes += facts["notes"]
            message = message or facts["message"]
        order = [name for name in (ROW, "is_new", STAMP) if name in tables[0].columns]
        together = pl.concat(tables, how="vertical_relaxed").sort(order, maintain_order=True)
        return Fills(together, counts, tuple(left), tuple(dict.fromkeys(notes)), message)

    def _commit_text(self, part: Part, partition: str, started: float) -> Record:
        """Fill a file of text, which is read and written whole."""
        if self.options.fill_rows:
            raise DataError(f"{part.source} must be Parquet for rows to be added; convert it")
        found = fill_text(part.source, self.options, self.checkpoint.imputer())
        address = join(self.output, part.name)
        write(address, found.content)
        part = replace(part, n_items=found.n_items)
        return self._record(
            part, partition, digest(address), found.n_rows, found.filled, found.fills, started
        )


def _write_arrow(table: Any, address: str) -> None:
    import pyarrow as pa

    with replacing(address) as temporary:
        filesystem, path = locate(temporary)
        with (
            filesystem.open_output_stream(path) as sink,
            pa.ipc.new_stream(sink, table.schema) as writer,
        ):
            writer.write_table(table)


def _read_arrow(address: str) -> Any:
    import pyarrow as pa

    filesystem, path = locate(address)
    with filesystem.open_input_stream(path) as content, pa.ipc.open_stream(content) as stream:
        return stream.read_all()
