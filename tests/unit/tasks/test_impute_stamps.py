"""A gap is counted in steps: of the grid where there is one, of rows where there is none."""

import warnings
from collections.abc import Callable
from datetime import datetime, timedelta

import polars as pl
import pytest

import tsfm
from tsfm.errors import DataError
from tsfm.tasks.imputation.rows import IrregularStampsWarning
from tsfm.tasks.impute import Imputer


def test_a_step_whose_row_is_absent_counts_in_a_gap_but_gets_no_row(
    filler: Callable[..., Imputer],
) -> None:
    data = pl.DataFrame({"timestamp": [0, 1, 2, 6, 8], "target": [0.0, 1.0, None, 6.0, 8.0]})
    out = filler(drawn=False).impute(data)
    assert out["target"].to_list() == [0.0, 1.0, 2.0, 6.0, 8.0]


def test_stamps_off_any_grid_are_taken_in_their_order_with_a_warning(
    filler: Callable[..., Imputer],
) -> None:
    stamps = [datetime(2024, 1, 1) + timedelta(seconds=second) for second in (5, 0, 2, 11, 30)]
    data = pl.DataFrame({"timestamp": stamps, "target": [3.0, 1.0, None, 4.0, 5.0]})
    with pytest.warns(
        IrregularStampsWarning, match="every row is taken as one step .*regular steps"
    ):
        out = filler(drawn=False).impute(data)
    assert out["target"].to_list() == [3.0, 1.0, 2.0, 4.0, 5.0]
    with pytest.raises(DataError, match="stamps must be regular steps of freq='2s'"):
        filler().impute(data, freq="2s")


def test_a_frequency_finer_than_the_rows_is_no_mistake_for_who_fills() -> None:
    weeks = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 6, 1), "1w", eager=True)
    target = [float(n) if n != 5 else None for n in range(len(weeks))]
    frame = pl.DataFrame({"timestamp": weeks, "target": target})
    found = Imputer.from_pretrained(device="cpu").impute(frame, freq="D")
    assert found["target"].null_count() == 0
    with pytest.raises(DataError, match="pass the true freq= or leave it out"):
        tsfm.forecast(frame, prediction_length=2, freq="D")


@pytest.mark.parametrize(("max_gap", "kept"), [(1, 3), (2, 3), (3, 0)])
def test_gaps_longer_than_max_gap_stay_missing(
    filler: Callable[..., Imputer], max_gap: int, kept: int
) -> None:
    data = pl.DataFrame(
        {"timestamp": range(8), "target": [1.0, None, 2.0, None, None, None, 3.0, 4.0]}
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        out = filler().impute(data, max_gap=max_gap)
    assert out["target"].null_count() == kept
    assert out["target_imputed"].to_list()[3:6] == [kept == 0] * 3
    assert [str(one.message) for one in caught] == (
        ["item '0', column 'target': 3 rows stay missing, in gaps that were not to be filled"]
        if kept
        else []
    )
