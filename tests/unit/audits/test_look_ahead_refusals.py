"""What cannot be audited is refused, rather than called clean or accused of a leak."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsfm
from tsfm.errors import ConfigError, DataError


def unchanged(data: Any) -> Any:
    return data


def same_keys(data: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([data, data.head(2)])


def test_a_random_function_is_refused(frame: pl.DataFrame) -> None:
    generator = np.random.default_rng(0)

    def noisy(data: pl.DataFrame) -> pl.DataFrame:
        return data.with_columns(noise=pl.Series(generator.normal(size=len(data))))

    with pytest.raises(ConfigError, match=r"same for the same frame, got other values in \['noise"):
        tsfm.audit(noisy, frame)


def test_a_function_that_fails_on_another_future_is_named_with_the_cutoff(
    frame: pl.DataFrame,
) -> None:
    def needs_all_rows(data: pl.DataFrame) -> pl.DataFrame:
        if len(data) != 120:
            raise ValueError("120 rows, please")
        return data

    with pytest.raises(DataError, match=r"ValueError: 120 rows.* after 7 was changed"):
        tsfm.audit(needs_all_rows, frame, cutoffs=[7])
    assert tsfm.audit(needs_all_rows, frame, perturbations=["grow", "flip", "resample"]).ok


@pytest.mark.parametrize(
    ("fn", "options", "error", "match"),
    [
        (same_keys, {}, DataError, "one row per item_id and timestamp, got several for a, 0"),
        (lambda df: df.drop("timestamp"), {}, DataError, "return the column 'timestamp'"),
        (
            lambda df: df.with_columns(timestamp=pl.lit("soon")),
            {},
            DataError,
            "stamps of type Int64, as it was given, got String",
        ),
        (
            lambda df: df.with_columns(item_id=pl.lit(None, pl.String)),
            {},
            DataError,
            "a stamp and an item in every row",
        ),
        (
            unchanged,
            {"n_cutoffs": 0},
            ConfigError,
            "n_cutoffs must be a whole number of at least 1, got 0; ",
        ),
        (unchanged, {"cutoffs": [39]}, ConfigError, "between 0 and before 39, got"),
        (unchanged, {"cutoffs": ["soon"]}, ConfigError, "must be stamps of type Int64"),
        (unchanged, {"start": 39}, DataError, "a stamp after a cutoff, got 40 stamps and start=39"),
        (unchanged, {"tolerance": -1.0}, ConfigError, "tolerance must be zero or positive, got -1"),
        (unchanged, {"perturbations": ["melt"]}, ConfigError, r"perturbations must be some of"),
        (unchanged, {"target": "missing"}, DataError, "column 'missing' must be present"),
    ],
)
def test_what_cannot_be_audited_is_refused(
    frame: pl.DataFrame,
    fn: Callable[[Any], Any],
    options: dict[str, Any],
    error: type[Exception],
    match: str,
) -> None:
    with pytest.raises(error, match=match):
        tsfm.audit(fn, frame, **options)


def test_frames_without_usable_stamps_are_refused(frame: pl.DataFrame) -> None:
    text = frame.with_columns(pl.col("timestamp").cast(pl.String))
    with pytest.raises(DataError, match="dates, times or whole numbers, got String; parse it"):
        tsfm.audit(unchanged, text)
    missing = frame.with_columns(timestamp=pl.col("timestamp").replace(3, None))
    with pytest.raises(DataError, match="must be in every row, got 3 without"):
        tsfm.audit(unchanged, missing)


def test_a_function_that_returns_no_row_to_compare_is_not_called_clean(frame):
    with pytest.raises(DataError, match="fn must return rows up to a cutoff, got none to compare"):
        tsfm.audit(lambda data: data.head(0), frame, n_cutoffs=2)
    last = pl.col("timestamp") == 39
    with pytest.raises(DataError, match=r"keep ids and stamps as they come in, or pass later"):
        tsfm.audit(lambda data: data.filter(last), frame, n_cutoffs=2)


def test_a_column_per_item_is_refused_rather_than_taken_for_a_leak(frame: pl.DataFrame) -> None:
    def wide(data: pl.DataFrame) -> pl.DataFrame:
        return data.pivot("item_id", index="timestamp", values=data.columns[-1])

    with pytest.raises(DataError, match="a row per item and stamp, got a column per item, such as"):
        tsfm.audit(wide, frame, 5)
