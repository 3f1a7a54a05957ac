"""An item is known by its id: one that a file or its folder says must come through unchanged."""

from pathlib import Path

import polars as pl
import pytest

from tsfm.series.files import read_input
from tsfm.series.folder_values import with_folder_values


def write(file: Path, ids: list[str], column: str = "item_id") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([f"{column},timestamp,target", *(f"{one},1,2.5" for one in ids)]))
    return file


@pytest.mark.parametrize("column", ["item_id", "unique_id", "store"])
@pytest.mark.parametrize(
    "ids", [["007", "7"], ["1.1", "1.10"], ["1.0", "1"], ["1e2", "100"], ["9" * 23, "1"]]
)
def test_ids_that_numbers_would_change_stay_text(
    tmp_path: Path, column: str, ids: list[str]
) -> None:
    frame, _ = read_input([write(tmp_path / "a.csv", ids, column)], id_columns=(column,))
    assert frame[column].to_list() == ids


@pytest.mark.parametrize(
    ("ids", "expected"), [(["7", "12", "-3"], [7, 12, -3]), (["1.5", "2.25"], [1.5, 2.25])]
)
def test_ids_that_are_written_as_numbers_are_numbers(
    tmp_path: Path, ids: list[str], expected: list[float]
) -> None:
    assert read_input([write(tmp_path / "a.csv", ids)])[0]["item_id"].to_list() == expected


def test_ids_that_are_text_in_one_file_are_text_in_all(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ["12"])
    write(tmp_path / "b.csv", ["007"])
    assert read_input([tmp_path])[0]["item_id"].to_list() == ["12", "007"]


@pytest.fixture
def hive(tmp_path: Path) -> Path:
    """Two folders that say the item of their files."""
    frame = pl.DataFrame({"timestamp": [1, 2], "target": [1.0, 2.0]})
    for item, suffix in (("A%2FB", "parquet"), ("C", "parquet")):
        file = tmp_path / "hive" / f"item_id={item}" / f"p.{suffix}"
        file.parent.mkdir(parents=True)
        frame.write_parquet(file)
    return tmp_path / "hive"


@pytest.mark.parametrize(
    "inputs", [["."], ["*/*.parquet"], ["item_id=A%2FB/p.parquet", "item_id=C/p.parquet"]]
)
def test_folders_may_say_the_item(hive: Path, inputs: list[str], monkeypatch) -> None:
    monkeypatch.chdir(hive)
    assert read_input(inputs)[0]["item_id"].to_list() == ["A/B", "A/B", "C", "C"]


def test_a_file_that_is_named_by_itself_has_its_own_columns(hive: Path) -> None:
    frame, _ = read_input([hive / "item_id=C" / "p.parquet"])
    assert frame.columns == ["timestamp", "target"]


def test_a_column_of_the_file_comes_before_the_folder_and_an_absent_one_is_missing() -> None:
    frame = pl.DataFrame({"item_id": [1], "target": [2.0]})
    found = with_folder_values([frame, frame], ["item_id=9/a.csv", "run=3/b.csv"])
    assert [one.rows() for one in found] == [[(1, 2.0, None)], [(1, 2.0, "3")]]
    assert with_folder_values([frame.clear()], ["run=3/b.csv"])[0].rows() == []
