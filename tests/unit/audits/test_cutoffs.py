"""An audit is repeatable: what it draws cutoffs with must be numbers."""

from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from tsfm.audits.cutoffs import choose_cutoffs
from tsfm.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cutoffs": "x"}, "n_cutoffs must be a whole number of at least 1, got 'x'; pass one"),
        ({"n_cutoffs": 1.5}, "n_cutoffs must be a whole number of at least 1, got 1.5; pass one"),
        ({"n_cutoffs": True}, "n_cutoffs must be a whole number of at least 1, got True; pass one"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1; pass one"),
        ({"seed": None}, "seed must be a whole number of at least 0, got None; pass one"),
    ],
)
def test_numbers_that_draw_no_cutoffs_are_refused(options: dict, message: str) -> None:
    right = {"n_cutoffs": 2, "seed": 0}
    stamps = pl.Series(range(9))
    assert len(choose_cutoffs(stamps, **right)) == 2
    with pytest.raises(ConfigError, match=message):
        choose_cutoffs(stamps, **{**right, **options})


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_stamps_without_a_zone_are_on_the_clock_of_the_frame(zone: str) -> None:
    here = ZoneInfo(zone)
    stamps = pl.Series([datetime(2024, 1, day, 16, tzinfo=here) for day in range(1, 9)])
    stamps = stamps.dt.convert_time_zone(zone)
    for asked in ("2024-01-05 16:00", datetime(2024, 1, 5, 16)):
        found = choose_cutoffs(stamps, 1, 0, cutoffs=[asked])
        assert found.to_list() == [datetime(2024, 1, 5, 16, tzinfo=here)]
        found = choose_cutoffs(stamps, 1, 0, start=asked)
        assert found.to_list() == [datetime(2024, 1, 5, 16, tzinfo=here)]


def test_a_stamp_with_a_zone_is_refused_where_the_frame_has_none() -> None:
    stamps = pl.Series([datetime(2024, 1, day) for day in range(1, 9)])
    with pytest.raises(ConfigError, match=r"must be stamps of type .* got \[datetime"):
        choose_cutoffs(stamps, 1, 0, cutoffs=[datetime(2024, 1, 5, tzinfo=ZoneInfo("Asia/Tokyo"))])
