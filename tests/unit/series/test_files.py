"""Files come from anywhere: a bad one must be named, and no half-written one may stay."""

import gzip
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.errors import DataError
from tsfm.series.files import place_of_row, read_input, separator, write_output
from tsfm.series.frame import SeriesFrame


def make(n_rows: int) -> pl.DataFrame:
    item = f"item{n_rows}"
    return pl.DataFrame(
        {"item_id": [item] * n_rows, "timestamp": range(n_rows), "target": [n_rows / 2] * n_rows}
    )


def write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


# What is read


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_with_more_fields_than_the_first_is_named(tmp_path: Path, packed: bool) -> None:
    text = 'timestamp,target\n1,"2,0"\n"2\n",3\n3,4,5\n'
    file = write(tmp_path / "a.csv", text)
    if packed:
        file = tmp_path / "a.csv.gz"
        file.write_bytes(gzip.compress(text.encode()))
    message = r"a.csv.* got: 3 fields in line 5 and 2 in the first one; write it again"
    with pytest.raises(DataError, match=message):
        read_input([file])


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "timestamp,target,target\n1,2,3\n")
    message = r"a.csv: columns must have names of their own, got \['target'\] twice; rename them"
    with pytest.raises(DataError, match=message):
        read_input([file])


def test_columns_without_a_name_as_spreadsheets_add_them_do_not_matter(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "timestamp,target,,\n1,2,,\n")
    assert read_input([file])[0].select("timestamp", "target").rows() == [(1, 2)]


def test_decimals_of_256_bits_are_read_as_numbers(tmp_path):
    wide = pa.array([Decimal("1.5"), None], pa.decimal256(50, 3))
    pq.write_table(pa.table({"timestamp": [1, 2], "target": wide}), tmp_path / "a.parquet")
    frame, _ = read_input([tmp_path / "a.parquet"])
    assert frame["target"].to_list() == [1.5, None]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_separator_is_read_off_the_first_line(tmp_path: Path, sign: str) -> None:
    text = make(3).write_csv(separator=sign)
    file = write(tmp_path / "a.csv", text)
    assert separator(file) == sign
    assert read_input([file])[0].rows() == make(3).rows()
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert separator(packed) == sign


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"\xef\xbb\xbf" + b"timestamp;target\r\n1;2.5\r\n")
    assert read_input([file])[0].rows(named=True) == [{"timestamp": 1, "target": 2.5}]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_part_without_rows_does_not_matter(tmp_path: Path, suffix: str) -> None:
    for name, frame in (("0", make(3).clear()), ("1", make(3)), ("2", make(3).clear())):
        file = tmp_path / f"{name}.{suffix}"
        frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)
    frame, sources = read_input([tmp_path])
    assert frame.rows() == make(3).rows()
    assert frame.schema == read_input([tmp_path / f"1.{suffix}"])[0].schema
    assert [rows for _, rows in sources] == [0, 3, 0]
    with pytest.raises(DataError, match=r"0\.\w+ must have rows, got .* like the 1 others; remove"):
        read_input([tmp_path / f"[02].{suffix}"])


def test_an_empty_cell_is_missing(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "timestamp,target\n1,\n2,2.5\n")
    assert read_input([file])[0]["target"].to_list() == [None, 2.5]


def test_a_column_that_turns_from_numbers_to_decimals_late_is_read(tmp_path: Path) -> None:
    lines = [f"{n},{n}" for n in range(500)]
    file = write(tmp_path / "a.csv", "\n".join(["timestamp,target", *lines, "500,0.5"]))
    assert read_input([file])[0]["target"][-1] == 0.5


def test_stamps_of_a_csv_are_left_to_the_check_of_frames(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "timestamp,target\n01/02/2024,1\n01/03/2024,2\n")
    frame, sources = read_input([file])
    with pytest.raises(DataError, match=r"a\.csv: item '0', .* '01/02/2024' that may be two days"):
        SeriesFrame.from_any(frame, sources=sources)


# Several files


def test_columns_may_be_in_another_order(tmp_path: Path) -> None:
    make(1).write_csv(tmp_path / "a.csv")
    make(2)[:, ::-1].write_csv(tmp_path / "b.csv")
    frame, _ = read_input([tmp_path])
    assert frame.columns == ["item_id", "timestamp", "target"]
    assert frame.rows() == pl.concat([make(1), make(2)]).rows()


def test_whole_numbers_and_decimals_go_together(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "timestamp,target\n1,2\n")
    write(tmp_path / "b.csv", "timestamp,target\n2,2.5\n")
    assert read_input([tmp_path])[0]["target"].to_list() == [2.0, 2.5]


