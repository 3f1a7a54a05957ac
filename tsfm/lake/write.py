"""A part written again with its gaps filled: same schema, rows, row groups and compression."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.lake.columns import as_numbers
from tsfm.lake.footer import ARROW, beside_schema, with_added
from tsfm.lake.opened import opened
from tsfm.lake.options import FillOptions
from tsfm.lake.parts import Part
from tsfm.lake.solve import IS_NEW, ITEM, ROW, STAMP, level_column
from tsfm.lake.store import locate
from tsfm.series.validation import Columns
from tsfm.tasks.forecasting.quantiles import MEDIAN
from tsfm.tasks.imputation.columns import put

UINT32 = "Int(bitWidth=32, isSigned=false)"


def added_fields(targets: Sequence[str], options: FillOptions) -> list[tuple[str, str]]:
    """Return the names of the columns that are added, and their types."""
    found = []
    for target in targets:
        found.append((f"{target}_imputed", "bool"))
        found += [(f"{target}_{level}", "double") for level in options.quantile_levels]
    return found


def write_part(
    part: Part, columns: Columns, fills: pl.DataFrame, options: FillOptions, address: str
) -> tuple[int, dict[str, int]]:
    """Write one part, row group by row group.

    Returns
    -------
    n_rows
        Rows that were written.
    filled
        Target -> rows that got a value.

    Raises
    ------
    DataError
        When the part has a column of a name that is added, or the disk is full.
    """
    import pyarrow as pa

    with opened(part.source) as file:
        schema = file.schema_arrow
        added = added_fields(columns.targets, options)
        for name, _ in added:
            if name in schema.names:
                raise DataError(
                    f"{part.source}: column {name!r} must not be there: imputation adds a column "
                    "of that name; rename or drop it"
                )
        for name, kind in added:
            schema = schema.append(pa.field(name, pa.type_for_alias(kind)))
        schema = schema.with_metadata(with_added(schema.metadata, added))
        n_rows, start = 0, 0
        row = fills[ROW].to_numpy()
        settings = _settings(file.metadata, columns, [name for name, _ in added])
        if options.fill_rows:  # of which a file need not be in order
            settings.pop("sorting_columns", None)
        said = beside_schema(file.metadata.metadata, schema, added)
        with _writer(address, schema, settings, said) as write:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                end = start + table.num_rows
                low, high = np.searchsorted(row, [start, end])
                own = fills[low:high].with_columns(pl.col(ROW) - start)
                table = _filled(table, columns, own, options, schema)
                write(table)
                start, n_rows = end, n_rows + table.num_rows
    names = {target: level_column(target, MEDIAN) for target in columns.targets}
    return n_rows, {target: fills[name].count() for target, name in names.items()}


def _filled(
    table: Any, columns: Columns, fills: pl.DataFrame, options: FillOptions, schema: Any
) -> Any:
    """Return a row group with values put in, columns and rows added."""
    import pyarrow as pa

    is_new = IS_NEW in fills.columns
    own = fills.filter(~pl.col(IS_NEW)) if is_new else fills
    levels = options.quantile_levels
    numbers = {}
    for target in columns.targets:
        column = table.column(target)
        place = table.schema.get_field_index(target)
        known = own.drop_nulls(level_column(target, MEDIAN))
        rows = known[ROW].to_numpy()
        table = table.set_column(
            place, table.schema.field(place), put(column, rows, _at(known, target, MEDIAN))
        )
        flag = np.zeros(len(column), bool)
        flag[rows] = True
        numbers[f"{target}_imputed"] = pa.array(flag)
        for level in levels:
            values = put(as_numbers(column), rows, _at(known, target, level))
            numbers[f"{target}_{level}"] = values
    for name, values in numbers.items():
        table = table.append_column(name, values)
    table = table.cast(schema) if table.schema != schema else table
    return _with_new(table, columns, fills.filter(IS_NEW), options) if is_new else table


def _with_new(table: Any, columns: Columns, new: pl.DataFrame, options: FillOptions) -> Any:
    """Return a row group with rows added, each after the row before it."""
    import pyarrow as pa

    if not len(new):
        return table
    content: dict[str, Any] = {columns.timestamp: new[STAMP].to_arrow()}
    if columns.has_id and columns.id in table.schema.names:
        content[columns.id] = new[ITEM].to_arrow()
    for target in columns.targets:
        median = new[level_column(target, MEDIAN)]
        known = median.is_not_null().to_numpy()
        nulls = pa.nulls(len(new), table.schema.field(target).type)
        content[target] = put(nulls, np.flatnonzero(known), median.drop_nulls().to_numpy())
        content[f"{target}_imputed"] = pa.array(known)
        for level in options.quantile_levels:
            content[f"{target}_{level}"] = new[level_column(target, level)].to_arrow()
    arrays = [
        _cast(content[field.name], field) if field.name in content else _nothing(len(new), field)
        for field in table.schema
    ]
    both = pa.concat_tables([table, pa.Table.from_arrays(arrays, schema=table.schema)])
    anchor = np.concatenate([np.arange(table.num_rows), new[ROW].to_numpy()])
    return both.take(np.argsort(anchor, kind="stable"))


def _nothing(n_rows: int, field: Any) -> Any:
    """Return missing values for the rows that are added."""
    import pyarrow as pa

    if not field.nullable:
        raise DataError(
            f"column {field.name!r} must be nullable for rows to be added, got one that is not; "
            "cast or drop it"
        )
    if _has_fixed_lists(field.type):
        # pyarrow writes a file with a missing one that it cannot read.
        raise DataError(
            f"column {field.name!r} must hold no lists of fixed size for rows to be added, got "
            f"{field.type}; cast it to lists of any size or drop it"
        )
    return pa.nulls(n_rows, field.type)


def _has_fixed_lists(kind: Any) -> bool:
    """Say whether a missing value of a type has a list of fixed size in it."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(_has_fixed_lists(field.type) for field in kind)
    return bool(pa.types.is_fixed_size_list(kind))


