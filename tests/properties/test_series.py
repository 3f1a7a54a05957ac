"""Laws of the series layer that hold for any frame: what users rely on without knowing."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.series.frame import SeriesFrame

# Aliases of pandas of which 18 stamps cannot be those of another: some month in that time, or
# quarter, ends on a weekend.
FREQUENCIES = [
    "s", "10s", "min", "15min", "h", "3h", "D", "2D", "B", "W-MON", "W-FRI", "W-SUN", "2W-TUE",
    "MS", "ME", "BMS", "BME", "2MS", "QS", "QE", "QE-NOV", "BQE", "YS", "YE", "YE-JUN",
]  # fmt: skip
# Seventy steps from here end before 2262, where stamps of nanoseconds do.
STARTS = st.datetimes(datetime(1900, 1, 1), datetime(2049, 12, 31)).map(
    lambda start: start.replace(microsecond=0)
)
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])


@st.composite
def long_frames(draw: st.DrawFn) -> pl.DataFrame:
    """One to four items on integer steps or hours, with one or two targets and gaps."""
    n_targets = draw(st.integers(1, 2))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    parts = []
    for item in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)):
        steps = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=15)))
        # Neighbours show the step, whatever the gaps are.
        steps = sorted({*steps, *range(100, 116)})
        values = generator.standard_normal((n_targets, len(steps))) * 1e3
        values[generator.random(values.shape) < 0.2] = np.nan
        columns = {f"y{number}": pl.Series(row).fill_nan(None) for number, row in enumerate(values)}
        parts.append(pl.DataFrame({"item_id": [item] * len(steps), "timestamp": steps, **columns}))
    frame = pl.concat(parts)
    if draw(st.booleans()):
        start, hours = pl.lit(datetime(2024, 3, 28)), pl.duration(hours="timestamp")
        stamps = (start + hours).dt.replace_time_zone("UTC")
        zone = draw(ZONES)
        stamps = stamps.dt.convert_time_zone(zone) if zone else stamps.dt.replace_time_zone(None)
        frame = frame.with_columns(timestamp=stamps)
    return frame


def read(frame: Any) -> SeriesFrame:
    return SeriesFrame.from_any(frame, target=targets_of(frame))


def targets_of(frame: Any) -> list[str]:
    names = frame.column_names if hasattr(frame, "column_names") else frame.columns
    return [name for name in names if name.startswith("y")]


def assert_same_series(first: SeriesFrame, second: SeriesFrame) -> None:
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.offsets, second.offsets)
    assert first.frame.equals(second.frame)
    assert first.freq == second.freq


@given(long_frames())
@settings(max_examples=20)
def test_pandas_polars_and_arrow_are_the_same(frame: pl.DataFrame) -> None:
    by_polars = read(frame)
    assert_same_series(by_polars, read(frame.to_arrow()))
    by_pandas = read(frame.to_pandas())
    assert_same_series(by_polars, by_pandas)
    assert by_pandas.future_timestamps(3).equals(by_polars.future_timestamps(3))


@given(long_frames(), st.randoms())
@settings(max_examples=20)
def test_the_order_of_rows_does_not_matter(frame: pl.DataFrame, random: Any) -> None:
    order = list(range(frame.height))
    random.shuffle(order)
    assert_same_series(read(frame), read(frame[order]))


@given(long_frames())
@settings(max_examples=20)
def test_a_series_frame_read_again_is_the_same(frame: pl.DataFrame) -> None:
    once = read(frame)
    assert_same_series(once, read(once.frame))


@pytest.mark.parametrize(
    "convert", [pl.DataFrame.to_pandas, pl.DataFrame.to_arrow, pl.DataFrame.lazy]
)
@given(frame=long_frames())
@settings(max_examples=20)
def test_what_is_given_back_holds_what_came_in(convert: Any, frame: pl.DataFrame) -> None:
    data = convert(frame)
    targets = targets_of(frame)
    series = SeriesFrame.from_any(data, target=targets)
    back = series.to_origin(series.frame)
    assert type(back) is type(data)
    rows = SeriesFrame.from_any(back, target=targets).frame
    kept = rows.join(frame, on=["item_id", "timestamp"], how="semi", maintain_order="left")
    assert kept.equals(frame.sort("item_id", "timestamp"))


@given(long_frames(), st.data())
def test_rows_that_are_dropped_are_missing_at_their_places_alone(
    frame: pl.DataFrame, data: st.DataObject
) -> None:
    whole = read(frame)
    rows = whole.frame
    inner = np.ones(rows.height, bool)
    inner[whole.offsets[:-1]] = inner[whole.offsets[1:] - 1] = False
    # At most one step out of four, so that most neighbours still show the step.
    places = np.flatnonzero(inner)[::4].tolist()
    dropped = data.draw(st.sets(st.sampled_from(places))) if places else set()
    kept = np.setdiff1d(np.arange(rows.height), sorted(dropped))
    after = read(rows[kept])
    expected = whole.values.copy()
    expected[sorted(dropped)] = np.nan
    np.testing.assert_array_equal(after.values, expected)
    assert after.frame["timestamp"].equals(rows["timestamp"])


@given(long_frames(), st.integers(1, 10), st.floats(-1e6, 1e6))
def test_a_cutoff_never_shows_later_values(
    frame: pl.DataFrame, n_steps: int, change: float
) -> None:
    series = read(frame)
    past = series.before(n_steps)
    item = np.repeat(np.arange(series.n_items), series.lengths)
    step = np.arange(series.offsets[-1]) - series.offsets[item]
    is_late = step >= series.lengths[item] - n_steps
    np.testing.assert_array_equal(past.values, series.values[~is_late])
    # Change the future: nothing before the cutoff may move.
    changed = series.frame.with_columns(
        pl.when(pl.Series(is_late)).then(change).otherwise(pl.col(name)).alias(name)
        for name in series.targets
    )
    assert_same_series(past, read(changed).before(n_steps))
    ahead = past.future_timestamps(n_steps)
    assert ahead.equals(series.frame["timestamp"].filter(pl.Series(is_late)))


@pytest.mark.parametrize("freq", FREQUENCIES)
@given(start=STARTS, n_past=st.integers(18, 30), n_future=st.integers(1, 40))
@settings(max_examples=8)
def test_future_stamps_are_those_of_pandas(
    freq: str, start: datetime, n_past: int, n_future: int
) -> None:
    stamps = pd.date_range(start, periods=n_past + n_future, freq=freq)
    frame = pd.DataFrame({"timestamp": stamps[:n_past], "target": 0.0})
    for given_freq in (None, freq):
        series = SeriesFrame.from_any(frame, freq=given_freq)
        expected = pl.Series(
            "timestamp", stamps[n_past:].to_pydatetime().tolist(), pl.Datetime("us")
        )
        assert series.future_timestamps(n_future).cast(pl.Datetime("us")).equals(expected)
        assert series.last_timestamps().to_list() == [stamps[n_past - 1].to_pydatetime()]


@given(
    start=st.datetimes(datetime(1990, 1, 1), datetime(2029, 12, 31)),
    freq=st.sampled_from(["15min", "h", "D", "B", "W-WED", "MS", "ME"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Sydney", "Asia/Kolkata"]),
)
def test_future_stamps_of_a_time_zone_are_those_of_pandas(
    start: datetime, freq: str, zone: str
) -> None:
    # At four no clock of these zones is changed, which pandas would refuse.
    start = start.replace(hour=4, minute=0, second=0, microsecond=0)
    stamps = pd.date_range(start, periods=60, freq=freq, tz=zone)
    frame = pd.DataFrame({"timestamp": stamps[:20], "target": 0.0})
    ahead = SeriesFrame.from_any(frame).future_timestamps(40)
    assert ahead.dtype.time_zone == zone
    assert [s.timestamp() for s in ahead] == [s.timestamp() for s in stamps[20:]]
