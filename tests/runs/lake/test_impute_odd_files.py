"""Files that are rare but right are filled; others are refused in words that name the column."""

import datetime as dt
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.errors import DataError
from tsfm.jobs import detect, impute
from tsfm.jobs.engines import run_units
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


def test_a_question_mark_is_a_sign_of_a_name_as_any_other():
    pq.write_table(table_with(), "in?.parquet")
    options: dict[str, Any] = {"output": Path("out"), "tracker": ListTracker(), "verify": True}
    assert impute.run(["in?.parquet"], **options)["verified"] == 1


def test_a_name_that_is_no_text_is_refused():
    pq.write_table(table_with(), "in.parquet")
    os.rename(b"in.parquet", b"caf\xe9.parquet")  # noqa: PTH104
    for job in (impute, detect):
        with pytest.raises(DataError, match=r"names in UTF-8, got b'.*caf\\xe9.parquet'; rename"):
            job.run([Path.cwd()], output=Path("out"), tracker=ListTracker())


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())]
)
def test_rows_are_not_added_between_stamps_of_text(kind):
    stamps = table_with()["timestamp"].cast(pa.string())
    table = table_with(timestamp=stamps.cast(kind))
    with pytest.raises(DataError, match="column 'timestamp' must hold stamps for rows to be added"):
        run(table, fill_rows=True)
    assert run(table)["verified"] == 1


def test_types_of_the_second_version_stay_in_a_file_that_says_it_is_of_the_first():
    stamps = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 29), time_unit="ns")
    frame = pl.select(timestamp=stamps, count=pl.lit(2**32 - 1, pl.UInt32)).with_columns(
        item_id=pl.lit("a"),
        target=pl.when(pl.int_range(pl.len()) != 12).then(1.5),
        seen=pl.col("timestamp") + pl.duration(nanoseconds=1, time_unit="ns"),
    )
    frame.write_parquet("in.parquet")
    assert pq.read_metadata("in.parquet").format_version == "1.0"
    report = impute.run(["in.parquet"], output=Path("out"), tracker=ListTracker(), verify=True)
    assert report["verified"] == 1
    before, after = (pq.ParquetFile(name).schema for name in ("in.parquet", "out/in.parquet"))
    for number in range(len(before.names)):
        kinds = [str(schema.column(number).logical_type) for schema in (before, after)]
        assert kinds[0] == kinds[1]


def test_ids_of_two_names_are_called_so():
    table = table_with()
    pq.write_table(table[:10], "a.parquet")
    pq.write_table(table[10:].rename_columns(["unique_id", "ds", "y"]), "b.parquet")
    message = r"files that share items must have columns of the same names, got \['unique_id', 'ds"
    with pytest.raises(DataError, match=message), pytest.warns(UserWarning, match="unique_id"):
        impute.run(["a.parquet", "b.parquet"], output=Path("out"), tracker=ListTracker())


def test_a_panic_of_a_reader_is_listed_and_the_others_go_on():
    panic = type("PanicException", (BaseException,), {})

    def function(unit: int) -> int:
        if unit == 1:
            raise panic("operator does not support primitive")
        return unit

    found = list(run_units(function, [1, 2], workers=1))
    assert [one.value for one in found] == [None, 2]
    assert found[0].error == "PanicException: operator does not support primitive"


SPARK = "org.apache.spark.sql.parquet.row.metadata"


@pytest.mark.parametrize("stored", [True, False])
def test_what_a_file_says_of_itself_stays_and_spark_finds_the_columns_that_are_added(stored):
    table = table_with()
    fields = [{"name": name, "type": "string"} for name in table.column_names]
    said = {"unit": "kW", SPARK: json.dumps({"type": "struct", "fields": fields})}
    with pq.ParquetWriter("in.parquet", table.schema, store_schema=stored) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(said)
    options: dict[str, Any] = {"output": Path("out"), "tracker": ListTracker()}
    impute.run(["in.parquet"], quantile_levels=(0.5,), verify=True, **options)
    detect.run(["in.parquet"], **{**options, "output": Path("scored")})
    added = {"out": ["target_imputed", "target_0.5"], "scored": ["anomaly_score"]}
    for folder, names in added.items():
        found = pq.read_metadata(f"{folder}/in.parquet").metadata
        assert found[b"unit"] == b"kW"
        known = json.loads(found[SPARK.encode()])["fields"]
        assert [one["name"] for one in known] == [*table.column_names, *names]
    assert (b"ARROW:schema" in pq.read_metadata("out/in.parquet").metadata) == stored
