"""A forecast for a day on which nobody trades is worthless: future stamps must be real sessions."""

import warnings
from functools import lru_cache
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.series.calendars import sessions, trading_hours
from tsfm.series.frame import SeriesFrame

DAY = np.timedelta64(1, "D")


@lru_cache
def exchange(code: str, start: str = "2023-01-02", end: str = "2026-06-30") -> Any:
    """Return the calendar of the other package, which is the witness here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return exchange_calendars.get_calendar(code, start=start, end=end)


def days(code: str, start: str, end: str) -> pd.DatetimeIndex:
    """Return sessions as the other package knows them."""
    every = exchange(code).sessions
    return every[(every >= start) & (every <= end)]


def bars(code: str, start: str, end: str, step: str, closed: str = "left") -> pd.DatetimeIndex:
    """Return the stamps of intraday bars, in UTC, as the other package makes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return exchange(code).trading_index(
            start, end, step, intervals=False, closed=closed, force=False, curtail_overlaps=True
        )


def read(stamps: Any, calendar: str | None, **options: Any) -> SeriesFrame:
    values = np.arange(len(stamps), dtype=float)
    frame = pd.DataFrame({"timestamp": stamps, "target": values})
    return SeriesFrame.from_any(frame, calendar=calendar, **options)


def assert_same_stamps(got: pl.Series, expected: pd.DatetimeIndex) -> None:
    assert [stamp.timestamp() for stamp in got] == [stamp.timestamp() for stamp in expected]


# Sessions


@pytest.mark.parametrize("code", ["XNYS", "XLON", "XTKS", "XHKG", "XSHG", "CMES", "24/7"])
def test_future_stamps_are_the_next_sessions(code: str) -> None:
    known = days(code, "2023-06-01", "2026-06-30")
    series = read(known[:150], code)
    assert not np.isnan(series.values).any()
    assert_same_stamps(series.future_timestamps(400), known[150:550])


def test_no_forecast_is_for_a_holiday() -> None:
    known = days("XNYS", "2024-12-02", "2025-01-31")
    ahead = read(known[known < "2024-12-24"], "XNYS").future_timestamps(8).dt.date().to_list()
    # The 24th is a short session; the 9th was a day of mourning, declared after 2024.
    assert [f"{day:%m-%d}" for day in ahead] == [
        "12-24", "12-26", "12-27", "12-30", "12-31", "01-02", "01-03", "01-06",
    ]  # fmt: skip


def test_without_a_calendar_sessions_are_business_days_with_gaps() -> None:
    known = days("XNYS", "2024-01-02", "2024-12-31")
    plain, aware = read(known, None), read(known, "XNYS")
    assert (plain.freq, aware.freq) == ("B", "B")
    business = pd.bdate_range(known[0], known[-1])
    assert plain.lengths.tolist() == [len(business)]
    holidays = plain.frame.filter(pl.col("target").is_null())["timestamp"]
    assert_same_stamps(holidays, business.difference(known))
    assert aware.lengths.tolist() == [len(known)]


def test_a_session_that_is_absent_becomes_a_missing_value() -> None:
    known = days("XNYS", "2024-01-02", "2024-12-31")
    series = read(known.delete([3, 100]), "XNYS")
    assert np.flatnonzero(np.isnan(series.values[:, 0])).tolist() == [3, 100]
    assert_same_stamps(series.frame["timestamp"], known)


def test_items_may_begin_in_different_decades() -> None:
    old = exchange("XNYS", "1987-10-01", "1987-12-31").sessions
    new = days("XNYS", "2024-06-03", "2024-08-30")
    stamps, ids = old[:30].append(new[:30]), ["old"] * 30 + ["new"] * 30
    frame = pd.DataFrame({"item_id": ids, "timestamp": stamps, "target": 1.0})
    series = SeriesFrame.from_any(frame, calendar="XNYS")
    assert series.items.to_list() == ["new", "old"]
    assert series.lengths.tolist() == [30, 30]
    assert_same_stamps(series.future_timestamps(20), new[30:50].append(old[30:50]))


def test_the_time_of_day_and_the_zone_of_closes_are_kept() -> None:
    known = days("XNYS", "2024-02-01", "2024-04-30")
    closes = (known + pd.Timedelta("16h")).tz_localize("America/New_York")
    # The clock changes within these days, on 2024-03-10.
    ahead = read(closes[:20], "XNYS").future_timestamps(30)
    assert ahead.dtype.time_zone == "America/New_York"
    assert_same_stamps(ahead, closes[20:50])


def test_one_session_is_enough() -> None:
    ahead = read(pd.to_datetime(["2024-07-03"]), "XNYS").future_timestamps(1)
    assert str(ahead[0]) == "2024-07-05 00:00:00"


def test_the_step_of_sparse_sessions_may_be_given() -> None:
    fridays = pd.to_datetime(["2024-01-05", "2024-01-12", "2024-01-19"])
    with pytest.raises(
        ConfigError, match=r"one stamp per session .*, got freq='W-FRI' with 'XNYS'"
    ):
        read(fridays, "XNYS")
    series = read(fridays, "XNYS", freq="B")
    # Monday the 15th was a holiday.
    assert series.lengths.tolist() == [10]


