"""Every type of stamp ends somewhere, and has a finest part: neither may change a stamp."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.series.frame import SeriesFrame


def read(stamps: Any, **options: Any) -> SeriesFrame:
    values = np.arange(len(stamps), dtype=float)
    return SeriesFrame.from_any(pl.DataFrame({"timestamp": stamps, "target": values}), **options)


def dates(freq: str, n: int = 40) -> pl.Series:
    return pl.Series(pd.date_range("2020-01-01", periods=n, freq=freq).astype("datetime64[us]"))


@pytest.mark.parametrize("kind", [pl.Int32, pl.Int64, pl.UInt64])
def test_numbers_that_are_months_of_two_years_are_refused(kind: Any) -> None:
    months = [year * 100 + month for year in (2021, 2022) for month in range(1, 13)]
    message = (
        r"item '0', column 'timestamp': got the number 202101 for the month 2021-01 in row 1 of "
        r"the data \(24 such rows\); write stamps as"
    )
    with pytest.raises(DataError, match=message):
        read(pl.Series(months, dtype=kind))


@pytest.mark.parametrize(
    "steps", [range(202101, 202113), range(202101, 202130), range(202001, 202402, 100), range(100)]
)
def test_numbers_that_go_on_as_they_are_are_steps(steps: range) -> None:
    assert read(list(steps)).future_timestamps(1).to_list() == [steps[-1] + steps.step]


@pytest.mark.parametrize("step", [1500, 100])
def test_stamps_finer_than_a_microsecond_are_refused(step: int) -> None:
    stamps = pl.Series(np.arange(40) * step).cast(pl.Datetime("ns"))
    message = (
        rf"got the stamp 1970-01-01 00:00:00\.00000{step:04}, which is finer than a micro.*round"
    )
    with pytest.raises(DataError, match=message):
        read(stamps)
    assert read(pl.Series(np.arange(40) * 2000).cast(pl.Datetime("ns"))).freq == "2us"


def test_steps_do_not_wrap_around() -> None:
    last = 2**63 - 1
    series = read([last - 12, last - 11, last - 10])
    assert series.future_timestamps(10)[-1] == last
    with pytest.raises(
        DataError, match=rf"must not go past step {last}, got 13 steps of 1 .*; ask"
    ):
        series.future_timestamps(11)


@pytest.mark.parametrize("freq", ["h", "D", "B", "W", "MS", "QE"])
def test_stamps_end_with_the_year_9999(freq: str) -> None:
    series = read(dates(freq))
    with pytest.raises(
        DataError, match=r"must not go past the year 9999, got .*; ask for a shorter"
    ):
        series.future_timestamps(80_000_000)


def test_stamps_end_with_those_of_their_type() -> None:
    months = read(dates("MS").cast(pl.Datetime("ns")))
    assert months.future_timestamps(2800)[-1].year == 2256
    message = r"must stay within their type, got a horizon .* of Datetime\(.*; ask .* microseconds"
    with pytest.raises(DataError, match=message):
        months.future_timestamps(5000)
    steps = read(pl.Series(range(120), dtype=pl.Int8))
    assert steps.future_timestamps(8)[-1] == 127
    with pytest.raises(
        DataError, match=r"passes the last one of Int8; .* whole numbers of 64 bits"
    ):
        steps.future_timestamps(9)


def test_numbers_of_more_than_64_bits_are_refused() -> None:
    stamps = pl.Series([2**63 + step for step in range(9)], dtype=pl.UInt64)
    with pytest.raises(DataError, match=r"got the number 9223372036854775808 that needs more than"):
        read(stamps)
