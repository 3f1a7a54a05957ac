"""A fixed offset says when a day begins: losing it moves days, so it is kept or refused."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsfm.errors import DataError
from tsfm.series.files import read_input
from tsfm.series.frame import SeriesFrame
from tsfm.series.offsets import read_offset, zone_of_offset

DAYS = 20


def frame(offset: str, freq: str = "B") -> pd.DataFrame:
    stamps = pd.date_range(f"2024-01-01T00:00:00{offset}", periods=DAYS, freq=freq)
    return pd.DataFrame({"timestamp": stamps, "target": range(DAYS)})


def as_text(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(timestamp=[stamp.isoformat() for stamp in data["timestamp"]])


def as_arrow(data: pd.DataFrame) -> pa.Table:
    offset = data["timestamp"].iloc[0].isoformat()[-6:]
    stamps = pa.array(data["timestamp"].dt.tz_convert(None).to_numpy().astype("datetime64[us]"))
    stamps = stamps.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", offset))
    return pa.table({"timestamp": stamps, "target": list(range(DAYS))})


def as_file(data: pd.DataFrame, folder: Path) -> pl.DataFrame:
    pq.write_table(as_arrow(data), folder / "a.parquet")
    return read_input([folder / "a.parquet"])[0]


def given(kind: str, data: pd.DataFrame, folder: Path) -> Any:
    if kind == "file":
        return as_file(data, folder)
    if kind == "csv":
        data.to_csv(folder / "a.csv", index=False)
        return read_input([folder / "a.csv"])[0]
    made = {"pandas": lambda: data, "arrow": lambda: as_arrow(data)}
    return {**made, "text": lambda: as_text(data)}[kind]()


KINDS = ["pandas", "arrow", "file", "text", "csv"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", ["+02:00", "-05:00", "+14:00"])
def test_business_days_of_an_offset_of_whole_hours_go_on_at_their_midnight(
    kind: str, offset: str, tmp_path: Path
) -> None:
    series = SeriesFrame.from_any(given(kind, frame(offset), tmp_path))
    assert series.freq == "B"
    ahead = [stamp.isoformat() for stamp in series.future_timestamps(2)]
    assert ahead == [f"2024-01-29T00:00:00{offset}", f"2024-01-30T00:00:00{offset}"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_offset_of_zero_is_a_time_of_utc(kind: str, tmp_path: Path) -> None:
    series = SeriesFrame.from_any(given(kind, frame("+00:00", "h"), tmp_path))
    assert series.stamp_type.time_zone == "UTC"
    assert series.future_timestamps(1)[0].isoformat() == "2024-01-01T20:00:00+00:00"


@pytest.mark.parametrize("kind", ["pandas", "arrow", "file"])
@pytest.mark.parametrize("offset", ["+05:30", "-03:30"])
def test_an_offset_that_no_zone_has_is_refused(kind: str, offset: str, tmp_path: Path) -> None:
    message = rf"'timestamp' must have a named time zone or .* got \{offset}; convert it, for exam"
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(given(kind, frame(offset), tmp_path))


def test_a_file_with_an_offset_that_no_zone_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.parquet: column 'timestamp' must have a named time"):
        as_file(frame("+05:30"), tmp_path)


def test_a_text_with_an_offset_that_no_zone_has_is_named() -> None:
    message = (
        r"item '0', column 'timestamp': got text '2024-01-01T00:00:00\+05:30' with an offset that "
        r"is not of whole hours in row 1 of the data \(20 such rows\); convert stamps to a named"
    )
    with pytest.raises(DataError, match=message):
        SeriesFrame.from_any(as_text(frame("+05:30")))


def test_days_whose_offset_changes_are_named_and_hours_are_times_of_utc() -> None:
    for freq in ("D", "h"):
        stamps = pd.date_range("2024-03-30 00:00", periods=40, freq=freq, tz="Europe/Berlin")
        data = as_text(pd.DataFrame({"timestamp": stamps, "target": range(40)}))
        if freq == "h":
            assert SeriesFrame.from_any(data).stamp_type == pl.Datetime("us", "UTC")
            continue
        message = r"got text '2024-04-01T00:00:00\+02:00' with another offset than \+01:00 in row 3"
        with pytest.raises(DataError, match=message):
            SeriesFrame.from_any(data)


def test_a_named_zone_of_a_half_hour_is_kept() -> None:
    stamps = pd.date_range("2024-01-01", periods=9, freq="B", tz="Asia/Kolkata")
    series = SeriesFrame.from_any(pd.DataFrame({"timestamp": stamps, "target": range(9)}))
    assert (series.freq, series.stamp_type.time_zone) == ("B", "Asia/Kolkata")


def test_an_offset_is_read_off_its_text() -> None:
    assert read_offset("-0330") == -timedelta(hours=3, minutes=30)
    assert [read_offset(text) for text in (None, "UTC", "Etc/GMT-2")] == [None] * 3
    assert zone_of_offset(timedelta(hours=-5)) == "Etc/GMT+5"
    assert zone_of_offset(timedelta(hours=15)) is None
