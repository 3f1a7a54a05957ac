"""The words for a frequency are those of pandas and polars, and nothing else is guessed at."""

import numpy as np
import pandas as pd
import pytest

from tsfm.errors import ConfigError
from tsfm.series.frequency import parse_alias, seasonality, session_grid

WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("s", (1, "s")), ("S", (1, "s")), ("min", (1, "min")), ("T", (1, "min")), ("h", (1, "h")),
        ("H", (1, "h")), ("ms", (1, "ms")), ("L", (1, "ms")), ("us", (1, "us")), ("D", (1, "D")),
        ("d", (1, "D")), ("B", (1, "B")), ("W", (1, "W")), ("w", (1, "W")), ("M", (1, "M")),
        ("ME", (1, "M")), ("MS", (1, "M")), ("mo", (1, "M")), ("1mo", (1, "M")), ("Q", (1, "Q")),
        ("QE", (1, "Q")), ("QS", (1, "Q")), ("q", (1, "Q")), ("Y", (1, "Y")), ("YE", (1, "Y")),
        ("YS", (1, "Y")), ("A", (1, "Y")), ("AS", (1, "Y")), ("y", (1, "Y")), ("BM", (1, "BM")),
        ("BME", (1, "BM")), ("BMS", (1, "BM")), ("BQE", (1, "BQ")), ("BYS", (1, "BY")),
        ("15min", (15, "min")), ("90s", (90, "s")), ("2W-SUN", (2, "W")), ("3MS", (3, "M")),
        *((f"W-{day}", (1, "W")) for day in WEEKDAYS),
        *((f"{unit}-{month}", (1, unit.rstrip("ES")))
          for unit in ("QE", "QS", "YE", "YS", "BQE", "BQS", "BYE", "BYS")
          for month in ("JAN", "MAR", "DEC")),
    ],
)  # fmt: skip
def test_an_alias_of_pandas_or_polars_is_understood(alias: str, expected: tuple[int, str]) -> None:
    assert parse_alias(alias) == expected


@pytest.mark.parametrize(
    "alias",
    [
        "", "fortnight", "0h", "-1h", "1.5h", "1h30min", "h!", "h ", "W-XYZ", "W-JAN", "QE-MON",
        "D-MON", "ME-JAN", "DS", "hE", "BS", "SME", "bh", "C", "ns", "MSS", "15", "step",
    ],
)  # fmt: skip
def test_any_other_alias_is_refused(alias: str) -> None:
    with pytest.raises(ConfigError, match=f"freq must be an alias such as .*, got '{alias}'; pass"):
        parse_alias(alias)


@pytest.mark.parametrize("alias", ["h", "D", "B", "W-SUN", "MS", "QE-DEC", "15min"])
def test_the_frequency_of_a_pandas_index_is_understood(alias: str) -> None:
    index = pd.date_range("2024-01-01", periods=2, freq=alias)
    assert parse_alias(index.freq) == parse_alias(alias)


@pytest.mark.parametrize("freq", [5, 1.5, pd.Timedelta("1h"), ["h"]])
def test_a_frequency_that_is_no_alias_is_refused(freq: object) -> None:
    with pytest.raises(ConfigError, match=r"freq must be an alias such as .*; pass one of these"):
        parse_alias(freq)


@pytest.mark.parametrize("calendar", [5, ["XNYS"], True])
def test_a_calendar_that_is_no_text_is_refused(calendar: object) -> None:
    with pytest.raises(ConfigError, match=r"calendar must be an exchange code as text, got .*XNYS"):
        session_grid(calendar, None, np.array([0]), np.array([True]), is_local=True)


@pytest.mark.parametrize(
    ("alias", "expected"),
    [
        ("s", 3600), ("30s", 120), ("min", 1440), ("10min", 144), ("15min", 96), ("h", 24),
        ("6h", 4), ("D", 1), ("B", 5), ("W-MON", 1), ("ME", 12), ("3MS", 4), ("BME", 12),
        ("QE", 4), ("YS", 1), ("7min", 1), ("2D", 1), ("48h", 1), ("ms", 1), ("step", 1),
    ],
)  # fmt: skip
def test_a_season_is_a_day_a_week_of_business_days_or_a_year(alias: str, expected: int) -> None:
    assert seasonality(alias) == expected
