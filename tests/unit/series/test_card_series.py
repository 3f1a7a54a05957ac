"""Scores stand on the rows of a card's file: one that is twice there moves them all."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.series import cards
from tsfm.series.card_series import read_rows, read_series

DAYS = [dt.datetime(2024, 1, 30), dt.datetime(2024, 1, 31), dt.datetime(2024, 2, 1)]


@pytest.fixture
def folder(write_card: Callable[..., Path]) -> Path:
    """Where `made.parquet` belongs."""
    return write_card()


def write(folder: Path, **changes: list) -> None:
    columns = {"item_id": ["a"] * 3, "timestamp": DAYS, "target": [1.0, None, 3.0], **changes}
    pl.DataFrame(columns, strict=False).write_parquet(folder / "made.parquet")


def test_rows_are_in_order_of_time_with_all_their_columns(folder: Path) -> None:
    write(folder, timestamp=DAYS[::-1], label=["x", "y", "z"])
    rows = read_rows(cards.load_card("made"))
    assert rows["target"].to_list() == [3.0, None, 1.0]
    assert rows["label"].to_list() == ["z", "y", "x"]


def test_text_is_ordered_by_the_day_that_it_names(folder: Path) -> None:
    write(folder, timestamp=["01/02/2024", "30/01/2024", "31/01/2024"], target=["3", "1", "2"])
    ((name, values),) = read_series(cards.load_card("made"))
    assert (name, values.tolist()) == ("a", [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"timestamp": [DAYS[0], DAYS[1], DAYS[1]]},
            r"made.parquet: item 'a', column 'timestamp': .* 1 duplicate .*, first 2024-01-31",
        ),
        (
            {"target": [1.0, 2.0, float("inf")]},
            r"'target': got an infinite value at 2024-02",
        ),
        ({"target": ["1", "x", "3"]}, r"'x', which is no number, at 2024-01-31"),
        ({"item_id": ["a", None, "a"]}, "column 'item_id': got a missing id in row 2"),
        ({"timestamp": [None, *DAYS[1:]]}, "column 'timestamp': got a missing stamp in row 1"),
        ({"item_id": [], "timestamp": [], "target": []}, "made.parquet: the frame must have rows"),
    ],
)
def test_rows_that_cannot_be_used_are_refused(folder: Path, changes: dict, said: str) -> None:
    write(folder, **changes)
    with pytest.raises(DataError, match=said):
        read_series(cards.load_card("made"))
