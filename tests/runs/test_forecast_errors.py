"""Someone whose file is wrong sees one line only: it must say where, what, and how to mend it."""

import gzip
from pathlib import Path

import pytest

from tsfm import cli

GOOD = """item_id,timestamp,target
a,2024-01-01 00:00:00,1.5
a,2024-01-01 01:00:00,2.5
a,2024-01-01 02:00:00,
b,2024-01-01 00:00:00,3.5
b,2024-01-01 01:00:00,4.5
b,2024-01-01 02:00:00,5.5
"""
LAST = "b,2024-01-01 02:00:00,5.5\n"


def run(*arguments: object, expect: int = 1) -> None:
    code = cli.main(["forecast", *map(str, arguments), "--prediction-length", "3"])
    assert code == expect


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removesuffix("\n")


@pytest.mark.parametrize(
    ("old", "new", "where", "what", "remedy"),
    [
        (
            LAST,
            LAST + LAST,
            "item 'b', column 'timestamp'",
            "1 duplicate timestamp, first 2024-01-01 02:00:00",
            "aggregate them or pass the column that tells them apart as id_column",
        ),
        (
            "4.5",
            "broken",
            "item 'b', column 'target'",
            "got 'broken', which is no number, at 2024-01-01 01:00:00 (1 such row)",
            "correct it or leave it empty",
        ),
        (
            "4.5",
            "-inf",
            "item 'b', column 'target'",
            "got an infinite value at 2024-01-01 01:00:00 (1 such row)",
            "make it missing or cap it",
        ),
        (
            "b,2024-01-01 02:00:00",
            "b,2024-01-01 02:20:00",
            "item 'b', column 'timestamp'",
            "stamps must be regular steps of freq='h', got 2024-01-01 02:20:00 (1 such row)",
            "pass another freq= or a calendar=, or resample",
        ),
        (
            "b,2024-01-01 02:00:00",
            "b,noon",
            "item 'b', column 'timestamp'",
            "got text 'noon' that is no stamp in row 6 of the data (1 such row)",
            "write stamps as 2024-12-31 or 2024-12-31 23:59:59",
        ),
        (
            "b,2024-01-01 02:00:00",
            "b,",
            "item 'b', column 'timestamp'",
            "got a missing stamp in row 6 of the data (1 such row)",
            "fill it or drop the rows",
        ),
        (
            "b,2024-01-01 00:00:00",
            ",2024-01-01 00:00:00",
            "item None, column 'item_id'",
            "got a missing id in row 4 of the data (1 such row)",
            "fill it or drop the rows",
        ),
        (
            "item_id,timestamp,target",
            "item_id,timestamp,tagret",
            "column 'target'",
            "must be present, got ['item_id', 'timestamp', 'tagret']",
            "did you mean 'tagret'?",
        ),
        (
            "item_id,timestamp,target",
            "item_id,when,target",
            "column 'timestamp'",
            "must be present, got ['item_id', 'when', 'target']",
            "pass id_column=, timestamp_column= or target=",
        ),
    ],
    ids=[
        "duplicate stamp",
        "text value",
        "infinite value",
        "irregular stamp",
        "text stamp",
        "missing stamp",
        "missing id",
        "missing target",
        "missing timestamp",
    ],
)
@pytest.mark.parametrize("kind", ["a file", "a folder", "an archive"])
def test_bad_data_is_one_line_with_file_place_and_remedy(
    tmp_path: Path, capsys, kind: str, old: str, new: str, where: str, what: str, remedy: str
) -> None:
    assert old in GOOD
    content = GOOD.replace(old, new)
    file = tmp_path / ("bad.csv.gz" if kind == "an archive" else "bad.csv")
    file.write_bytes(gzip.compress(content.encode()) if kind == "an archive" else content.encode())
    run(tmp_path if kind == "a folder" else file)
    line = only_line(capsys)
    assert line.startswith(f"tsfm: error: {file}: {where}")
    assert what in line
    assert line.endswith(f"; {remedy}")


def test_the_one_bad_file_of_several_is_named(tmp_path: Path, capsys) -> None:
    for number in range(3):
        text = GOOD.replace("\na,", f"\na{number},").replace("\nb,", f"\nb{number},")
        (tmp_path / f"{number}.csv").write_text(text.replace("4.5", "4.5" if number != 1 else "?"))
    run(tmp_path)
    line = only_line(capsys)
    assert f"{tmp_path / '1.csv'}: item 'b1', column 'target': got '?'" in line


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "must have rows, got an empty file; remove it from the input"),
        ("bare.csv", "item_id,timestamp,target\n", "must have rows, got a header alone; remove it"),
        ("ragged.csv", GOOD + "b,2024-01-01 03:00:00,1,2\n", "must be a readable CSV or Parquet"),
        ("text.parquet", GOOD, "must be a readable CSV or Parquet file, got: "),
        ("sheet.xlsx", GOOD, "must end in one of .csv, .csv.gz, .tsv, "),
    ],
)
def test_a_bad_file_is_one_line_with_its_name(
    tmp_path: Path, capsys, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    run(tmp_path / name)
    assert only_line(capsys).startswith(f"tsfm: error: {tmp_path / name} {message}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--freq", "fortnight"], "freq must be an alias such as "),
        (["--freq", "7min"], "stamps must be regular steps of freq='7min', got 2024-01-01 01:00"),
        (["--calendar", "XNYSE"], "calendar must be an exchange code, got 'XNYSE'; did you mean"),
        (["--calendar", "XNYS"], "stamps must be steps of h in the trading hours of XNYS, "),
        (["--target", "load"], "column 'load' must be present, got "),
        (["--id-column", "shop"], "column 'shop' must be present, got "),
    ],
)
def test_an_option_that_does_not_fit_the_data_is_one_line(
    tmp_path: Path, capsys, options: list[str], message: str
) -> None:
    (tmp_path / "good.csv").write_text(GOOD)
    run(tmp_path / "good.csv", *options)
    assert message in only_line(capsys)


def test_nothing_is_written_when_the_data_are_wrong(tmp_path: Path, capsys) -> None:
    (tmp_path / "bad.csv").write_text(GOOD.replace("4.5", "?"))
    run(tmp_path / "bad.csv", "--output", tmp_path / "out" / "forecast.csv")
    only_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.csv"]
