"""Read back: every observed value to the bit, rows and schema the same, flags in the gaps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.lake.columns import is_missing
from tsfm.lake.opened import opened
from tsfm.lake.options import FillOptions
from tsfm.lake.parts import Part
from tsfm.lake.store import join
from tsfm.lake.text import read_text_file, read_written
from tsfm.lake.write import added_fields
from tsfm.series.validation import Columns


@dataclass(frozen=True)
class Checking:
    """Compares parts with what was written for them; a function for engines, as `Filling`."""

    output: str
    options: FillOptions

    def __call__(self, part: Part) -> str | None:
        """Return what is wrong with a part, None when nothing is."""
        address = join(self.output, part.name)
        if part.columns is None:
            problem = self._compare_text(part.source, address)
            return f"{address}: {problem}" if problem else None
        with opened(part.source) as before, opened(address) as after:
            problem = self._compare(before, after, part.columns)
        return f"{address}: {problem}" if problem else None

    def _compare_text(self, source: str, address: str) -> str | None:
        """Compare two files of text field by field."""
        import pyarrow as pa

        before = read_text_file(source, self.options.columns)
        after = read_written(address)
        columns = before.columns
        added = [name for name, _ in added_fields(columns.targets, self.options)]
        names = [*before.fields.columns, *added]
        if after.fields.columns != names:
            return f"the columns must be {names}, got {after.fields.columns}"
        if (before.separator, before.line_end) != (after.separator, after.line_end):
            return f"fields must be apart by {before.separator!r}, and lines end as they did"
        table = after.fields.to_arrow()
        for target in columns.targets:
            place = table.schema.get_field_index(f"{target}_imputed")
            flags = table.column(place).cast(pa.bool_())
            table = table.set_column(place, f"{target}_imputed", flags)
        return compare_tables(before.fields.to_arrow(), table, columns)

    def _compare(self, before: Any, after: Any, columns: Columns) -> str | None:
        import pyarrow as pa

        schema = before.schema_arrow
        for name, kind in added_fields(columns.targets, self.options):
            schema = schema.append(pa.field(name, pa.type_for_alias(kind)))
        if not schema.equals(after.schema_arrow, check_metadata=False):
            return f"the schema must be {schema.names}, got {after.schema_arrow.names}"
        if before.num_row_groups != after.num_row_groups:
            return "row groups differ in number"
        for number in range(before.num_row_groups):
            old, new = before.read_row_group(number), after.read_row_group(number)
            if self.options.fill_rows:
                new = _rows_of(new, old, columns)
            problem = compare_tables(old, new, columns)
            if problem:
                return f"row group {number}: {problem}"
        return None


def compare_tables(old: Any, new: Any, columns: Columns) -> str | None:
    """Return what a filled table has changed that it must not have, None for nothing."""
    if old.num_rows != new.num_rows:
        return f"there must be {old.num_rows} rows, got {new.num_rows}"
    for name in old.column_names:
        if name not in columns.targets and not same(old.column(name), new.column(name)):
            return f"column {name!r} is not what it was"
    for target in columns.targets:
        before, after = old.column(target), new.column(target)
        missing = is_missing(before)
        flags = new.column(f"{target}_imputed").to_numpy()
        seen = np.flatnonzero(~missing)
        if not same(before.take(seen), after.take(seen)):
            return f"column {target!r}: an observed value is not what it was"
        if (flags != (missing & ~is_missing(after))).any():
            return f"column {target!r}: flags must be where a missing value was filled"
    return None


def same(one: Any, other: Any) -> bool:
    """Compare two columns to the bit; nothing is equal to NaN but the same NaN."""
    if one.type != other.type or len(one) != len(other):
        return False
    width = {"halffloat": "int16", "float": "int32", "double": "int64"}.get(str(one.type))
    if width is not None:  # where 0.0 would equal -0.0, and no NaN another
        bits = [side.combine_chunks().view(width) for side in (one, other)]
        return bool(bits[0].equals(bits[1]))
    # NaN within lists and structs: polars takes all of them as equal.
    return bool(one.equals(other)) or bool(
        pl.Series(pl.from_arrow(one)).equals(pl.Series(pl.from_arrow(other)))
    )


def _rows_of(table: Any, like: Any, columns: Columns) -> Any:
    """Return the rows whose item and stamp are in another table."""
    names = [name for name in (columns.id, columns.timestamp) if name in like.column_names]
    wanted, have = (pl.DataFrame(pl.from_arrow(one.select(names))) for one in (like, table))
    keep = have.with_row_index("__place__").join(
        wanted, on=names, how="semi", maintain_order="left"
    )
    return table.take(keep["__place__"].to_numpy())