@pytest.mark.parametrize("freq", ["W", "ME", "2D", "QS"])
def test_steps_longer_than_a_session_do_not_go_with_a_calendar(freq: str) -> None:
    known = days("XNYS", "2024-01-02", "2024-02-01")
    with pytest.raises(ConfigError, match=f"got freq='{freq}' with 'XNYS'; leave calendar= out"):
        read(known, "XNYS", freq=freq)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("2024-01-06", r"got 2024-01-06 \(1 such row\)"),
        ("2024-01-15", r"got 2024-01-15 \(1 such row\)"),
        ("2024-01-04 10:00", r"each item at one time of day, got 2024-01-04 10:00:00"),
    ],
)
def test_a_stamp_that_is_no_session_is_named(extra: str, message: str) -> None:
    known = days("XNYS", "2024-01-02", "2024-02-01")
    stamps = known.insert(len(known), pd.Timestamp(extra))
    rule = "item '0', column 'timestamp': stamps must be sessions of XNYS, "
    with pytest.raises(DataError, match=rf"{rule}.*{message}.*; drop the other rows, or pass"):
        read(stamps, "XNYS", freq="B")


def test_integer_steps_have_no_sessions() -> None:
    with pytest.raises(DataError, match="must be days or times with calendar 'XNYS', got integer"):
        read([1, 2, 3], "XNYS")


# Which calendars there are


@pytest.mark.parametrize(
    ("code", "hint"),
    [("XNYSE", r"did you mean \['XNYS'"), ("xnys", r"mean \['XNYS'"), ("?", "for example 'XNYS'")],
)
def test_an_unknown_exchange_is_refused_with_a_hint(code: str, hint: str) -> None:
    message = rf"calendar must be an exchange code, got '{code.replace('?', '[?]')}'; .*{hint}"
    with pytest.raises(ConfigError, match=message):
        read(pd.bdate_range("2024-01-01", periods=5), code)


def test_the_exchanges_people_ask_for_have_codes() -> None:
    names = exchange_calendars.get_calendar_names(include_aliases=False)
    assert len(names) >= 70
    assert {"XNYS", "XLON", "XTKS", "XHKG", "XSHG", "XETR", "XPAR", "XASX", "BVMF"} <= set(names)


def test_another_name_of_an_exchange_gives_the_same_sessions() -> None:
    first, last = np.datetime64("2024-01-01"), np.datetime64("2024-12-31")
    np.testing.assert_array_equal(sessions("NYSE", first, last), sessions("XNYS", first, last))


@pytest.mark.slow
@pytest.mark.parametrize("code", exchange_calendars.get_calendar_names(include_aliases=False))
def test_every_exchange_has_sessions_or_says_why_not(code: str) -> None:
    first, last = np.datetime64("2022-01-01"), np.datetime64("2024-12-31")
    try:
        known = sessions(code, first, last)
    except DataError as error:
        # Some versions of pandas break calendars of the other package, as they did for Athens.
        assert str(error).startswith(f"calendar {code} must be one that")  # noqa: PT017
        with pytest.raises((NotImplementedError, ValueError)):
            exchange(code, "2022-01-03", "2024-12-31")
        return
    inside = known[(known >= first) & (known <= last)]
    assert 3 * 200 < len(inside) <= 3 * 366
    assert (np.diff(known) >= DAY).all()
    opens, closes = trading_hours(code, first, last, is_local=False)
    assert (opens < closes).all()
    assert (closes[:-1] <= opens[1:]).all()


# Where calendars end


def test_sessions_of_a_bounded_calendar_end_where_it_does() -> None:
    bound = type(exchange("XSHG")).bound_max()
    known = sessions("XSHG", np.datetime64("2024-01-01"), np.datetime64(bound.date()))
    assert np.datetime64(bound.date()) - 10 * DAY < known[-1] <= np.datetime64(bound.date())
    series = read(pd.DatetimeIndex(known[-30:]), "XSHG")
    message = (
        rf"XSHG must reach the stamps asked for, got none after {known[-1]}; ask for a shorter"
    )
    with pytest.raises(DataError, match=message):
        series.future_timestamps(50)


def test_stamps_before_a_calendar_begins_are_refused() -> None:
    early = pd.bdate_range("1996-12-02", "1997-01-31")
    with pytest.raises(DataError, match=r"must be sessions of XTKS, .*got 1996-12-02 \("):
        read(early, "XTKS")
    long_ago = pd.bdate_range("1961-01-02", periods=10)
    message = "calendar XTKS must cover the stamps, got the years 1960 to 1969, .* from 1997-01-01;"
    with pytest.raises(DataError, match=message):
        read(long_ago, "XTKS")


def test_a_horizon_of_centuries_is_refused() -> None:
    series = read(pd.date_range("2024-01-01", periods=5), "24/7")
    with pytest.raises(
        DataError, match=r"24/7 must reach .*, got none after 2199-12-31; ask for a"
    ):
        series.future_timestamps(100_000)


