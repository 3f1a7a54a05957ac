"""A wrong frequency moves every forecast to a wrong date, so inference must be right or refuse."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.series.frame import SeriesFrame
from tsfm.series.frequency import seasonality

NAN = np.nan
WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]


def read(stamps: pd.DatetimeIndex, freq: str | None = None, **columns: object) -> SeriesFrame:
    values = np.arange(len(stamps), dtype=float)
    frame = pd.DataFrame({"timestamp": stamps, "target": values, **columns})
    return SeriesFrame.from_any(frame, freq=freq)


def future(series: SeriesFrame, n_steps: int) -> list[str]:
    return [str(stamp) for stamp in series.future_timestamps(n_steps)]


def texts(stamps: pd.DatetimeIndex) -> list[str]:
    return [str(stamp) for stamp in stamps.to_pydatetime()]


# A start, the alias that pandas makes the stamps with, and the alias that is to be found.
REGULAR = [
    ("2024-01-31 00:00", "s", "s"),
    ("2024-01-31 00:00", "10s", "10s"),
    ("2024-02-28 23:00", "min", "min"),
    ("2024-02-28 23:00", "10min", "10min"),
    ("2024-02-28 23:00", "15min", "15min"),
    ("2024-02-28 23:00", "h", "h"),
    ("2024-02-28 23:07:03", "h", "h"),
    ("2024-02-28 23:00", "6h", "6h"),
    ("2024-01-01 00:00", "250ms", "250ms"),
    ("2024-02-26 00:00", "D", "D"),
    ("2024-02-26 09:30", "D", "D"),
    ("2024-02-26 00:00", "3D", "3D"),
    ("2024-02-26 00:00", "B", "B"),
    ("2024-02-26 16:00", "B", "B"),
    *(("2024-01-01 00:00", f"W-{day}", f"W-{day}") for day in WEEKDAYS),
    ("2024-01-01 00:00", "2W-WED", "2W-WED"),
    ("2024-01-01 00:00", "4W-WED", "4W-WED"),
    ("2024-01-01 00:00", "MS", "MS"),
    ("2023-01-31 00:00", "ME", "ME"),
    ("2024-01-31 12:00", "ME", "ME"),
    ("2023-01-31 00:00", "2ME", "2ME"),
    ("2024-01-01 00:00", "BMS", "BMS"),
    ("2024-01-01 00:00", "BME", "BME"),
    ("2024-01-01 00:00", "QS", "QS"),
    ("2024-01-01 00:00", "QS-FEB", "QS"),
    ("2024-01-01 00:00", "QE", "QE"),
    ("2024-01-01 00:00", "QE-NOV", "QE"),
    ("2024-01-01 00:00", "BQE", "BQE"),
    ("2024-01-01 00:00", "BQS-FEB", "BQS"),
    ("1999-01-01 00:00", "YS", "YS"),
    ("1999-01-01 00:00", "YE", "YE"),
    ("1999-01-01 00:00", "YE-FEB", "YE"),
    ("1999-01-01 00:00", "BYE", "BYE"),
    ("1700-01-01 00:00", "5YS", "5YS"),
    ("1890-01-01 00:00", "YS-JUL", "YS"),
]


@pytest.mark.parametrize(("start", "freq", "expected"), REGULAR)
def test_a_regular_series_is_recognised_and_goes_on_as_in_pandas(
    start: str, freq: str, expected: str
) -> None:
    stamps = pd.date_range(start, periods=60, freq=freq)
    series = read(stamps[:24])
    assert series.freq == expected
    assert series.lengths.tolist() == [24]
    assert future(series, 36) == texts(stamps[24:])


@pytest.mark.parametrize(("start", "freq", "expected"), REGULAR)
def test_gaps_of_a_regular_series_are_found_where_they_are(
    start: str, freq: str, expected: str
) -> None:
    stamps = pd.date_range(start, periods=24, freq=freq)
    missing = [5, 6, 7, 12, 20]
    series = read(stamps.delete(missing))
    assert series.freq == expected
    assert np.flatnonzero(np.isnan(series.values[:, 0])).tolist() == missing
    assert [str(stamp) for stamp in series.frame["timestamp"]] == texts(stamps)


@pytest.mark.parametrize(("start", "freq", "expected"), REGULAR)
def test_a_frequency_that_is_given_is_the_one_that_is_found(
    start: str, freq: str, expected: str
) -> None:
    stamps = pd.date_range(start, periods=20, freq=freq)
    assert read(stamps, freq=freq).freq == expected
    # With one stamp only, the alias alone must be enough.
    assert future(read(stamps[:1], freq=freq), 19) == texts(stamps[1:])


@pytest.mark.parametrize("day", [1, 15, 28])
def test_months_may_have_any_day_that_all_months_have(day: int) -> None:
    stamps = pd.date_range("2024-01-01", periods=30, freq="MS") + pd.Timedelta(days=day - 1)
    series = read(stamps[:14])
    assert series.freq == "MS"
    assert future(series, 16) == texts(stamps[14:])


def test_a_month_that_ends_on_the_28th_is_still_a_month_end() -> None:
    stamps = pd.to_datetime(["2023-01-31", "2023-02-28", "2023-03-31"])
    assert future(read(stamps), 2) == ["2023-04-30 00:00:00", "2023-05-31 00:00:00"]
    assert future(read(stamps[1:2], freq="ME"), 1) == ["2023-03-31 00:00:00"]
    leap = pd.to_datetime(["2023-11-30", "2023-12-31"])
    assert future(read(leap), 2) == ["2024-01-31 00:00:00", "2024-02-29 00:00:00"]


def test_the_28th_of_every_month_is_no_month_end() -> None:
    stamps = pd.to_datetime(["2023-01-28", "2023-02-28", "2023-03-28"])
    assert future(read(stamps), 1) == ["2023-04-28 00:00:00"]


def test_a_day_that_some_months_lack_is_no_step() -> None:
    thirtieths = pd.to_datetime(["2024-03-30", "2024-04-30", "2024-05-30", "2024-06-30"])
    with pytest.raises(DataError, match=r"got 2024-0[45]-30"):
        read(thirtieths)
    with pytest.raises(DataError, match=r"steps of freq='ME', got 2024-03-30 \(2 such rows\)"):
        read(thirtieths, freq="MS")


def test_business_days_with_holidays_are_business_days_with_gaps() -> None:
    days = pd.bdate_range("2024-12-16", "2025-01-10")
    holidays = [pd.Timestamp("2024-12-25"), pd.Timestamp("2025-01-01")]
    series = read(days.drop(holidays))
    assert series.freq == "B"
    missing = series.frame.filter(pl.col("target").is_null())["timestamp"].to_list()
    assert missing == holidays
    assert future(series, 1) == ["2025-01-13 00:00:00"]


def test_days_are_days_until_a_weekend_was_skipped() -> None:
    assert read(pd.bdate_range("2024-01-01", periods=5)).freq == "D"
    assert read(pd.bdate_range("2024-01-01", periods=6)).freq == "B"


def test_a_weekend_stamp_makes_business_days_days() -> None:
    days = pd.bdate_range("2024-01-01", periods=20).insert(5, pd.Timestamp("2024-01-06"))
    assert read(days).freq == "D"
    with pytest.raises(
        DataError, match=r"regular steps of freq='B', got 2024-01-06 \(1 such row\)"
    ):
        read(days, freq="B")


def test_weeks_from_sunday_to_thursday_are_days_with_gaps() -> None:
    days = pd.date_range("2024-01-07", periods=21, freq="D")
    week = days[[day.weekday() not in (4, 5) for day in days]]
    series = read(week)
    assert series.freq == "D"
    assert np.isnan(series.values).sum() == 21 - len(week) - 2


def test_items_need_not_begin_together_or_have_one_weekday() -> None:
    parts = [pd.date_range(start, periods=6, freq="7D") for start in ("2024-01-01", "2024-03-06")]
    series = read(parts[0].append(parts[1]), item_id=["a"] * 6 + ["b"] * 6)
    assert series.lengths.tolist() == [6, 6]
    assert future(series, 1) == ["2024-02-12 00:00:00", "2024-04-17 00:00:00"]


def test_hourly_items_need_not_share_a_minute() -> None:
    parts = [pd.date_range(f"2024-01-01 00:{minute}", periods=5, freq="h") for minute in (10, 40)]
    series = read(parts[0].append(parts[1]), item_id=["a"] * 5 + ["b"] * 5)
    assert future(series, 1) == ["2024-01-01 05:10:00", "2024-01-01 05:40:00"]


@pytest.mark.parametrize("freq", ["D", "B", "MS", "ME", "BME"])
def test_daily_items_need_not_share_a_time_of_day(freq: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=12, freq=freq)
    hours = [pd.Timedelta("9h"), pd.Timedelta("16h")]
    both = (stamps[:8] + hours[0]).append(stamps[:8] + hours[1])
    series = read(both, item_id=["a"] * 8 + ["b"] * 8)
    assert series.freq == freq
    assert future(series, 4) == [*texts(stamps[8:] + hours[0]), *texts(stamps[8:] + hours[1])]


@pytest.mark.parametrize("freq", ["D", "B", "MS", "ME"])
def test_an_item_has_one_time_of_day(freq: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=12, freq=freq).to_series().reset_index(drop=True)
    stamps[5] += pd.Timedelta("1h")
    with pytest.raises(DataError, match=rf"steps of freq='{freq}', got {stamps[5]} \(1 such row\)"):
        read(pd.DatetimeIndex(stamps))


def test_an_item_with_a_rarer_frequency_has_gaps() -> None:
    stamps = pd.date_range("2024-01-01", periods=9, freq="h").append(
        pd.to_datetime(["2024-01-01 00:00", "2024-01-01 02:00", "2024-01-01 04:00"])
    )
    series = read(stamps, item_id=["a"] * 9 + ["b"] * 3)
    assert series.freq == "h"
    np.testing.assert_array_equal(series.values[9:, 0], [9, NAN, 10, NAN, 11])


def test_an_item_that_does_not_fit_the_others_is_named() -> None:
    stamps = pd.date_range("2024-01-01", periods=9, freq="h").append(
        pd.date_range("2024-01-01", periods=3, freq="20min")
    )
    message = (
        r"item 'b', column 'timestamp': stamps must be regular steps of freq='h', got "
        r"2024-01-01 00:20:00 \(2 such rows\); pass another freq= or a calendar=, or resample"
    )
    with pytest.raises(DataError, match=message):
        read(stamps, item_id=["a"] * 9 + ["b"] * 3)


@pytest.mark.parametrize(
    ("changed", "found", "message"),
    [
        ("2024-01-01 05:00:00", "2024-01-01 05:00:07", "2024-01-01 05:00:07"),
        ("2024-01-01 05:00:00", "2024-01-01 05:00:00.000001", "2024-01-01 05:00:00.000001"),
        ("2024-01-01 05:00:00", "2024-01-01 05:30:00", "2024-01-01 05:30:00"),
    ],
)
def test_an_irregular_stamp_is_named(changed: str, found: str, message: str) -> None:
    stamps = pd.date_range("2024-01-01", periods=10, freq="h").to_series()
    stamps[pd.Timestamp(changed)] = pd.Timestamp(found)
    with pytest.raises(DataError, match=rf"item '0', .*got {message} \(1 such row\)"):
        read(pd.DatetimeIndex(stamps))


def test_an_irregular_day_is_written_without_a_time() -> None:
    stamps = pd.to_datetime(["2024-01-01", "2024-02-01", "2024-03-01", "2024-03-15", "2024-04-01"])
    with pytest.raises(DataError, match=r"got 2024-03-15 \(1 such row\)"):
        read(stamps, freq="MS")


def test_stamps_of_no_pattern_are_refused(generator) -> None:
    seconds = np.sort(generator.choice(10**6, 50, replace=False))
    with pytest.raises(DataError, match="stamps must be regular"):
        read(pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s"))


def test_several_business_days_are_no_step() -> None:
    with pytest.raises(ConfigError, match="freq must be 'B' for business days, got '2B'"):
        read(pd.bdate_range("2024-01-01", periods=5), freq="2B")


@pytest.mark.parametrize("freq", [freq for _, _, freq in REGULAR])
def test_every_frequency_that_is_found_has_a_season(freq: str) -> None:
    assert seasonality(freq) >= 1
