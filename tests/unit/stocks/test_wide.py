"""A wide frame, a column per stock, has days in many places and forms; none may be lost."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.reading import read_wide


def test_wide_frames_are_the_same_as_a_long_one(bars: pl.DataFrame) -> None:
    expected = StockPanel.from_frame(bars, sector_column="sector")
    close, volume = (
        bars.pivot("item_id", index="timestamp", values=name).sort("timestamp")
        for name in ("close", "volume")
    )
    found = StockPanel.from_wide(close, volume=volume, sectors={"A": "tech"})
    np.testing.assert_array_equal(found["close"], expected["close"])
    np.testing.assert_array_equal(found.sector, expected.sector)
    indexed = close.to_pandas().set_index("timestamp")
    np.testing.assert_array_equal(StockPanel.from_wide(indexed)["close"], expected["close"])


def test_the_days_of_wide_frames_may_be_written_in_several_ways(bars: pl.DataFrame) -> None:
    close = bars.pivot("item_id", index="timestamp", values="close").sort("timestamp")
    expected = StockPanel.from_wide(close, open=close)
    indexed = close.to_pandas().set_index("timestamp")
    days = pd.DatetimeIndex(indexed.index)
    for other in (
        days.as_unit("ns"),
        days.tz_localize("Asia/Tokyo"),
        days.strftime("%Y-%m-%d"),
        pd.Index([one.date() for one in days], name="Date"),
        pd.Index(days.strftime("%Y%m%d").astype(int)),
    ):
        again = indexed.set_axis(other)
        for frames in ((close, again), (again, close), (again, again)):
            found = StockPanel.from_wide(frames[0], open=frames[1])
            np.testing.assert_array_equal(found.days, expected.days)
            np.testing.assert_array_equal(found.bars, expected.bars)
    # Rows that were chosen have numbers, which are no days.
    chosen = close.to_pandas().iloc[::2]
    assert StockPanel.from_wide(chosen).days.tolist() == expected.days[::2].tolist()


def test_what_is_wrong_with_a_wide_frame_is_said_of_it(bars: pl.DataFrame) -> None:
    close = bars.pivot("item_id", index="timestamp", values="close").sort("timestamp")
    twice = pl.concat([close, close.head(1)])
    with pytest.raises(DataError, match=r"^open must have one row per day, got 2 of 2020-01-06"):
        StockPanel.from_wide(close, open=twice)
    bad = close.with_columns(timestamp=pl.lit("soon"))
    with pytest.raises(DataError, match=r"^volume of mine must have days in .* got 'soon'"):
        StockPanel.from_wide(close, volume=bad, name="mine")


def test_sectors_of_a_dict_may_be_missing_and_must_be_of_the_stocks(bars: pl.DataFrame) -> None:
    close = bars.pivot("item_id", index="timestamp", values="close").sort("timestamp")
    expected = StockPanel.from_wide(close, sectors={"A": "tech"})
    for missing in (float("nan"), None, pd.NA, "n/a"):
        found = StockPanel.from_wide(close, sectors={"A": "tech", "B": missing, "Z": "banks"})
        assert found.sectors == ("tech",)
        np.testing.assert_array_equal(found.sector, expected.sector)
    with pytest.raises(DataError, match=r"sectors must name the stocks as close does, got 'a' bes"):
        StockPanel.from_wide(close, sectors={"a": "tech"})
    # As users call it: the tests check types at every call.
    call: Any = getattr(read_wide, "__wrapped__", read_wide)
    with pytest.raises(ConfigError, match=r"sectors must be a dict .* a Series; .*to_dict\(\)"):
        call(close, sectors=pd.Series({"A": "tech"}))


def test_a_wide_frame_that_is_none_or_of_no_field_is_refused(bars: pl.DataFrame) -> None:
    close = bars.pivot("item_id", index="timestamp", values="close")
    assert StockPanel.from_wide(close, adjClose=close).fields == ("close", "raw_close")
    with pytest.raises(ConfigError, match=r"must be named as one of .* got \['volumes'\]"):
        StockPanel.from_wide(close, volumes=close)
    with pytest.raises(DataError, match=r"close must be a wide frame.* StockPanel\.from_frame"):
        StockPanel.from_wide(bars.drop("sector"))
