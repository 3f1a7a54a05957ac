"""Weights to returns: executed with a lag, at a price, for a cost. Conventions are in ADR 0011."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Float, Float64, Int, ndarray
from tsfm.stocks.metrics import (
    DAYS_PER_YEAR,
    investment_return,
    max_drawdown,
    mean_of,
    sharpe_ratio,
    sharpe_standard_error,
)
from tsfm.stocks.panel import Fill, StockPanel, check_execution, last_known
from tsfm.stocks.trading_options import RUIN, check_costs, check_limits

BPS = 1e-4


@dataclass(frozen=True)
class BacktestReport:
    """What portfolios did, day by day; costs are applied when asked for.

    Parameters
    ----------
    days
        Those of the scores; the return of a day is earned after it, by `execution_lag` and fill.
    gross
        Simple return of the holdings, before costs.
    turnover
        Bought plus sold, as a share of the wealth before the trade.
    shorted, cash
        After the trade, as shares of the wealth: what is sold short, not negative, and what is not
        invested, the proceeds of short sales included.
    """

    days: ndarray
    gross: Float64[ndarray, "day portfolio"]
    turnover: Float64[ndarray, "day portfolio"]
    shorted: Float64[ndarray, "day portfolio"]
    cash: Float64[ndarray, "day portfolio"]

    def net(
        self, cost_bps: float, *, borrow_bps: float = 0.0, cash_rate: float = 0.0
    ) -> Float64[ndarray, "day portfolio"]:
        """Return simple returns after costs; a portfolio that they take all from is over.

        Parameters
        ----------
        cost_bps
            Basis points of all that is bought or sold.
        borrow_bps
            Basis points a year of what is sold short.
        cash_rate
            What cash earns in a year, 0.02 being two percent.

        Raises
        ------
        ConfigError
            When a cost is negative, or it or the rate no number.
        """
        check_costs(cost_bps=cost_bps, borrow_bps=borrow_bps, cash_rate=cash_rate)
        carry = (self.cash * cash_rate - self.shorted * borrow_bps * BPS) / DAYS_PER_YEAR
        carry = np.where(self.gross > RUIN, carry, 0.0)
        return net_returns(self.gross + carry, self.turnover, cost_bps)

    def break_even_bps(
        self, portfolio: int = 0, *, borrow_bps: float = 0.0, cash_rate: float = 0.0
    ) -> float:
        """Return the costs that leave nothing of the mean return; NaN when nothing is traded.

        What is short is paid and cash has earned before, as in `net`.
        """
        gross = self.net(0.0, borrow_bps=borrow_bps, cash_rate=cash_rate)[:, portfolio]
        turnover = self.turnover[:, portfolio]
        traded = float(((1 + gross) * turnover).sum())
        return float(gross.sum()) / traded / BPS if traded > 0 else float("nan")

    def summary(
        self,
        cost_bps: float,
        portfolio: int = 0,
        *,
        borrow_bps: float = 0.0,
        cash_rate: float = 0.0,
    ) -> dict[str, float]:
        """Return what one portfolio did; costs as in `net`.

        Returns
        -------
        dict
            ``irr``, ``sharpe``, ``sharpe_error``, ``max_drawdown``, the mean ``turnover`` and
            ``break_even_bps``.
        """
        carry = {"borrow_bps": borrow_bps, "cash_rate": cash_rate}
        net = self.net(cost_bps, **carry)[:, portfolio]
        return {
            "irr": investment_return(net),
            "sharpe": sharpe_ratio(net),
            "sharpe_error": sharpe_standard_error(net),
            "max_drawdown": max_drawdown(net),
            "turnover": mean_of(self.turnover[:, portfolio]),
            "break_even_bps": self.break_even_bps(portfolio, **carry),
        }


def net_returns(gross: ndarray, turnover: ndarray, cost_bps: float) -> ndarray:
    """Return simple returns after the costs of what was bought and sold before they were earned.

    Days come first. No day loses more than all, and after one that does nothing moves any more.
    """
    left = np.maximum(1 - turnover * cost_bps * BPS, 0.0)
    net = (1 + np.maximum(gross, RUIN)) * left - 1
    is_over = np.logical_or.accumulate(net <= RUIN, axis=0)
    net[1:][is_over[:-1]] = 0.0
    return net


def backtest(
    weights: Float[ndarray, "day stock"],
    panel: StockPanel,
    *,
    execution_lag: int = 1,
    fill: Fill = "close",
    delisting_return: float = 0.0,
    max_turnover: float | None = None,
) -> BacktestReport:
    """Return what the weights earned.

    Parameters
    ----------
    weights
        One row per day of the panel, decided at its close; NaN in whole rows before and after the
        test, and within it on days without a trade. What is not invested is cash and earns nothing.
    execution_lag, fill
        See `StockPanel.forward_returns`.
    delisting_return
        Of a stock after the close of its last bar; it then becomes cash.
    max_turnover
        Most that is bought plus sold in a day, as a share of the wealth: all trades of a day shrink
        alike, so the portfolio only approaches its weights.

    Raises
    ------
    DataError
        When the weights do not fit the panel, a row is finite in part, or no price follows.
    ConfigError
        When the lag is shorter than a day, nobody can trade at the fill, more than all is lost in
        a delisting, or the cap lets nothing be traded.
    """
    if weights.shape != (panel.n_days, panel.n_stocks):
        raise DataError(
            f"weights must have a row per day and a column per stock, got {weights.shape} for "
            f"{panel.n_days} days and {panel.n_stocks} stocks"
        )
    is_whole = np.isfinite(weights).all(axis=1)
    partly = np.isfinite(weights).any(axis=1) & ~is_whole
    if partly.any() or not is_whole.any():
        raise DataError(
            "weights must be finite in every row of the test or missing in all of it, got "
            f"{int(is_whole.sum())} whole rows and {int(partly.sum())} broken ones; write 0 for "
            "cash"
        )
    first, last = np.flatnonzero(is_whole)[[0, -1]]
    return simulate(
        lambda day: weights[day : day + 1] if is_whole[day] else None,
        panel,
        np.arange(first, last + 1),
        execution_lag=execution_lag,
        fill=fill,
        delisting_return=delisting_return,
        max_turnover=max_turnover,
    )


def simulate(
    target: Callable[[int], Float[ndarray, "portfolio stock"] | None],
    panel: StockPanel,
    days: Int[ndarray, " day"],
    *,
    execution_lag: int = 1,
    fill: Fill = "close",
    delisting_return: float = 0.0,
    max_turnover: float | None = None,
) -> BacktestReport:
    """Return what portfolios earned whose target weights are asked for day by day, in order.

    Without a target, what is held stays; the first day has one. A portfolio that has lost all, as
    short ones can, is over: it holds nothing more.

    A stock without a price or a volume on the day of execution is neither bought nor sold: what is
    held of it stays, and the rest shrinks to make room. Days whose return the panel does not hold
    are left out at the end.

    Raises
    ------
    DataError
        When that is all of them.
    """
    check_execution(execution_lag, fill)
    check_limits(delisting_return=delisting_return, max_turnover=max_turnover)
    raw, prices = panel[fill], _marks(panel, fill)
    wait = execution_lag - (fill == "close")
    days = _days_that_earn(days, panel, wait + 1)
    has_price = np.isfinite(raw)
    has_bar = has_price | np.isfinite(panel["close"])
    last_bar = panel.n_days - 1 - has_bar[::-1].argmax(axis=0)
    held, lives = np.zeros((1, panel.n_stocks)), np.ones(1, bool)
    gross, bought, shorted, cash = [], [], [], []
    for day in days:
        execution = int(day) + wait
        wanted, new = target(int(day)), held
        if wanted is not None:
            can_trade = has_price[execution] & panel.tradable[execution]
            new = _executed(held, np.where(lives[:, None], wanted, 0.0), can_trade)
            if max_turnover is not None:
                new = _capped(held, new, max_turnover)
        ends = (last_bar == execution) & (execution < panel.n_days - 1)
        returns = prices[execution + 1] / prices[execution] - 1
        returns = np.where(ends, (1 + returns) * (1 + delisting_return) - 1, returns)
        # Stocks that never had a price cannot be held.
        earned = new * np.where(np.isfinite(returns), returns, 0.0)
        gross.append(np.maximum(earned.sum(axis=1), RUIN))
        bought.append(np.abs(new - held).sum(axis=1))
        shorted.append(np.maximum(-new, 0.0).sum(axis=1))
        cash.append(np.where(lives, 1 - new.sum(axis=1), 0.0))
        lives = lives & (gross[-1] > RUIN)
        wealth = np.where(lives, 1 + gross[-1], 1.0)[:, None]
        held = np.where(ends | ~lives[:, None], 0.0, (new + earned) / wealth)
    shape = (len(days), len(gross[0]))
    series = (np.reshape(one, shape).astype(np.float64) for one in (gross, bought, shorted, cash))
    return BacktestReport(panel.days[days], *series)


def _days_that_earn(
    days: Int[ndarray, " day"], panel: StockPanel, n_later: int
) -> Int[ndarray, " kept"]:
    """Return the days whose return, which ends so many days later, the panel holds."""
    kept = days[days + n_later < panel.n_days]
    if not len(kept):
        raise DataError(
            f"prices must go on for {n_later} days after the first day to trade on, "
            f"{panel.days[days[0]]}, got {panel.n_days - 1 - days[0]}; trade earlier or add prices"
        )
    return kept


def _marks(panel: StockPanel, fill: Fill) -> Float64[ndarray, "day stock"]:
    """Return what a stock is worth at the fill of a day: the last price there was by then.

    Without an open that is the close of the bar before, which says what has become of a stock whose
    last day it was.
    """
    if fill == "close":
        return panel.last_known("close")
    prices = np.stack([panel["open"], panel["close"]], axis=1)
    marks: ndarray = last_known(prices.reshape(-1, panel.n_stocks))[::2]
    return marks


def _executed(
    held: Float[ndarray, "before stock"],
    wanted: Float[ndarray, "portfolio stock"],
    can_trade: ndarray,
) -> Float64[ndarray, "portfolio stock"]:
    """Return the weights after a day's trades."""
    new = np.where(can_trade, wanted, held)
    if can_trade.all():
        return new
    whole = np.abs(wanted).sum(axis=1)
    stuck = np.abs(np.where(can_trade, 0.0, new)).sum(axis=1)
    free = np.abs(np.where(can_trade, new, 0.0)).sum(axis=1)
    share = np.clip((whole - stuck) / np.maximum(free, 1e-12), 0.0, 1.0)
    return np.where(can_trade, new * share[:, None], new)


def _capped(
    held: Float[ndarray, "before stock"],
    new: Float[ndarray, "portfolio stock"],
    max_turnover: float,
) -> Float64[ndarray, "portfolio stock"]:
    """Return the weights after as much of a day's trades as the cap allows."""
    trades = new - held
    size = np.abs(trades).sum(axis=1, keepdims=True)
    share = np.minimum(1.0, max_turnover / np.where(size > 0, size, 1.0))
    capped: ndarray = held + share * trades
    return capped
