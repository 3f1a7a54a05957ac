"""Files that are rare but right are filled; others are refused in words that name the column."""

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.errors import DataError
from tsfm.jobs import impute
from tsfm.tracking import ListTracker

N_ROWS = 29


def run(table: pa.Table, **options: Any) -> dict[str, Any]:
    pq.write_table(table, "in.parquet", **options.pop("written", {}))
    given = {"output": Path("out"), "tracker": ListTracker(), "verify": True, **options}
    return impute.run(["in.parquet"], **given)


def table_with(**columns: Any) -> pa.Table:
    """An item with a gap, of which a day has no row."""
    days = [dt.datetime(2024, 1, 1) + dt.timedelta(days=n) for n in range(N_ROWS + 1) if n != 7]
    known = {
        "item_id": ["a"] * N_ROWS,
        "timestamp": pa.array(days, pa.timestamp("us")),
        "target": [None if n == 12 else float(n) for n in range(N_ROWS)],
    }
    return pa.table({**known, **columns})


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_ids_may_be_encoded_as_differences(encoding):
    written = {"use_dictionary": False, "column_encoding": {"item_id": encoding}}
    report = run(table_with(), written=written)
    assert (report["filled"], report["items"], report["verified"]) == (1, 1, 1)


def test_ids_may_be_bytes_that_are_text():
    assert run(table_with(item_id=[b"ab"] * N_ROWS))["filled"] == 1


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32(), 2),
        pa.struct([("inner", pa.list_(pa.float32(), 2))]),
    ],
)
def test_rows_are_not_added_beside_lists_of_fixed_size(kind):
    value = {"inner": [1.0, 2.0]} if pa.types.is_struct(kind) else [1.0, 2.0]
    table = table_with(extra=pa.array([value] * N_ROWS, kind))
    message = "in.parquet: column 'extra' must hold no lists of fixed size for rows to be added"
    with pytest.raises(DataError, match=message):
        run(table, fill_rows=True)
    assert not Path("out/in.parquet").exists()
    assert run(table)["verified"] == 1


def test_rows_are_added_beside_lists_of_any_size():
    kind = pa.list_(pa.list_(pa.float32(), 2))
    run(table_with(extra=pa.array([[[1.0, 2.0]]] * N_ROWS, kind)), fill_rows=True)
    assert pq.read_table("out/in.parquet").column("extra").null_count == 1


def test_rows_are_not_added_beside_a_column_that_is_not_nullable():
    table = table_with(extra=[1] * N_ROWS)
    field = pa.field("extra", pa.int64(), nullable=False)
    table = table.cast(pa.schema([*list(table.schema)[:3], field]))
    with pytest.raises(DataError, match="column 'extra' must be nullable for rows to be added"):
        run(table, fill_rows=True)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([b"\xff\xfe"], "column 'item_id': ids must be text in UTF-8 or numbers, got binary"),
        ([{"inner": 1}], "column 'item_id': ids must be text or numbers, got struct<inner"),
        ([[1]], "column 'item_id': ids must be text or numbers, got list<"),
    ],
)
def test_ids_that_are_no_text_are_named(ids, message):
    with pytest.raises(DataError, match=f"in.parquet, {message}"):
        run(table_with(item_id=ids * N_ROWS))


def test_columns_of_one_name_are_refused():
    table = table_with()
    columns = [*table.columns, table.column("target")]
    table = pa.Table.from_arrays(columns, names=["item_id", "timestamp", "target", "target"])
    message = r"in.parquet: columns must have names of their own, got \['target'\] twice"
    with pytest.raises(DataError, match=message):
        run(table)


def test_ids_and_stamps_are_two_columns():
    with pytest.raises(DataError, match="ids and stamps must be in two columns, got 'item_id' for"):
        run(table_with(), timestamp_column="item_id")


@pytest.mark.parametrize(
    ("by", "kept"),
    [
        (["item_id", "timestamp"], ["item_id", "timestamp"]),
        (["item_id", "target", "timestamp"], ["item_id"]),
        (["target"], []),
    ],
)
def test_a_file_says_by_which_columns_it_is_sorted_as_before(by, kept):
    table = table_with()
    order = pq.SortingColumn.from_ordering(table.schema, [(name, "ascending") for name in by])
    run(table, written={"sorting_columns": order, "row_group_size": 10})
    found = pq.read_metadata("out/in.parquet").row_group(2).sorting_columns
    assert [table.column_names[one.column_index] for one in found] == kept
    run(table, written={"sorting_columns": order}, fill_rows=True)
    assert not pq.read_metadata("out/in.parquet").row_group(0).sorting_columns


def test_stamps_with_an_offset_of_half_hours_are_refused_by_name():
    stamps = table_with()["timestamp"].cast(pa.timestamp("us", "+05:30"))
    message = "in.parquet: column 'timestamp' must have a named time zone or an offset of whole"
    with pytest.raises(DataError, match=message):
        run(table_with(timestamp=stamps))


def test_stamps_with_an_offset_of_whole_hours_keep_it():
    stamps = table_with()["timestamp"].cast(pa.timestamp("us", "-03:00"))
    assert run(table_with(timestamp=stamps), fill_rows=True)["verified"] == 1
    assert pq.read_table("out/in.parquet").schema.field("timestamp").type.tz == "-03:00"
