"""Parts: the files of a lake, what each one holds, and the columns that jobs read of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.lake.opened import opened
from tsfm.lake.options import FillOptions
from tsfm.lake.store import digest, is_parquet
from tsfm.series.folder_values import hive_nulls, hive_values
from tsfm.series.offsets import read_offset, require_zone
from tsfm.series.validation import Columns, pick_columns
from tsfm.shapes import Int, ndarray


@dataclass(frozen=True)
class Part:
    """One file of a lake, as it was when the job was planned.

    Parameters
    ----------
    source
        Where it is.
    name
        Its place below the output folder.
    n_items
        Items that have rows in it; 0 for a file of text, of which only who reads it whole knows.
    columns
        None for a file that is no Parquet.
    key
        The item of all its rows, when the name of a folder says it.
    """

    source: str
    name: str
    digest: str
    n_rows: int
    n_items: int
    columns: Columns | None = None
    key: str | None = None


def scan(source: str, name: str, options: FillOptions) -> tuple[Part, pl.DataFrame]:
    """Look a file over: its digest, rows, columns, and how many rows every item has.

    Returns
    -------
    part
    items
        Columns `item` (as text) and `rows`; none for a file that is one item.

    Raises
    ------
    DataError
        When it cannot be read, lacks a column, or has a row without an item.
    """
    if not is_parquet(source):
        return Part(source, name, digest(source), 0, 0), no_items()
    with opened(source) as file:
        schema, metadata = file.schema_arrow, file.metadata
    n_rows = metadata.num_rows
    names = _picked(schema, source, name, options)
    key = None
    if names.has_id and names.id not in schema.names:
        key = hive_values(name)[names.id]
    found = digest(source)
    part = Part(source, name, found, n_rows, min(n_rows, 1), names, key)
    if key is not None:
        return part, pl.DataFrame({"item": [key], "rows": [n_rows]}, schema=no_items().schema)
    if not names.has_id:
        return part, no_items()
    items = _items(part, [] if _has_deltas(metadata, names.id) else [names.id])
    return replace(part, n_items=items.height), items


def no_items() -> pl.DataFrame:
    """Return the table of items of a file without any."""
    return pl.DataFrame(schema={"item": pl.String, "rows": pl.Int64})


def _picked(schema: Any, source: str, name: str, options: FillOptions) -> Columns:
    """Find the columns by the rules for frames; an id may also be the name of a folder."""
    twice = [name for name, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise DataError(
            f"{source}: columns must have names of their own, got {twice} twice; rename them"
        )
    empty: dict[str, list[None]] = {column: [] for column in schema.names}
    empty |= {column: [] for column in hive_values(name)}
    found = pick_columns(
        pl.DataFrame(empty),
        options.id_column,
        options.timestamp_column,
        list(options.target),
        [(source, 0)],
    )
    if not found.has_id and found.id in hive_nulls(name):
        raise DataError(
            f"{source}, column {found.id!r}: every row must have an id, got a folder that says "
            "there is none; name it by the item, or leave it out of the input"
        )
    for column in (found.timestamp, *found.targets):
        if column not in schema.names:
            raise DataError(
                f"{source}: column {column!r} must be in the file, got it as the name of a folder; "
                "write it into the file"
            )
    if found.has_id and found.id == found.timestamp:
        raise DataError(
            f"{source}: ids and stamps must be in two columns, got {found.id!r} for both; name "
            "another as id_column or timestamp_column"
        )
    if found.has_id and found.id in schema.names:
        _check_id(schema.field(found.id), source)
    _check_zone(schema.field(found.timestamp), source)
    return found


def _check_id(field: Any, source: str) -> None:
    import pyarrow as pa

    if pa.types.is_nested(field.type):
        raise DataError(
            f"{source}, column {field.name!r}: ids must be text or numbers, got {field.type}; "
            "take one of its fields"
        )


def _check_zone(field: Any, source: str) -> None:
    import pyarrow as pa

    offset = read_offset(field.type.tz) if pa.types.is_timestamp(field.type) else None
    if offset is not None:
        try:
            require_zone(offset, field.name)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None


def _has_deltas(metadata: Any, name: str) -> bool:
    """Say whether a column is encoded as differences, which nobody reads as a dictionary."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    encodings = {
        encoding for one in chunks if one.path_in_schema == name for encoding in one.encodings
    }
    return any(encoding.startswith("DELTA") for encoding in encodings)


