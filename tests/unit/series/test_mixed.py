"""One item's frequency must not be imposed on another, nor gaps be taken for a frequency."""

import numpy as np
import pandas as pd
import pytest

from tsfm.errors import OffGridError
from tsfm.series.frame import SeriesFrame
from tsfm.series.mixed import MixedFrequencyWarning


def long(**stamps: pd.DatetimeIndex) -> pd.DataFrame:
    """Return a frame with an item per keyword."""
    parts = [
        pd.DataFrame({"item_id": item, "timestamp": one, "target": np.arange(len(one)) * 1.0})
        for item, one in stamps.items()
    ]
    return pd.concat(parts, ignore_index=True)


def regular(freq: str, n: int, **options: object) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=n, freq=freq, **options)


MIXTURES = [("D", "B", 20), ("h", "D", 10), ("MS", "QS", 10), ("D", "W-MON", 10), ("D", "MS", 12)]


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
@pytest.mark.parametrize(("fine", "coarse", "n"), MIXTURES)
def test_an_item_of_a_coarser_frequency_is_named(fine, coarse, n, zone) -> None:
    frame = long(a=regular(fine, 60, tz=zone), b=regular(coarse, n, tz=zone))
    message = (
        rf"item 'b', column 'timestamp': the stamps have freq='{coarse}', and those of the frame "
        rf"freq='{fine}', which is taken for all \(1 such item\); pass them in separate calls, or "
        rf"pass freq='{fine}' if what lies between is missing"
    )
    with pytest.warns(MixedFrequencyWarning, match=message):
        SeriesFrame.from_any(frame)
    assert SeriesFrame.from_any(frame, freq=fine).freq == fine
    assert SeriesFrame.from_any(frame, sparse=True).freq == fine


def test_holidays_do_not_hide_business_days() -> None:
    days = regular("B", 40).delete([3, 17, 18])
    with pytest.warns(
        MixedFrequencyWarning, match=r"have freq='B', and those of the frame freq='D'"
    ):
        SeriesFrame.from_any(long(a=regular("D", 60), b=days))


@pytest.mark.parametrize(("fine", "coarse", "n"), MIXTURES)
def test_an_item_of_few_rows_has_the_frequency_of_the_others(fine, coarse, n) -> None:
    frame = long(a=regular(fine, 60), b=regular(coarse, 9))
    assert SeriesFrame.from_any(frame).freq == fine


def test_a_day_that_is_there_on_a_weekend_is_one_of_days() -> None:
    days = regular("B", 40).insert(5, pd.Timestamp("2024-01-06"))
    series = SeriesFrame.from_any(long(a=regular("D", 60), b=days))
    assert series.freq == "D"


def test_two_weekends_without_rows_are_gaps() -> None:
    series = SeriesFrame.from_any(long(a=regular("D", 60), b=regular("B", 15)))
    assert series.lengths.tolist() == [60, 19]


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_rows_that_are_missing_anywhere_are_gaps(share: float, generator) -> None:
    days = regular("D", 200)
    sparse = {f"b{n}": days[generator.random(200) < share] for n in range(200)}
    series = SeriesFrame.from_any(long(a=days, **sparse))
    assert series.freq == "D"


def test_stamps_that_do_not_fit_the_others_are_off_the_grid() -> None:
    with pytest.raises(OffGridError, match="item 'b'"):
        SeriesFrame.from_any(long(a=regular("h", 60), b=regular("25min", 20)))