def _cast(values: Any, field: Any) -> Any:
    import pyarrow as pa

    if values.type == field.type:
        return values
    is_dictionary = pa.types.is_dictionary(field.type)
    kind = field.type.value_type if is_dictionary else field.type
    if not pa.types.is_temporal(kind) and pa.types.is_temporal(values.type):
        raise DataError(
            f"column {field.name!r} must hold stamps for rows to be added, got text; cast it"
        )
    if is_dictionary:
        return values.cast(kind).dictionary_encode().cast(field.type)
    return values.cast(field.type)


def _at(fills: pl.DataFrame, target: str, level: float) -> np.ndarray:
    return fills[level_column(target, level)].to_numpy()


@contextmanager
def _writer(
    address: str, schema: Any, settings: dict[str, Any], said: dict[bytes, bytes]
) -> Iterator[Any]:
    """Open a file to write row groups to."""
    import pyarrow.parquet as pq

    filesystem, path = locate(address)
    try:
        with (
            filesystem.open_output_stream(path) as sink,
            pq.ParquetWriter(sink, schema, **settings) as writer,
        ):
            if said:
                writer.add_key_value_metadata(said)
            yield lambda table: writer.write_table(table, row_group_size=max(1, table.num_rows))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{address} must be writable, got: {reason}; make room, and --resume"
        ) from None


def _settings(like: Any, columns: Columns, added: Sequence[str]) -> dict[str, Any]:
    """Read compression, encoding and version off the metadata of a file."""
    settings: dict[str, Any] = {"version": _version(like)}
    settings["store_schema"] = ARROW in (like.metadata or {})
    if not like.num_row_groups:
        return settings
    group = like.row_group(0)
    chunks = [group.column(number) for number in range(group.num_columns)]
    compression = {one.path_in_schema: _codec(one.compression) for one in chunks}
    usual = compression.get(columns.targets[0], "snappy")
    settings["compression"] = compression | dict.fromkeys(added, usual)
    settings["use_dictionary"] = [one.path_in_schema for one in chunks if one.has_dictionary_page]
    settings["write_statistics"] = any(one.is_stats_set for one in chunks)
    settings["use_deprecated_int96_timestamps"] = any(o.physical_type == "INT96" for o in chunks)
    return settings | {"sorting_columns": _sorting(like, columns)}


def _version(like: Any) -> str:
    """Return the version of the format, of which many writers say 1 beside types of later ones."""
    kinds = {str(like.schema.column(number).logical_type) for number in range(like.num_columns)}
    is_later = any("nanoseconds" in kind for kind in kinds) or UINT32 in kinds
    return "1.0" if like.format_version == "1.0" and not is_later else "2.6"


def _sorting(like: Any, columns: Columns) -> Any:
    """Return by which columns rows are sorted, up to the first that is filled; None for none."""
    groups = [like.row_group(number) for number in range(like.num_row_groups)]
    by = groups[0].sorting_columns
    if any(group.sorting_columns != by for group in groups):
        return None
    names = [groups[0].column(one.column_index).path_in_schema for one in by]
    n_kept = next((n for n, name in enumerate(names) if name in columns.targets), len(names))
    return by[:n_kept] or None


def _codec(name: str) -> str:
    return {"UNCOMPRESSED": "none", "LZ4_RAW": "lz4"}.get(name, name.lower())
