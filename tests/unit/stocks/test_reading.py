"""Whatever a user's bars look like, the panel is the same, or the error names stock and day."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.series.cards import load_card
from tsfm.series.validation import ColumnNamesWarning
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.reading import ThinDaysWarning
from tsfm.stocks.volumes import NoVolumeWarning


def test_a_long_frame_becomes_days_by_stocks(bars: pl.DataFrame) -> None:
    panel = StockPanel.from_frame(bars.sample(fraction=1, shuffle=True, seed=1))
    assert panel.stocks == ("A", "B")
    assert panel.fields == ("close", "volume")
    np.testing.assert_array_equal(panel["close"][:, 0], [10, 11, 12, 13])
    np.testing.assert_array_equal(panel["close"][:, 1], [20, np.nan, np.nan, 22])
    np.testing.assert_array_equal(panel.member[:, 1], [True, False, False, True])
    np.testing.assert_array_equal(panel.tradable[:, 1], [True, False, False, False])


def test_pandas_text_days_and_other_names_give_the_same_panel(bars: pl.DataFrame) -> None:
    expected = StockPanel.from_frame(bars)
    other = pd.DataFrame(
        {
            "Ticker": bars["item_id"].to_list(),
            "Date": bars["timestamp"].cast(pl.String).to_list(),
            "Close": bars["close"].to_list(),
            "Volume": bars["volume"].to_list(),
        }
    )
    found = StockPanel.from_frame(other, id_column="Ticker", timestamp_column="Date")
    assert found.stocks == expected.stocks
    np.testing.assert_array_equal(found.days, expected.days)
    np.testing.assert_array_equal(found.bars, expected.bars)


def test_sectors_are_numbered_and_unknown_ones_are_not(bars: pl.DataFrame) -> None:
    panel = StockPanel.from_frame(bars, sector_column="sector")
    assert panel.sectors == ("tech",)
    np.testing.assert_array_equal(panel.sector, [0, -1])
    assert StockPanel.from_frame(bars).sectors == ()


def test_members_are_those_of_the_column(bars: pl.DataFrame) -> None:
    marked = bars.with_columns((pl.col("item_id") == "A").alias("in_index"))
    panel = StockPanel.from_frame(marked, member_column="in_index")
    assert panel.member[:, 0].all()
    assert not panel.member[:, 1].any()


def test_prices_follow_the_adjusted_close(bars: pl.DataFrame) -> None:
    adjusted = bars.with_columns(
        (pl.col("close") / 2).alias("Adj Close"), (pl.col("close") * 1.1).alias("high")
    )
    panel = StockPanel.from_frame(adjusted)
    plain = StockPanel.from_frame(bars)
    np.testing.assert_allclose(panel["close"], plain["close"] / 2)
    np.testing.assert_allclose(panel["high"], plain["close"] * 1.1 / 2)
    np.testing.assert_array_equal(panel["volume"], plain["volume"])
    only = bars.select("item_id", "timestamp", pl.col("close").alias("adj_close"))
    np.testing.assert_array_equal(StockPanel.from_frame(only)["close"], plain["close"])


def test_days_are_the_sessions_of_a_calendar(bars: pl.DataFrame) -> None:
    gap = bars.filter(pl.col("timestamp") != pl.date(2020, 1, 7))
    panel = StockPanel.from_frame(gap, calendar="XNYS")
    assert panel.n_days == 4
    assert np.isnan(panel["close"][1]).all()
    assert StockPanel.from_frame(gap).n_days == 3


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            lambda x: pl.concat([x, x.head(1)]),
            {"name": "bars.csv"},
            "bars.csv must have one bar per stock and day, got 2 of 'A' on 2020-01-06 and 0 more",
        ),
        (lambda x: x.rename({"item_id": "name"}), {}, r"must have the columns \['item_id'\]"),
        (lambda x: x.drop("close"), {}, "must have a column close or adj_close"),
        (
            lambda x: x.with_columns(pl.col("timestamp") - pl.duration(days=1)),
            {"calendar": "XNYS", "name": "bars.csv"},
            "bars of bars.csv must be on sessions of XNYS, got '[AB]' on 2020-01-05 and 1 more",
        ),
        (
            lambda x: x.with_columns(pl.col("close").cast(pl.String).alias("sector")),
            {"sector_column": "sector", "name": "bars.csv"},
            "stock 'A' of bars.csv must have one sector, got .*, and so for 1 more",
        ),
        (lambda x: x.head(0), {"name": "bars.csv"}, "bars.csv must have rows, got none"),
        (
            lambda x: x.with_columns(pl.lit("soon").alias("timestamp")),
            {},
            "the frame must have days in 'timestamp' such as .*, got 'soon' and 6 more such values",
        ),
        (
            lambda x: x.with_columns(pl.lit(None, pl.Date).alias("timestamp")),
            {"name": "bars.csv"},
            "bars.csv must have item_id and timestamp in every row, got 'A' on None and 6 more",
        ),
        (
            lambda x: x.with_columns(pl.lit("n.a.").alias("close")),
            {"name": "bars.csv"},
            r"bars.csv must have numbers in 'close', got 'n.a.' of 'A' on 2020-01-06 and 6 more",
        ),
        (
            lambda x: x.with_columns(pl.lit(0).alias("volume")),
            {},
            "volume must be above 0 where a stock can be traded, got none in all of the frame",
        ),
        (
            lambda x: x.with_columns(pl.col("close").alias("Close")),
            {},
            r"must have one column close, got \['close', 'Close'\]; drop or rename one",
        ),
        (
            lambda x: x.with_columns(pl.lit("perhaps").alias("in")),
            {"member_column": "in"},
            "must have true or false in 'in', got 'perhaps' and 6 more such values",
        ),
        (
            lambda x: x.with_columns(-pl.col("close")),
            {"name": "bars.csv"},
            r"close of bars.csv must be positive and finite, got -10.0 of 'A'",
        ),
        (
            lambda x: x.with_columns(-pl.col("close")),
            {},
            r"close must be positive and finite, got -10.0 of 'A' on 2020-01-06 and 5 more",
        ),
    ],
)
def test_what_is_wrong_is_named(
    bars: pl.DataFrame, change: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        StockPanel.from_frame(change(bars), **options)


@pytest.mark.parametrize("name", ["sector_column", "member_column", "timestamp_column"])
def test_a_column_that_is_asked_for_twice_is_named(bars: pl.DataFrame, name: str) -> None:
    with pytest.raises(DataError, match=r"of its own for each of .* got \['item_id'\] twice; copy"):
        StockPanel.from_frame(bars, **{name: "item_id"})


def test_tickers_that_differ_by_blanks_alone_are_refused(bars: pl.DataFrame) -> None:
    twins = pl.concat([bars, bars.with_columns(pl.col("item_id") + " ")])
    message = "^the frame, column 'item_id': ids must differ by more than blanks .* 'A' and 'A '"
    with pytest.raises(DataError, match=message):
        StockPanel.from_frame(twins)
    wide = pl.DataFrame({"day": ["2020-01-06"], " A": [1.0], "A": [2.0]})
    with pytest.raises(DataError, match="got ' A' and 'A'"):
        StockPanel.from_wide(wide)


def test_a_card_without_stocks_is_refused() -> None:
    with pytest.raises(DataError, match="got 'el_nino' of role 'sample'; choose one whose role"):
        StockPanel.from_card("el_nino")


def test_the_bounds_of_a_card_are_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    card = load_card("stock_acl18")
    days = pd.date_range("2017-01-02", periods=4)
    frame = pd.DataFrame({card.item_id: "A", card.timestamp: days, "close": [1.0, 2.0, 3.0, 4.0]})
    frame.to_parquet(tmp_path / "stock_acl18.parquet")
    panel = StockPanel.from_card("stock_acl18", start="2017-01-03", end="2017-01-04")
    np.testing.assert_array_equal(panel["close"][:, 0], [2.0, 3.0])
    with pytest.raises(ConfigError, match="a bound must be a day such as '2017-01-03', got 'soon'"):
        StockPanel.from_card("stock_acl18", start="soon")
    (tmp_path / "stock_acl18.parquet").write_text("no Parquet")
    with pytest.raises(DataError, match=r"stock_acl18.parquet must be a readable parquet file"):
        StockPanel.from_card("stock_acl18")


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/Berlin", "America/New_York"])
def test_a_stamp_is_on_the_day_of_its_own_clock(zone: str) -> None:
    for clock in ("00:00", "20:00"):
        stamps = pd.date_range(f"2020-01-06 {clock}", freq="B", periods=5, tz=zone)
        frame = pd.DataFrame({"item_id": "A", "timestamp": stamps, "close": 1.0})
        for one in (
            frame,
            pl.DataFrame(
                {
                    "item_id": "A",
                    "timestamp": pl.Series(
                        stamps.tz_localize(None).to_numpy()
                    ).dt.replace_time_zone(zone),
                    "close": 1.0,
                }
            ),
        ):
            days = StockPanel.from_frame(one).days
            assert [str(days[0]), str(days[-1])] == ["2020-01-06", "2020-01-10"]


def test_days_may_be_whole_numbers_or_have_a_time(bars: pl.DataFrame) -> None:
    day = pl.col("timestamp")
    expected = StockPanel.from_frame(bars)
    for other in (
        day.dt.strftime("%Y%m%d").cast(pl.Int64),
        day.dt.strftime("%Y-%m-%d 00:00:00"),
    ):
        panel = StockPanel.from_frame(bars.with_columns(other.alias("timestamp")))
        assert np.array_equal(panel.days, expected.days)


def test_members_may_be_written_in_words(bars: pl.DataFrame) -> None:
    words = pl.Series("in", ["yes", "No", "TRUE", "0", "1", "", None])
    panel = StockPanel.from_frame(bars.with_columns(words), member_column="in")
    assert int(panel.member.sum()) == 3


def test_names_of_others_are_found_and_said(bars: pl.DataFrame) -> None:
    renamed = bars.rename({"item_id": "unique_id", "timestamp": "ds"})
    with pytest.warns(ColumnNamesWarning, match="unique_id"):
        panel = StockPanel.from_frame(renamed)
    assert panel.stocks == StockPanel.from_frame(bars).stocks


def test_a_stray_day_is_warned_of() -> None:
    days = pd.bdate_range("2020-01-06", periods=10)
    rows = [(name, day, 1.0) for name in "ABCDEF" for day in days]
    rows.append(("A", pd.Timestamp("2020-01-11"), 1.0))
    frame = pd.DataFrame(rows, columns=["item_id", "timestamp", "close"])
    with pytest.warns(ThinDaysWarning, match=r"1 of 11 days .* the first 2020-01-11 with 1 of 6"):
        StockPanel.from_frame(frame)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        StockPanel.from_frame(frame[frame["timestamp"] != "2020-01-11"])


def test_a_stock_that_never_has_a_volume_is_warned_of(bars: pl.DataFrame) -> None:
    volume = pl.when(pl.col("item_id") == "A").then("volume").alias("volume")
    said = r"the frame has 1 of 2 stocks .* never a volume, the first 'B': they are neither learned"
    with pytest.warns(NoVolumeWarning, match=said):
        panel = StockPanel.from_frame(bars.with_columns(volume))
    assert panel.tradable.any(axis=0).tolist() == [True, False]
    closes = bars.pivot("item_id", index="timestamp", values="close").sort("timestamp")
    others = closes.select("timestamp", "A")
    with pytest.warns(NoVolumeWarning, match="the first 'B'"):
        StockPanel.from_wide(closes, volume=others)


def test_bars_of_a_weekend_are_on_no_session(bars: pl.DataFrame) -> None:
    weekend = bars.head(1).with_columns(timestamp=pl.lit("2020-01-04").str.to_date())
    with pytest.raises(DataError, match=r"on sessions of XNYS, got 'A' on 2020-01-04 and 0 more"):
        StockPanel.from_frame(weekend, calendar="XNYS")
