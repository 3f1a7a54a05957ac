"""A price that is adjusted by nothing, or by half a file, is a crash that never was."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.universe import UniverseConfig, members


@pytest.fixture
def split() -> pl.DataFrame:
    """A stock that splits four for one on its third day, with what its vendor makes of that."""
    return pl.DataFrame(
        {
            "item_id": "A",
            "timestamp": ["2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09"],
            "open": [16.0, 16.4, 4.1, 4.2],
            "close": [16.0, 16.8, 4.2, 4.4],
            "adj_close": [4.0, 4.2, 4.2, 4.4],
        }
    )


@pytest.mark.parametrize(
    "name",
    [
        *("adj_close", "Adj Close", "adjClose", "adjusted_close", "Adj. Close", "AdjustedClose"),
        *("closeadj", "close_adj", "Close (adj.)"),
    ],
)
def test_a_split_is_no_loss_whatever_the_vendor_calls_its_adjusted_close(
    split: pl.DataFrame, name: str
) -> None:
    panel = StockPanel.from_frame(split.rename({"adj_close": name}))
    np.testing.assert_allclose(panel["close"][:, 0], [4.0, 4.2, 4.2, 4.4])
    np.testing.assert_allclose(panel["open"][:, 0], [4.0, 4.1, 4.1, 4.2])
    np.testing.assert_array_equal(panel["raw_close"][:, 0], split["close"])


def test_the_least_price_is_that_which_was_traded_and_knows_of_no_split_to_come(
    split: pl.DataFrame,
) -> None:
    rule = UniverseConfig(rule="trailing", min_price=5.0)
    whole = StockPanel.from_frame(split)
    assert members(whole, rule)[:, 0].tolist() == [True, True, False, False]
    before = split.head(2).with_columns(adj_close=pl.col("close"))  # as it was written then
    assert members(StockPanel.from_frame(before), rule)[:, 0].tolist() == [True, True]
    # Nothing else is there to go by.
    adjusted = StockPanel.from_frame(split.drop("close"))
    assert not members(adjusted, rule).any()


@pytest.mark.parametrize(
    ("adjusted", "close"), [(None, 4.4), (0.0, 4.4), (-1.0, 4.4), (4.4, 0.0), (-1.0, -1.0)]
)
def test_a_bar_of_which_one_close_cannot_be_used_is_refused(
    split: pl.DataFrame, adjusted: Any, close: float
) -> None:
    last = pl.col("timestamp") == "2020-01-09"
    broken = split.with_columns(
        pl.when(last).then(pl.lit(adjusted)).otherwise("adj_close").alias("adj_close"),
        pl.when(last).then(close).otherwise("close").alias("close"),
    )
    message = (
        rf"bars\.csv must have a positive adj_close wherever it has a close, got {adjusted} and "
        rf"{close} of 'A' on 2020-01-09 and 0 more"
    )
    with pytest.raises(DataError, match=message):
        StockPanel.from_frame(broken, name="bars.csv")
    # No bar at all is what a halt looks like.
    halted = split.with_columns(
        pl.when(~last).then(one).alias(one) for one in ("open", "close", "adj_close")
    )
    assert np.isnan(StockPanel.from_frame(halted)["close"][3, 0])


def test_a_member_that_is_no_number_is_none() -> None:
    frame = pl.DataFrame(
        {
            "item_id": ["A", "B", "C"],
            "timestamp": "2020-01-06",
            "close": 1.0,
            "member": [1.0, float("nan"), None],
        }
    )
    panel = StockPanel.from_frame(frame, member_column="member")
    assert panel.member[0].tolist() == [True, False, False]
