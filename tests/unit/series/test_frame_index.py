"""Keys may be in the index of a pandas frame, as many of them are."""

from datetime import datetime

import pandas as pd
import pytest

from tsfm.series.convert import to_polars
from tsfm.series.frame import SeriesFrame

HOURS = pd.date_range("2024-01-01", periods=3, freq="h")


@pytest.mark.parametrize(
    "index",
    [
        HOURS,
        HOURS.rename("timestamp"),
        HOURS.to_period("h"),
        pd.Index(["2024-01-01 00:00", "2024-01-01 01:00", "2024-01-01 02:00"], name="timestamp"),
    ],
)
def test_stamps_may_be_the_index_of_a_pandas_frame(index: pd.Index) -> None:
    series = SeriesFrame.from_any(pd.DataFrame({"target": [1.0, 2.0, 3.0]}, index=index))
    assert series.freq == "h"
    assert series.last_timestamps().to_list() == [datetime(2024, 1, 1, 2)]


def test_items_and_stamps_may_be_a_pandas_index_of_two_levels(tiny_frame) -> None:
    indexed = tiny_frame.to_pandas().set_index(["item_id", "timestamp"])
    assert SeriesFrame.from_any(indexed).lengths.tolist() == [48, 36]


@pytest.mark.parametrize(
    ("index", "names"),
    [
        (["item_id"], {}),
        (["item_id"], {"item_id": "unique_id"}),
        (["item_id"], {"item_id": "unique_id", "timestamp": "ds", "target": "y"}),
        (["item_id", "timestamp"], {"item_id": "unique_id", "timestamp": "ds", "target": "y"}),
        (["item_id"], {"item_id": "store"}),
    ],
)
@pytest.mark.filterwarnings("ignore::tsfm.series.validation.ColumnNamesWarning")
def test_ids_in_the_index_of_a_pandas_frame_are_kept(tiny_frame, index, names) -> None:
    keys = [names.get(name, name) for name in index]
    indexed = tiny_frame.rename(names).to_pandas().set_index(keys)
    options = {"id_column": "store"} if "store" in keys else {}
    series = SeriesFrame.from_any(indexed, **options)
    assert series.items.to_list() == ["a", "b"]
    assert series.lengths.tolist() == [48, 36]


def test_a_key_may_be_a_level_of_the_index_and_a_column(tiny_frame) -> None:
    indexed = tiny_frame.to_pandas().set_index(["item_id", "timestamp"], drop=False)
    for twice in ("item_id", "timestamp"):
        assert SeriesFrame.from_any(indexed.drop(columns=twice)).lengths.tolist() == [48, 36]


def test_another_index_is_no_column(tiny_frame) -> None:
    frame = tiny_frame.to_pandas().rename_axis(index="row")
    assert to_polars(frame, "timestamp")[0].columns == tiny_frame.columns


def test_stamps_in_an_index_take_the_name_asked_for() -> None:
    frame = pd.DataFrame({"target": [1.0, 2.0, 3.0]}, index=HOURS.rename("ds"))
    assert SeriesFrame.from_any(frame).columns.timestamp == "timestamp"
