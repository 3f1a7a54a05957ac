"""Anyone's scores: the same numbers whatever the frame, and the same conventions as our own."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.backtest import backtest
from tsfm.stocks.look_ahead import change_the_future
from tsfm.stocks.metrics import information_coefficient, mean_of, sharpe_ratio
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.portfolio import PortfolioConfig
from tsfm.stocks.score_table import read_scores
from tsfm.stocks.scores import backtest_scores
from tsfm.stocks.selection import select
from tsfm.stocks.simulation import SimulationConfig, simulated_panel


@pytest.fixture(scope="module")
def panel() -> StockPanel:
    config = SimulationConfig(n_stocks=12, n_days=90, n_sectors=3, missing=0.03, reversal=0.4)
    return simulated_panel(config)


@pytest.fixture(scope="module")
def table(panel: StockPanel) -> np.ndarray:
    """Minus the return of the day, from the twentieth to the seventieth day."""
    close = panel["close"]
    scores = np.full(close.shape, np.nan)
    scores[20:70] = 1 - close[20:70] / close[19:69]
    return scores


def long(panel: StockPanel, table: np.ndarray) -> pl.DataFrame:
    day, stock = np.nonzero(np.isfinite(table))
    return pl.DataFrame(
        {
            "timestamp": panel.days[day].astype("datetime64[D]"),
            "item_id": np.array(panel.stocks)[stock],
            "score": table[day, stock],
        }
    ).sample(fraction=1.0, shuffle=True, seed=0)


def prices(panel: StockPanel) -> pl.DataFrame:
    day, stock = np.nonzero(np.isfinite(panel["close"]))
    content: dict[str, Any] = {name: panel[name][day, stock] for name in panel.fields}
    names = np.array(panel.stocks)[stock]
    return pl.DataFrame({"timestamp": panel.days[day], "item_id": names, **content})


def test_every_kind_of_frame_gives_the_same(panel: StockPanel, table: np.ndarray) -> None:
    frame = long(panel, table)
    first = backtest_scores(frame, panel, n_random=0).summary
    index = pd.DatetimeIndex(panel.days[20:70], name="timestamp")
    wide = pd.DataFrame(table[20:70], index=index, columns=list(panel.stocks)).reset_index()
    for scores, bars in (
        (wide, panel),
        (wide.drop(columns="timestamp").set_axis(list(map(str, panel.days[20:70]))), panel),
        (frame.to_pandas(), panel),
        (frame.with_columns(pl.col("timestamp").cast(pl.String)), panel),
        (frame, prices(panel)),
    ):
        assert backtest_scores(scores, bars, n_random=0).summary == pytest.approx(
            first, nan_ok=True
        )


def test_it_is_the_backtest_of_the_weights(panel: StockPanel, table: np.ndarray) -> None:
    sheet = backtest_scores(long(panel, table), panel, fill="close", cost_bps=7.0, n_random=0)
    weights = np.full(table.shape, np.nan)
    weights[20:70] = select(table[20:70], top_k=5, tradable=panel.tradable[20:70])
    report = backtest(weights, panel)
    np.testing.assert_allclose(sheet.daily["net"], report.net(7.0)[:, 0])
    assert sheet.summary["sharpe"] == pytest.approx(report.summary(7.0)["sharpe"])
    daily = information_coefficient(table, panel.forward_returns(), panel.tradable)
    assert sheet.summary["ic"] == pytest.approx(mean_of(daily))
    assert sheet.summary["rank_ic_t"] > 2
    # Reversal is over after a day.
    assert sheet.decay["ic"][0] == pytest.approx(sheet.summary["ic"])
    assert abs(sheet.decay["ic"][3]) < sheet.decay["ic"][0] / 2
    assert sheet.daily["day"][0] == panel.days[20]


def test_an_edge_beats_luck_and_noise_does_not(panel: StockPanel, table: np.ndarray) -> None:
    options: dict[str, Any] = {"fill": "close", "cost_bps": 0.0, "n_random": 60}
    good = backtest_scores(long(panel, table), panel, **options).summary
    assert good["random_share"] < 0.05
    assert good["random_sharpe_low"] < good["random_sharpe"] < good["random_sharpe_high"]
    noise = np.where(np.isfinite(table), np.random.default_rng(5).normal(size=table.shape), np.nan)
    assert backtest_scores(long(panel, noise), panel, **options).summary["random_share"] > 0.05


def test_borrowing_costs_and_cash_earns(panel: StockPanel, table: np.ndarray) -> None:
    portfolio = PortfolioConfig(
        rule="quantile_long_short", n_quantiles=3, sector_neutral=True, volatility_days=10
    )
    frame = long(panel, table)
    plain, dear, rich = (
        backtest_scores(frame, panel, portfolio=portfolio, cost_bps=0.0, n_random=3, **options)
        for options in ({}, {"borrow_bps": 500.0}, {"cash_rate": 0.05})
    )
    shorted, cash = plain.daily["shorted"].to_numpy(), plain.daily["cash"].to_numpy()
    assert shorted.mean() == pytest.approx(0.5, abs=0.05)
    assert cash.mean() == pytest.approx(1.0, abs=0.1)
    net = plain.daily["net"].to_numpy()
    np.testing.assert_allclose(dear.daily["net"], net - shorted * 0.05 / 252)
    np.testing.assert_allclose(rich.daily["net"], net + cash * 0.05 / 252)


def test_a_capped_portfolio_trades_no_more(panel: StockPanel, table: np.ndarray) -> None:
    capped = PortfolioConfig(max_turnover=0.3)
    sheet = backtest_scores(long(panel, table), panel, portfolio=capped, n_random=0)
    assert sheet.daily["turnover"].max() == pytest.approx(0.3)
    assert sheet.daily["cash"][0] == pytest.approx(0.7)


def test_costs_at_break_even_leave_nothing_on_average(panel: StockPanel, table: np.ndarray) -> None:
    frame = long(panel, table)
    even = backtest_scores(frame, panel, fill="close", n_random=0).summary["break_even_bps"]
    assert even > 0
    sheet = backtest_scores(frame, panel, fill="close", cost_bps=even, n_random=0)
    assert sheet.daily["net"].mean() == pytest.approx(0.0, abs=1e-12)
    assert sharpe_ratio(sheet.daily["net"].to_numpy()) == pytest.approx(0.0, abs=1e-9)


def test_what_was_earned_does_not_know_the_future(panel: StockPanel, table: np.ndarray) -> None:
    changed = change_the_future(panel, 60, np.random.default_rng(0))
    portfolio = PortfolioConfig(volatility_days=10, sector_neutral=True, top_k=1)
    first, second = (
        backtest_scores(long(panel, table), one, portfolio=portfolio, n_random=0).daily
        for one in (panel, changed)
    )
    known = first.filter(pl.col("day") <= panel.days[60 - 2])
    assert known.drop("market").equals(second.head(len(known)).drop("market"))
    assert not first.equals(second)


def test_what_cannot_be_told_is_nan_and_makes_no_noise(panel: StockPanel) -> None:
    one_day = np.full(panel["close"].shape, np.nan)
    one_day[40] = np.arange(panel.n_stocks)
    held = backtest_scores(long(panel, one_day), panel, n_random=5).summary
    # One sector of one stock on each side: nothing is ever held.
    alone = replace(panel, sector=np.arange(panel.n_stocks))
    rule = PortfolioConfig(rule="long_short", sector_neutral=True)
    scores = np.random.default_rng(0).normal(size=one_day.shape)
    cash = backtest_scores(long(panel, scores), alone, portfolio=rule, n_random=5).summary
    for found in (held, cash):
        names = ("sharpe", *(name for name in found if name.startswith("random_")))
        assert len(names) == 5
        assert np.isnan([found[name] for name in names]).all()


def test_scores_that_no_price_follows_are_refused(panel: StockPanel, table: np.ndarray) -> None:
    last = np.full(table.shape, np.nan)
    last[-2:] = table[20:22]
    with pytest.raises(DataError, match="prices must go on for 2 days after the first day to trad"):
        backtest_scores(long(panel, last), panel)
    with pytest.raises(DataError, match=r"for 90 days after the first .* 2013-01-29, got 69;"):
        backtest_scores(long(panel, table), panel, execution_lag=90, fill="close")


def test_scores_without_prices_are_refused(panel: StockPanel, table: np.ndarray) -> None:
    frame = long(panel, table)
    strange = frame.with_columns(pl.col("item_id").replace("S0003", "XYZ"))
    with pytest.raises(DataError, match=r"scores must be of stocks and days .* got 'XYZ' on 2013"):
        read_scores(strange, panel)
    with pytest.raises(DataError, match="got no score and 0 more; drop them or add prices"):
        read_scores(frame.head(0), panel)
    with pytest.raises(DataError, match="scores must be finite, one per stock and day, got"):
        read_scores(pl.concat([frame, frame.head(1)]), panel)


@pytest.mark.parametrize("name", ["n_random", "decay_days", "seed"])
@pytest.mark.parametrize("number", [-1, True])
def test_a_count_that_is_none_is_refused(
    name: str, number: Any, panel: StockPanel, table: np.ndarray
) -> None:
    problem = f"^{name} must be a whole number of at least 0, got {number}$"
    with pytest.raises(ConfigError, match=problem):
        backtest_scores(long(panel, table), panel, **{name: number})


def test_weekly_scores_are_held_until_the_next(panel: StockPanel, table: np.ndarray) -> None:
    weekly = np.full(table.shape, np.nan)
    weekly[20:70:5] = table[20:70:5]
    sheet = backtest_scores(long(panel, weekly), panel, fill="close", cost_bps=0.0, n_random=3)
    traded = sheet.daily["turnover"].to_numpy() > 0
    assert traded[::5].all()
    assert not traded.reshape(-1)[np.arange(len(traded)) % 5 != 0].any()
    # A week of the first choice, and no other, by hand.
    chosen = np.argsort(-np.nan_to_num(weekly[20], nan=-np.inf))[:5]
    close = panel.last_known("close")
    expected = (close[25, chosen] / close[20, chosen]).mean() - 1
    gained = (1 + sheet.daily["gross"][:5].to_numpy()).prod() - 1
    assert gained == pytest.approx(expected)
    assert np.isnan(sheet.weights[21]).all()


def test_the_last_of_weekly_scores_is_held_as_long_as_the_others(
    panel: StockPanel, table: np.ndarray
) -> None:
    weekly = np.full(table.shape, np.nan)
    weekly[20:70:5] = table[20:70:5]
    sheet = backtest_scores(long(panel, weekly), panel, fill="close", n_random=3)
    np.testing.assert_array_equal(sheet.daily["day"].to_numpy(), panel.days[20:70])
    chosen = np.argsort(-np.nan_to_num(weekly[65], nan=-np.inf))[:5]
    close = panel.last_known("close")
    gained = (1 + sheet.daily["gross"][-5:].to_numpy()).prod() - 1
    assert gained == pytest.approx((close[70, chosen] / close[65, chosen]).mean() - 1)
    # Prices may end before the week does.
    short = backtest_scores(long(panel, weekly), panel.head(68), fill="close", n_random=0)
    assert short.daily["day"][-1] == panel.days[66]


def test_scores_that_are_no_numbers_are_refused(panel: StockPanel, table: np.ndarray) -> None:
    frame = long(panel, table)
    text = frame.with_columns(pl.lit("buy").alias("score"))
    with pytest.raises(DataError, match="scores must have numbers in 'score', got 'buy' of"):
        read_scores(text, panel)
    with pytest.raises(DataError, match="scores must have the columns 'item_id' and 'score', got"):
        read_scores(frame.rename({"score": "alpha"}), panel)
    with pytest.raises(DataError, match="scores must have the column 'timestamp', got"):
        read_scores(frame.rename({"timestamp": "when"}), panel)


def test_the_stock_and_day_of_a_wrong_score_are_named(panel: StockPanel, table: np.ndarray) -> None:
    frame = long(panel, table).sort("timestamp", "item_id")
    place = {"item_id": "S0003", "timestamp": date(2013, 2, 5)}
    is_it = (pl.col("item_id") == "S0003") & (pl.col("timestamp") == place["timestamp"])
    infinite = frame.with_columns(pl.when(is_it).then(-np.inf).otherwise("score").alias("score"))
    with pytest.raises(DataError, match=r"an infinite one of 'S0003' on 2013-02-05, and 0 more"):
        read_scores(infinite, panel)
    twice = pl.concat([frame, frame.filter(is_it)])
    with pytest.raises(DataError, match=r"several of 'S0003' on 2013-02-05, .*; aggregate them"):
        read_scores(twice, panel)


def test_scores_are_on_the_day_of_their_own_clock(panel: StockPanel, table: np.ndarray) -> None:
    frame = long(panel, table)
    zoned = frame.with_columns(
        pl.col("timestamp").cast(pl.Datetime("us")).dt.replace_time_zone("Asia/Tokyo")
    )
    numbers = frame.with_columns(pl.col("timestamp").dt.strftime("%Y%m%d").cast(pl.Int64))
    for other in (zoned, numbers):
        np.testing.assert_array_equal(read_scores(other, panel), read_scores(frame, panel))


def test_a_portfolio_that_is_none_is_refused(panel: StockPanel, table: np.ndarray) -> None:
    # As users call it: the tests check types at every call.
    call: Any = getattr(backtest_scores, "__wrapped__", backtest_scores)
    with pytest.raises(
        ConfigError, match=r"portfolio must be a PortfolioConfig, got \{'top_k': 3\}"
    ):
        call(long(panel, table), panel, portfolio={"top_k": 3})