def _items(part: Part, dictionary: Sequence[str]) -> pl.DataFrame:
    """Count the rows of every item, one row group at a time."""
    import pyarrow.compute as pc

    columns = _columns(part)
    counts = []
    with opened(part.source, dictionary=dictionary) as file:
        for number in range(file.num_row_groups):
            ids = file.read_row_group(number, columns=[columns.id]).column(0)
            if ids.null_count:
                raise DataError(
                    f"{part.source}, column {columns.id!r}: every row must have an id, got "
                    f"{ids.null_count} rows without one; fill it or drop the rows"
                )
            found = pc.value_counts(ids.combine_chunks())
            item = _as_text(found.field("values"), part)
            counts.append(
                pl.DataFrame({"item": pl.from_arrow(item), "rows": found.field("counts")})
            )
    together = pl.concat([no_items(), *counts])
    return together.group_by("item", maintain_order=True).agg(pl.col("rows").sum())


def read_rows_of(
    part: Part, items: Sequence[str] | None = None
) -> tuple[pl.DataFrame, Int[ndarray, " row"]]:
    """Read id, stamp and targets of a part, and the number of every row in it.

    Parameters
    ----------
    items
        Only rows of these, as text; row groups that cannot hold any are not read.
    """
    import pyarrow as pa

    columns = _columns(part)
    in_file = columns.has_id and part.key is None
    names = [*([columns.id] if in_file else []), columns.timestamp, *columns.targets]
    tables, rows, start = [], [], 0
    with opened(part.source) as file:
        for number in range(file.num_row_groups):
            n_rows = file.metadata.row_group(number).num_rows
            if not in_file or _may_hold(file.metadata.row_group(number), columns.id, items):
                table = file.read_row_group(number, columns=names).select(names)
                kept = np.arange(n_rows)
                if items is not None and in_file:
                    kept = _rows_with(_as_text(table.column(columns.id), part), items)
                    table = table.take(kept)
                tables.append(_plain(table))
                rows.append(start + kept)
            start += n_rows
        table = pa.concat_tables(tables) if tables else _plain(file.schema_arrow.empty_table())
    frame = pl.DataFrame(pl.from_arrow(table.select(names)))
    if part.key is not None:
        frame = frame.with_columns(pl.lit(part.key).alias(columns.id))
    return frame, np.concatenate([np.zeros(0, np.int64), *rows])


def _rows_with(text: Any, items: Sequence[str]) -> Int[ndarray, " row"]:
    import pyarrow as pa
    import pyarrow.compute as pc

    keep = pc.is_in(text, value_set=pa.array(items, pa.string()))
    found: ndarray = np.flatnonzero(keep.to_numpy())
    return found


def _as_text(ids: Any, part: Part) -> Any:
    import pyarrow as pa

    ids = _decoded(ids)
    try:
        return ids.cast(pa.string())
    except pa.ArrowInvalid:
        raise DataError(
            f"{part.source}, column {_columns(part).id!r}: ids must be text in UTF-8 or numbers, "
            f"got {ids.type} that is neither; encode it as text"
        ) from None


def _may_hold(group: Any, name: str, items: Sequence[str] | None) -> bool:
    """Ask the statistics of a row group; `items` are sorted."""
    if items is None:
        return True
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema == name:
            known = column.statistics
            if known is None or not known.has_min_max or not isinstance(known.min, str):
                return True
            return bool(known.max >= items[0] and known.min <= items[-1])
    return True


def _plain(table: Any) -> Any:
    """Return a table of types that polars knows and that hold the same numbers."""
    import pyarrow as pa

    for number, field in enumerate(table.schema):
        column = _decoded(table.column(number))
        if pa.types.is_decimal(field.type):
            column = column.cast(pa.float64())
        elif pa.types.is_float16(field.type):
            column = column.cast(pa.float32())
        table = table.set_column(number, field.name, column)
    return table


def _decoded(column: Any) -> Any:
    import pyarrow as pa

    if not pa.types.is_dictionary(column.type):
        return column
    if isinstance(column, pa.ChunkedArray):
        chunks = [chunk.dictionary_decode() for chunk in column.chunks]
        return pa.chunked_array(chunks, column.type.value_type)
    return column.dictionary_decode()


def _columns(part: Part) -> Columns:
    if part.columns is None:
        raise DataError(f"{part.source} must be a Parquet file to be read by columns")
    return part.columns