def test_text_among_numbers_is_left_to_the_check_of_frames(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "item_id,timestamp,target\n7,2024-01-01,1.5\n")
    write(tmp_path / "b.csv", "item_id,timestamp,target\nx,2024-01-01,?\n")
    frame, sources = read_input([tmp_path])
    message = r"b\.csv: item 'x', column 'target': got '\?', which is no number, at 2024-01-01"
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(frame, sources=sources)
    assert SeriesFrame.from_any(frame[:1], sources=sources).values.tolist() == [[1.5]]


def test_stamps_of_csv_and_parquet_go_together(tmp_path: Path) -> None:
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 1, 4), eager=True)
    frame = pl.DataFrame({"timestamp": days, "target": [1.0, 2.0, 3.0, 4.0]})
    frame[:2].write_csv(tmp_path / "a.csv")
    frame[2:].cast({"timestamp": pl.Datetime("us")}).write_parquet(tmp_path / "b.parquet")
    series = SeriesFrame.from_any(read_input([tmp_path])[0])
    assert series.freq == "D"
    np.testing.assert_array_equal(series.values[:, 0], [1, 2, 3, 4])


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    make(1).write_csv(tmp_path / "a.csv")
    make(1).rename({"target": "load"}).write_csv(tmp_path / "b.csv")
    message = (
        r"b\.csv must have the columns of .*a\.csv, got \[.*'load'\] against .*; pass files of"
    )
    with pytest.raises(DataError, match=message):
        read_input([tmp_path])


def test_files_whose_types_do_not_go_together_are_named(tmp_path: Path) -> None:
    make(1).write_parquet(tmp_path / "a.parquet")
    make(1).with_columns(target=pl.Series([[1.0]])).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"a\.parquet and the files after it must have the same"):
        read_input([tmp_path])


# What cannot be read


def test_text_in_another_encoding_is_to_be_saved_anew(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("item_id,target\nZürich,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"a\.csv must be a readable .*; save it as UTF-8"):
        read_input([tmp_path / "a.csv"])


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_text_of_several_bytes_a_letter_is_to_be_saved_anew(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("timestamp,target\n1,2\n".encode(encoding))
    with pytest.raises(DataError, match=r"a\.csv must be text in UTF-8, got another .*as UTF-8"):
        read_input([file])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv must have rows, got an empty file; remove it"),
        ("a.parquet", b"", r"a\.parquet must have rows, got an empty file; remove it"),
        ("a.csv", b"timestamp,target\n", r"a\.csv must have rows, got a header alone; remove it"),
        ("a.csv", b"timestamp,target\n1,2,3\n", r"a\.csv must be a readable CSV .*got: .*; write"),
        ("a.csv", b"timestamp,target\n1,\xff\xfe\n", r"a\.csv must be a readable CSV .*got: .*; "),
        ("a.csv.gz", b"no archive", r"a\.csv\.gz must be a readable CSV or Parquet file, got: "),
        ("a.parquet", b"no parquet", r"a\.parquet must be a readable CSV or Parquet file, got: "),
        ("a.xlsx", b"PK", r"must end in one of \.csv, .*\.txt, got 'a\.xlsx'; conv"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_input([file])
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_row_is_found_in_its_file() -> None:
    sources = [("a", 2), ("b", 3)]
    assert [place_of_row(sources, row) for row in (0, 1, 2, 4)] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("b", 2),
    ]
    assert place_of_row([], 7) == ("", 7)


# What is written


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_frame_is_written_by_its_ending_into_new_folders(tmp_path: Path, name: str) -> None:
    file = tmp_path / "new" / "deep" / name
    assert write_output(make(3), file) == file
    assert read_input([file])[0].rows() == make(3).rows()
    assert [path.name for path in file.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_file_that_is_there_is_replaced(tmp_path: Path, name: str) -> None:
    for n_rows in (9, 2):
        write_output(make(n_rows), str(tmp_path / name))
    assert read_input([tmp_path / name])[0].height == 2


def test_an_ending_that_cannot_be_written_is_refused_before_anything_is_made(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=r"output must end in \.parquet or \.csv, got .*out\.json;"):
        write_output(make(1), tmp_path / "new" / "out.json")
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = write_output(make(1), tmp_path / "out.csv")
    nested = pl.DataFrame({"a": [[1, 2]]})  # CSV cannot hold lists
    with pytest.raises(pl.exceptions.ComputeError):
        write_output(nested, file)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert read_input([file])[0].rows() == make(1).rows()


def test_a_name_that_cannot_be_taken_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "out.csv" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match=r"out\.csv"):
        write_output(make(1), tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_reader_never_sees_a_part(tmp_path: Path, monkeypatch) -> None:
    """Until the last byte is there, the name is absent or holds the old file."""
    file = write_output(make(1), tmp_path / "out.parquet")
    seen: list[int] = []
    write = pl.DataFrame.write_parquet

    def watch(frame: pl.DataFrame, target: Path) -> None:
        write(frame, target)
        seen.append(pl.read_parquet(file).height)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", watch)
    write_output(make(5), file)
    assert seen == [1]
    assert pl.read_parquet(file).height == 5
