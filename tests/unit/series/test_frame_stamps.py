"""Stamps decide where every value stands: each kind is read as it was meant, or refused by name."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.series.frame import SeriesFrame

NAN = np.nan


def one_item(stamps: Any, values: Any = None, **columns: Any) -> pd.DataFrame:
    """Return a frame of these stamps; values count from zero."""
    values = np.arange(len(stamps), dtype=float) if values is None else values
    return pd.DataFrame({"timestamp": stamps, "target": values, **columns})


def hours(n: int, start: str = "2024-01-01", **options: Any) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=n, freq="h", **options)


def assert_same_stamps(got: pl.Series, expected: pd.DatetimeIndex) -> None:
    """Compare instants and time zone; the frequency of an index does not count."""
    assert got.dtype.time_zone == str(expected.tz)
    assert [stamp.timestamp() for stamp in got] == [stamp.timestamp() for stamp in expected]


def test_integer_steps_have_gaps_and_a_future_of_their_own() -> None:
    series = SeriesFrame.from_any(one_item(np.array([10, 20, 50, 60], np.int16)))
    assert series.freq == "step"
    np.testing.assert_array_equal(series.values[:, 0], [0, 1, NAN, NAN, 2, 3])
    assert series.future_timestamps(2).to_list() == [70, 80]
    assert series.future_timestamps(2).dtype == pl.Int16


@pytest.mark.parametrize("freq", ["h", "MS", ""])
def test_integer_steps_have_no_frequency_to_be_given(freq: Any) -> None:
    problem = (
        "item '0', column 'timestamp': stamps must be days or times with freq "
        f"{freq!r}, got integer steps such as 7; convert them or leave freq= out"
    )
    with pytest.raises(DataError, match=re.escape(problem)):
        SeriesFrame.from_any(one_item(np.array([7, 8, 9])), freq=freq)


def test_integers_that_are_no_steps_are_not_sent_to_freq_which_they_may_not_have() -> None:
    seconds = np.array([0, 3600, 7200, 10800, 14400, 14460])
    with pytest.raises(DataError) as caught:
        SeriesFrame.from_any(one_item(seconds))
    assert "whole numbers 3600 apart, or a multiple of it, got 14460 (1 such row)" in str(caught)
    assert "freq=" not in str(caught.value)
    with pytest.raises(
        DataError, match=r"got 4 rows on 5000001 steps .* after 2; split the item, or"
    ):
        SeriesFrame.from_any(one_item(np.array([0, 1, 2, 5_000_000])))


def test_integer_steps_may_be_called_so() -> None:
    assert SeriesFrame.from_any(one_item(np.array([7, 8, 9])), freq="step").freq == "step"


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_the_unit_of_stamps_is_kept(unit: str) -> None:
    series = SeriesFrame.from_any(pl.from_pandas(one_item(hours(3).as_unit(unit))))
    assert series.future_timestamps(1).dtype == pl.Datetime(unit)
    assert series.future_timestamps(1).to_list() == [datetime(2024, 1, 1, 3)]


def test_dates_stay_dates() -> None:
    stamps = [date(2024, 2, 28), date(2024, 2, 29)]
    series = SeriesFrame.from_any(pl.DataFrame({"timestamp": stamps, "target": [1.0, 2.0]}))
    assert series.future_timestamps(1).to_list() == [date(2024, 3, 1)]


@pytest.mark.parametrize(
    ("text", "following"),
    [
        (["2024-01-01", "2024-01-02"], date(2024, 1, 3)),
        (["2024/01/01", "2024/01/02"], date(2024, 1, 3)),
        (["13/01/2024", "14/01/2024"], date(2024, 1, 15)),
        (["01.02.2024", "02.02.2024"], date(2024, 2, 3)),
        (["2024-01", "2024-02"], date(2024, 3, 1)),
        (["2024-01-01 00:00", "2024-01-01 00:15"], datetime(2024, 1, 1, 0, 30)),
        (["2024-01-01T00:00:00", "2024-01-01T00:00:01"], datetime(2024, 1, 1, 0, 0, 2)),
        (["2024-01-01", "2024-01-01 12:00:00"], datetime(2024, 1, 2)),
    ],
)
def test_stamps_may_be_text(text: list[str], following: date) -> None:
    series = SeriesFrame.from_any(pl.DataFrame({"timestamp": text, "target": [1.0, 2.0]}))
    assert series.future_timestamps(1).to_list() == [following]
    assert type(series.future_timestamps(1)[0]) is type(following)


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (["2024-01-01", "soon"], r"got text 'soon' that is no stamp in row 2 of the data \(1 such"),
        (["soon", "later"], r"got text 'soon' that is no stamp in row 1 of the data \(2 such rows"),
        (["01/13/2024", "01/14/2024"], r"got text '01/13/2024' that is no stamp .*; write stamps"),
        (["01/02/2024", "01/03/2024"], r"got text '01/02/2024' that may be two days .*; write sta"),
        ([20240131, 20240201], r"got the number 20240131 for the day 2024-01-31 .*; write stamps"),
        ([datetime(2024, 1, 1), None], r"got a missing stamp in row 2 of the data .*; fill it or"),
    ],
)
def test_a_stamp_that_cannot_be_read_is_named(stamps: list[Any], message: str) -> None:
    frame = pl.DataFrame({"timestamp": stamps, "target": [1.0, 2.0]})
    with pytest.raises(DataError, match=rf"a.csv: item '0', column 'timestamp': {message}"):
        SeriesFrame.from_any(frame, sources=[("a.csv", 2)])


def test_numbers_that_only_look_like_a_day_are_steps() -> None:
    # 20240132 is no day.
    series = SeriesFrame.from_any(one_item([20240131, 20240132]))
    assert series.future_timestamps(1).to_list() == [20240133]


@pytest.mark.parametrize(
    ("stamps", "kind"), [([1.0, 2.0], "Float64"), (pd.to_timedelta([1, 2], unit="h"), "Duration")]
)
def test_stamps_of_another_type_are_refused(stamps: Any, kind: str) -> None:
    with pytest.raises(DataError, match=f"'timestamp' must hold stamps, dates or .*got {kind}"):
        SeriesFrame.from_any(one_item(stamps))


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(DataError, match=r"a.csv: the frame must have rows, got none"):
        SeriesFrame.from_any(one_item(hours(0)), sources=[("a.csv", 0)])


# Time zones


@pytest.mark.parametrize("start", ["2024-03-30", "2024-10-26"])
@pytest.mark.parametrize("freq", ["h", "15min"])
def test_hours_go_on_through_a_clock_change(start: str, freq: str) -> None:
    stamps = pd.date_range(start, periods=200, freq=freq, tz="Europe/Berlin")
    past, future = stamps[:20], stamps[20:]
    series = SeriesFrame.from_any(one_item(past))
    assert series.freq == freq
    assert_same_stamps(series.future_timestamps(180), future)
    whole = SeriesFrame.from_any(one_item(stamps))
    assert not np.isnan(whole.values).any()
    assert_same_stamps(whole.frame["timestamp"], stamps)


@pytest.mark.parametrize("start", ["2024-03-29", "2024-10-25"])
@pytest.mark.parametrize("freq", ["D", "B", "W-SUN", "MS", "ME"])
def test_days_keep_their_hour_through_a_clock_change(start: str, freq: str) -> None:
    stamps = pd.date_range(start, periods=12, freq=freq, tz="Europe/Berlin")
    series = SeriesFrame.from_any(one_item(stamps[:8]))
    assert series.freq == freq
    assert_same_stamps(series.future_timestamps(4), stamps[8:])


@pytest.mark.parametrize(
    "wall", [["2024-03-31 01:30", "2024-03-31 03:30"], ["2024-10-27 02:30", "2024-10-27 02:30"]]
)
def test_two_stamps_around_a_clock_change_are_an_hour_apart(wall: list[str]) -> None:
    stamps = pd.DatetimeIndex(wall).tz_localize("Europe/Berlin", ambiguous=np.array([True, False]))
    series = SeriesFrame.from_any(one_item(stamps))
    assert series.freq == "h"
    assert series.future_timestamps(1)[0].timestamp() == stamps[1].timestamp() + 3600


def test_two_days_around_a_clock_change_are_a_day_apart() -> None:
    stamps = pd.date_range("2024-03-31", periods=2, freq="D", tz="Europe/Berlin")
    assert SeriesFrame.from_any(one_item(stamps)).freq == "D"


def test_a_day_whose_midnight_was_skipped_is_on_the_grid_before_and_after() -> None:
    days = pd.date_range("2018-10-31", periods=9, freq="D")
    stamps = days.tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
    assert stamps[4].hour == 1
    whole = SeriesFrame.from_any(one_item(stamps))
    assert whole.freq == "D"
    assert_same_stamps(whole.frame["timestamp"], stamps)
    ahead = SeriesFrame.from_any(one_item(stamps[:3])).future_timestamps(6)
    assert_same_stamps(ahead, stamps[3:])


def test_the_first_of_two_equal_hours_is_taken_for_a_day() -> None:
    days = pd.date_range("2024-10-24 02:30", periods=3, freq="D", tz="Europe/Berlin")
    ahead = SeriesFrame.from_any(one_item(days)).future_timestamps(1)[0]
    assert ahead.isoformat() == "2024-10-27T02:30:00+02:00"


def test_days_that_are_an_hour_off_are_not_excused_by_a_time_zone() -> None:
    days = pd.date_range("2024-01-01", periods=6, freq="D", tz="Europe/Berlin").to_series()
    days.iloc[3] += pd.Timedelta("1h")
    with pytest.raises(DataError, match="got 2024-01-04 01:00:00"):
        SeriesFrame.from_any(one_item(pd.DatetimeIndex(days)))


# Short items, and a frequency that is given


def test_an_item_of_one_stamp_takes_the_frequency_of_the_others() -> None:
    frame = one_item([*hours(3), pd.Timestamp("2024-05-05 05:00")], item_id=list("aaab"))
    series = SeriesFrame.from_any(frame)
    assert series.lengths.tolist() == [3, 1]
    assert series.future_timestamps(1).to_list() == [
        datetime(2024, 1, 1, 3),
        datetime(2024, 5, 5, 6),
    ]


def test_two_stamps_tell_a_frequency() -> None:
    assert SeriesFrame.from_any(one_item(pd.to_datetime(["2024-01-01", "2024-01-08"]))).freq == (
        "W-MON"
    )


def test_without_two_stamps_in_an_item_a_frequency_must_be_given() -> None:
    frame = one_item(hours(2), item_id=["a", "b"])
    series = SeriesFrame.from_any(frame)
    assert series.freq is None
    assert series.last_timestamps().to_list() == list(hours(2).to_pydatetime())
    with pytest.raises(DataError, match=r"item 'a' must have two stamps .*, got one; pass freq="):
        series.future_timestamps(1)
    given = SeriesFrame.from_any(frame, freq="30min")
    assert given.future_timestamps(1).to_list() == [
        datetime(2024, 1, 1, 0, 30),
        datetime(2024, 1, 1, 1, 30),
    ]


def test_a_given_frequency_finer_than_the_stamps_makes_gaps() -> None:
    series = SeriesFrame.from_any(one_item(hours(3)), freq="30min")
    np.testing.assert_array_equal(series.values[:, 0], [0, NAN, 1, NAN, 2])


def test_a_given_frequency_at_which_no_stamps_are_neighbours_is_refused() -> None:
    message = (
        "item '0', column 'timestamp': some stamps must be one step of freq='15min' apart, got at "
        "least 4 steps between any two; pass the true freq= or leave it out"
    )
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(one_item(hours(11)), freq="15min")
    assert SeriesFrame.from_any(one_item(hours(11)), freq="15min", sparse=True).lengths == [41]
    near = [*hours(11), hours(11)[-1] + timedelta(minutes=15)]
    assert SeriesFrame.from_any(one_item(near), freq="15min").freq == "15min"


def test_a_given_frequency_that_does_not_fit_is_refused() -> None:
    message = (
        r"item '0', column 'timestamp': stamps must be regular steps of freq='2h', got "
        r"2024-01-01 01:00:00 \(2 such rows\); pass another freq="
    )
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(one_item(hours(4)), freq="2h")


def test_an_unknown_frequency_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"freq must be an alias .*, got 'fortnight'"):
        SeriesFrame.from_any(one_item(hours(4)), freq="fortnight")


@pytest.mark.parametrize("first", [0, 1])
def test_stamps_with_and_without_a_time_zone_together_are_refused(first: int) -> None:
    naive = [pd.Timestamp("2024-01-01 00:00"), pd.Timestamp("2024-01-01 03:00")]
    zoned = [one.tz_localize("UTC") for one in naive]
    stamps = [[zoned[0], naive[1]], [naive[0], zoned[1]]][first]
    unlike = ["without the", "with an"][first]
    message = rf"item '0', column 'timestamp': got text '2024-01-01 03:00:00.*' {unlike} offset "
    for data in (pd.Series(stamps, dtype=object), [str(one) for one in stamps]):
        frame = pd.DataFrame({"timestamp": data, "target": [1.0, 2.0]})
        with pytest.raises(DataError, match=f"{message}from UTC.*row 2 .*give all stamps an off"):
            SeriesFrame.from_any(frame)
