"""A CSV file comes back field by field as it was written, but for what was filled."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.jobs import detect, impute
from tsfm.lake.options import FillOptions
from tsfm.lake.parts import scan
from tsfm.lake.verify import Checking
from tsfm.tracking import ListTracker

HEADER = ["item_id", "timestamp", "target", "note", "code"]


def run(*inputs: Path | str, **options: Any) -> dict[str, Any]:
    return impute.run(inputs, **{"output": Path("out"), "tracker": ListTracker(), **options})


def lines(items: list[str]) -> list[list[str]]:
    return [HEADER] + [
        [item, f"2024-01-{day:02d}", "" if 10 < day < 14 else f"{day}.50", "true", f"00{day}e3"]
        for item in items
        for day in range(1, 31)
    ]


def write_text(rows: list[list[str]], *, mark: str = ",", end: str = "\n") -> Path:
    Path("in").mkdir(exist_ok=True)
    file = Path("in/a.csv")
    file.write_bytes("".join(mark.join(row) + end for row in rows).encode())
    return file


def read_text(file: Path | str, mark: str = ",") -> list[list[str]]:
    return [line.split(mark) for line in Path(file).read_text().splitlines()]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_not_filled_is_the_text_that_came_in(mark, end):
    before = lines(["01", "1", "1e3", "1000.0"])
    report = run(write_text(before, mark=mark, end=end), verify=True)
    assert report["verified"] == 1
    assert report["filled"] == 12
    content = Path("out/a.csv").read_bytes()
    assert content.count(end.encode()) == content.count(b"\n") == len(before)
    after = read_text("out/a.csv", mark)
    assert after[0] == [*HEADER, "target_imputed"]
    for old, new in zip(before[1:], after[1:], strict=True):
        assert [*new[:2], *new[3:5]] == [*old[:2], *old[3:]]
        assert new[5] == ("false" if old[2] else "true")
        assert new[2] == old[2] if old[2] else float(new[2]) > 0


@pytest.mark.parametrize("job", [impute, detect])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_stays(job, start):
    file = write_text(lines(["é"]))
    file.write_bytes(start + file.read_bytes())
    job.run([file], output=Path("out"), tracker=ListTracker())
    content = Path("out/a.csv").read_bytes()
    assert content.startswith(start + b"item_id,")
    assert "é".encode() in content


def test_items_whose_ids_are_equal_as_numbers_are_filled_apart():
    rows = lines(["01", "1"])
    rows = [row if row[0] != "1" or not row[2] else [*row[:2], "500", *row[3:]] for row in rows]
    run(write_text(rows))
    filled = [row for row in read_text("out/a.csv") if row[5] == "true"]
    assert {row[0] for row in filled} == {"01", "1"}
    assert all((float(row[2]) > 400) == (row[0] == "1") for row in filled)


def test_whole_numbers_are_filled_with_whole_numbers():
    rows = [[*row[:2], row[2].partition(".")[0], *row[3:]] for row in lines(["a"])]
    run(write_text(rows))
    assert all(row[2].isdigit() for row in read_text("out/a.csv")[1:])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("01,2024-01-01", "1,2024-01-01", "column 'item_id' is not what it was"),
        ("1.50,", "1.5,", "column 'target': an observed value is not what it was"),
        ("true,0011e3,true", "true,0011e3,false", "column 'target': flags must be where"),
        (",", ";", "fields must be apart by ','"),
        ("note", "remark", "the columns must be"),
    ],
)
def test_verifying_finds_what_was_changed_in_text(old, new, message):
    file = write_text(lines(["01"]))
    run(file)
    part, _ = scan(str(file), "a.csv", FillOptions())
    checking = Checking("out", FillOptions())
    assert checking(part) is None
    out = Path("out/a.csv")
    count = -1 if old == "," else 1
    out.write_text(out.read_text().replace(old, new, count))
    assert message in (checking(part) or "")


def test_a_scored_file_keeps_its_text():
    before = lines(["01", "1"])
    detect.run([write_text(before, mark=";")], output=Path("out"), tracker=ListTracker())
    after = read_text("out/a.csv", ";")
    assert [row[:5] for row in after] == before
    assert after[0][5:] == ["anomaly_score"]
    scores = pl.read_csv("out/a.csv", separator=";")["anomaly_score"]
    assert scores.null_count() < len(scores)


def test_text_at_an_address_is_verified_too() -> None:
    file, place = write_text(lines(["a"])), Path("remote").absolute()
    address = f"file://{place}"
    assert run(file, output=address, verify=True)["failed"] == []
    part, _ = scan(str(file), "a.csv", FillOptions())
    checking = Checking(address, FillOptions())
    assert checking(part) is None
    written = place / "a.csv"
    written.write_text(written.read_text().replace("20.50", "21.50"))
    assert "column 'target': an observed value is not what it was" in (checking(part) or "")
    written.unlink()
    with pytest.raises(DataError, match=r"a\.csv must be a readable CSV file, got: "):
        checking(part)


def test_ids_may_be_said_by_folders_alone():
    before = [row[1:] for row in lines(["01"])]
    place = Path("in/item_id=01/ticker=A/a.csv")
    place.parent.mkdir(parents=True)
    place.write_text("".join(",".join(row) + "\n" for row in before))
    report = run("in", verify=True, id_column="ticker")
    assert (report["items"], report["filled"], report["verified"]) == (1, 3, 1)
    after = read_text("out/item_id=01/ticker=A/a.csv")
    assert after[0] == [*before[0], "target_imputed"]
    with pytest.raises(DataError, match="'sku' must be present"):
        run("in", output=Path("wrong"), id_column="sku")