# Bars within a session


@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.parametrize("closed", ["left", "right"])
@pytest.mark.parametrize(
    ("code", "step"),
    [
        ("XNYS", "15min"), ("XLON", "30min"), ("XHKG", "15min"), ("CMES", "1h"), ("24/7", "1h"),
    ],
)  # fmt: skip
def test_bars_go_on_within_trading_hours(code: str, step: str, closed: str, is_local: bool) -> None:
    """Through lunch breaks, weekends, holidays and a clock change, with stamps at either end."""
    stamps = bars(code, "2024-02-26", "2024-04-12", step, closed)
    if is_local:
        stamps = stamps.tz_convert(exchange(code).tz).tz_localize(None)
    whole = read(stamps, code)
    assert not np.isnan(whole.values).any()
    n_past = len(stamps) // 4
    ahead = read(stamps[:n_past], code).future_timestamps(len(stamps) - n_past)
    assert_same_stamps(ahead, stamps[n_past:])


def test_hourly_bars_of_half_hours_count_from_the_open() -> None:
    stamps = bars("XNYS", "2024-07-01", "2024-07-10", "1h")
    # The short session of the 3rd has four bars, the 4th has none.
    ahead = read(stamps[:14], "XNYS").future_timestamps(5)
    assert [f"{stamp:%d %H:%M}" for stamp in ahead.dt.convert_time_zone("America/New_York")] == [
        "03 09:30", "03 10:30", "03 11:30", "03 12:30", "05 09:30",
    ]  # fmt: skip


def test_stamps_may_stand_at_both_ends_of_a_session() -> None:
    stamps = bars("XNYS", "2024-07-01", "2024-07-10", "30min", "both")
    assert_same_stamps(read(stamps[:30], "XNYS").future_timestamps(40), stamps[30:70])


def test_a_bar_that_is_absent_becomes_a_missing_value() -> None:
    stamps = bars("XNYS", "2024-07-01", "2024-07-10", "15min")
    series = read(stamps.delete([0, 40, 41]), "XNYS")
    assert (series.freq, series.n_items) == ("15min", 1)
    assert np.flatnonzero(np.isnan(series.values[:, 0])).tolist() == [39, 40]
    assert_same_stamps(series.frame["timestamp"], stamps[1:])


def test_items_with_bars_count_from_their_own_first_bar() -> None:
    stamps = bars("XNYS", "2024-07-01", "2024-07-10", "15min")
    parts = [stamps[:50], stamps[60:100]]
    frame = pd.DataFrame(
        {"item_id": ["a"] * 50 + ["b"] * 40, "timestamp": parts[0].append(parts[1]), "target": 1.0}
    )
    series = SeriesFrame.from_any(frame, calendar="XNYS")
    assert series.lengths.tolist() == [50, 40]
    assert_same_stamps(series.future_timestamps(2), stamps[[50, 51, 100, 101]])


@pytest.mark.parametrize(
    ("zone", "bad", "message"),
    [
        ("UTC", "2024-07-01 21:00", r"from the open on, got 2024-07-01 21:00:00 \(1 such row\)"),
        ("UTC", "2024-07-04 15:00", r"got 2024-07-04 15:00:00 \(1 such row\)"),
        ("UTC", "2024-07-03 18:00", r"got 2024-07-03 18:00:00 \(1 such row\)"),
        ("UTC", "2024-07-01 15:07", r"steps of 15min in the trading hours of XNYS, .*15:07:00"),
        (None, "2024-07-01 08:00", r"by the exchange's clock, got 2024-07-01 08:00:00"),
    ],
)
def test_a_bar_outside_trading_hours_is_named(zone: str | None, bad: str, message: str) -> None:
    stamps = bars("XNYS", "2024-07-01", "2024-07-10", "15min")
    if zone is None:
        stamps = stamps.tz_convert("America/New_York").tz_localize(None)
    stamps = stamps.insert(len(stamps), pd.Timestamp(bad, tz=zone))
    rule = "item '0', column 'timestamp': stamps must be "
    remedy = "; drop the other rows, give stamps their time zone, or leave calendar= out"
    with pytest.raises(DataError, match=rf"{rule}.*{message}.*{remedy}"):
        read(stamps, "XNYS")


def test_utc_bars_without_their_zone_are_refused_and_not_shifted() -> None:
    naive = bars("XNYS", "2024-07-01", "2024-07-10", "15min").tz_localize(None)
    with pytest.raises(
        DataError, match=r"by the exchange's clock, .*; .*give stamps their time zone"
    ):
        read(naive, "XNYS")


@pytest.mark.parametrize("code", [5, ["XNYS"], None])
def test_a_code_that_is_no_text_is_refused(code: Any) -> None:
    # As users call it: the tests check types at every call.
    read: Any = getattr(sessions, "__wrapped__", sessions)
    day = np.datetime64("2024-01-02")
    with pytest.raises(ConfigError, match="calendar must be an exchange code as text, got"):
        read(code, day, day)
