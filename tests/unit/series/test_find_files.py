"""Users name files, folders and patterns: all data there is read, and nothing else."""

import gzip
from pathlib import Path

import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.series.files import read_input
from tsfm.series.find_files import FilesLeftOutWarning


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of one kind, below each other, and one of another."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    make(1).write_csv(tmp_path / "in" / "a.csv")
    make(2).write_parquet(tmp_path / "in" / "b.parquet")
    (tmp_path / "in" / "deep" / "c.csv.gz").write_bytes(gzip.compress(make(3).write_csv().encode()))
    (tmp_path / "in" / "notes.json").write_text("{}")
    return tmp_path / "in"


def make(n_rows: int) -> pl.DataFrame:
    item = f"item{n_rows}"
    return pl.DataFrame(
        {"item_id": [item] * n_rows, "timestamp": range(n_rows), "target": [n_rows / 2] * n_rows}
    )


def test_a_folder_is_read_with_all_below_it_and_in_order(folder: Path) -> None:
    frame, sources = read_input([folder])
    assert sources == [
        (str(folder / "a.csv"), 1),
        (str(folder / "b.parquet"), 2),
        (str(folder / "deep" / "c.csv.gz"), 3),
    ]
    assert frame.rows() == pl.concat([make(1), make(2), make(3)]).rows()


@pytest.mark.parametrize(
    ("patterns", "items"),
    [
        (["a.csv"], ["item1"]),
        (["b.parquet", "a.csv"], ["item2", "item1"]),
        (["*.csv"], ["item1"]),
        (["**/*.csv*"], ["item1", "item3"]),
        (["deep", "?.parquet"], ["item3", "item2"]),
    ],
)
def test_files_folders_and_patterns_may_be_mixed(
    folder: Path, patterns: list[str], items: list[str]
) -> None:
    frame, _ = read_input([folder / pattern for pattern in patterns])
    assert frame["item_id"].unique(maintain_order=True).to_list() == items


def test_a_folder_that_is_named_as_a_file_is_no_file(folder: Path) -> None:
    (folder / "parts.parquet").mkdir()
    make(4).write_parquet(folder / "parts.parquet" / "0.parquet")
    assert len(read_input([folder])[1]) == 4
    assert len(read_input([folder / "*.parquet"])[1]) == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["a[1]", "a [1]", "x?", "y*"])
def test_a_file_with_signs_of_a_pattern_in_its_name_is_itself(
    tmp_path: Path, suffix: str, name: str
) -> None:
    for number, one in enumerate((name, "a1", "xa", "yb")):
        file = tmp_path / f"{one}.{suffix}"
        frame = make(number + 1)
        frame.write_csv(file) if suffix == "csv" else frame.write_parquet(file)
    assert read_input([tmp_path / f"{name}.{suffix}"])[0]["item_id"].to_list() == ["item1"]
    assert read_input([tmp_path])[0]["item_id"].n_unique() == 4


def test_a_folder_is_read_whatever_the_case_of_its_suffixes(tmp_path: Path) -> None:
    make(1).write_csv(tmp_path / "a.CSV")
    make(2).write_csv(tmp_path / "b.tsv", separator="\t")
    make(3).write_parquet(tmp_path / "c.pq")
    (tmp_path / "d.Csv.GZ").write_bytes(gzip.compress(make(4).write_csv().encode()))
    assert [rows for _, rows in read_input([tmp_path])[1]] == [1, 2, 3, 4]


def test_other_suffixes_of_a_folder_are_read_where_there_is_nothing_else(tmp_path: Path) -> None:
    rows = "item_id,timestamp,target\na,2024-01-01,1.0\n"
    (tmp_path / "B.CSV").write_text(rows)
    (tmp_path / "note.txt").write_text("hello")
    with pytest.warns(FilesLeftOutWarning, match="note"):
        assert len(read_input([tmp_path])[0]) == 1
    (tmp_path / "a.csv").write_text(rows)
    with pytest.warns(FilesLeftOutWarning, match=r"B\.CSV is left out \(2 such files\)"):
        _, sources = read_input([tmp_path])
    assert [Path(name).name for name, _ in sources] == ["a.csv"]


def test_a_text_file_is_data_when_it_is_named_and_left_out_of_a_folder(tmp_path: Path) -> None:
    make(1).write_csv(tmp_path / "a.csv")
    make(2).write_csv(tmp_path / "b.txt")
    assert read_input([tmp_path / "b.txt"])[0].height == 2
    with pytest.warns(FilesLeftOutWarning, match=r"b\.txt is left out \(1 such file\); name"):
        assert read_input([tmp_path])[0].height == 1


def test_what_is_hidden_below_a_folder_is_no_data(folder: Path) -> None:
    expected = read_input([folder])[1]
    for name in (".ipynb_checkpoints/a.csv", "_delta_log/1.csv", "deep/._c.csv", "deep/.c.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("not,for\nus,\n")
    assert read_input([folder])[1] == expected
    make(1).write_csv(folder / "_a.csv")
    assert len(read_input([folder])[1]) == 4
    with pytest.raises(DataError, match="must have the columns"):
        read_input([folder, folder / "deep" / ".c.csv"])


@pytest.mark.parametrize("entry", ["missing.csv", "*.csv", "empty"])
def test_an_entry_with_nothing_there_is_named(tmp_path: Path, entry: str) -> None:
    (tmp_path / "empty").mkdir()
    name = entry.replace("*", r"\*")
    with pytest.raises(
        DataError, match=rf"{name} must be a file, a folder or .*got nothing there;"
    ):
        read_input([tmp_path / entry])


def test_no_entry_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="must name a file, a folder or a pattern, got none"):
        read_input([])


def test_folders_above_a_pattern_say_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "target=5" / "item_id=A"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("timestamp,y\n2024-01-01,1.0\n")
    assert read_input([folder / "*.csv"])[0].columns == ["timestamp", "y"]
    assert read_input([folder])[0].columns == ["timestamp", "y"]
    assert read_input([tmp_path / "target=5" / "*" / "*.csv"])[0].columns == [
        "timestamp",
        "y",
        "item_id",
    ]


def test_links_that_lead_out_of_a_folder_are_followed_once(folder: Path) -> None:
    away = folder.parent / "away"
    away.mkdir()
    make(4).write_csv(away / "d.csv")
    links = {"far": away, "farther": away, "again": folder / "deep", "up": folder.parent}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (away / "back").symlink_to(folder)
    (away / "self").symlink_to(away)
    _, sources = read_input([folder])
    names = [Path(name).relative_to(folder).as_posix() for name, _ in sources]
    assert names == ["a.csv", "b.parquet", "deep/c.csv.gz", "far/d.csv"]
