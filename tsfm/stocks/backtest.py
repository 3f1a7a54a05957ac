"""Weights to returns: executed with a lag, at a price, for a cost. Conventions are in ADR 0011."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Float, Float64, Int, ndarray
from tsfm.stocks.metrics import (
    investment_return,
    max_drawdown,
    mean_of,
    sharpe_ratio,
    sharpe_standard_error,
)
from tsfm.stocks.panel import Fill, StockPanel, check_lag, last_known

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
    """

    days: ndarray
    gross: Float64[ndarray, "day portfolio"]
    turnover: Float64[ndarray, "day portfolio"]

    def net(self, cost_bps: float) -> Float64[ndarray, "day portfolio"]:
        """Return simple returns after `cost_bps` basis points of all that is bought or sold."""
        return (1 + self.gross) * (1 - self.turnover * cost_bps * BPS) - 1

    def summary(self, cost_bps: float, portfolio: int = 0) -> dict[str, float]:
        """Return irr, sharpe and its standard error, max_drawdown, and the mean turnover."""
        net = self.net(cost_bps)[:, portfolio]
        return {
            "irr": investment_return(net),
            "sharpe": sharpe_ratio(net),
            "sharpe_error": sharpe_standard_error(net),
            "max_drawdown": max_drawdown(net),
            "turnover": mean_of(self.turnover[:, portfolio]),
        }


def backtest(
    weights: Float[ndarray, "day stock"],
    panel: StockPanel,
    *,
    execution_lag: int = 1,
    fill: Fill = "close",
    delisting_return: float = 0.0,
) -> BacktestReport:
    """Return what the weights earned.

    Parameters
    ----------
    weights
        One row per day of the panel, decided at its close; NaN in whole rows before and after the
        test. What is not invested is cash and earns nothing.
    execution_lag, fill
        See `StockPanel.forward_returns`.
    delisting_return
        Of a stock after its last bar; it then becomes cash.

    Raises
    ------
    DataError
        When the weights do not fit the panel, or a row within the test is missing.
    ConfigError
        When the lag is shorter than a day.
    """
    if weights.shape != (panel.n_days, panel.n_stocks):
        raise DataError(
            f"weights must have a row per day and a column per stock, got {weights.shape} for "
            f"{panel.n_days} days and {panel.n_stocks} stocks"
        )
    days = np.flatnonzero(np.isfinite(weights).all(axis=1))
    partly = np.isfinite(weights).any(axis=1) & ~np.isfinite(weights).all(axis=1)
    if not len(days) or partly.any() or len(days) != days[-1] - days[0] + 1:
        raise DataError(
            "weights must be finite in every row from the first to the last of the test, got "
            f"{len(days)} whole rows and {int(partly.sum())} broken ones; write 0 for cash"
        )
    return simulate(
        lambda day: weights[day : day + 1],
        panel,
        days,
        execution_lag=execution_lag,
        fill=fill,
        delisting_return=delisting_return,
    )


def simulate(
    target: Callable[[int], Float[ndarray, "portfolio stock"]],
    panel: StockPanel,
    days: Int[ndarray, " day"],
    *,
    execution_lag: int = 1,
    fill: Fill = "close",
    delisting_return: float = 0.0,
) -> BacktestReport:
    """Return what portfolios earned whose target weights are asked for day by day, in order.

    A stock without a price or a volume on the day of execution is neither bought nor sold: what is
    held of it stays, and the rest shrinks to make room. Days whose return the panel does not hold
    are left out at the end.
    """
    check_lag(execution_lag)
    raw, prices = panel[fill], last_known(panel[fill])
    wait = execution_lag - (fill == "close")
    days = days[days + wait + 1 < panel.n_days]
    has_price = np.isfinite(raw)
    last_bar = panel.n_days - 1 - has_price[::-1].argmax(axis=0)
    held, gross, bought = np.zeros((1, panel.n_stocks)), [], []
    for day in days:
        execution = int(day) + wait
        can_trade = has_price[execution] & panel.tradable[execution]
        wanted = target(int(day))
        new = _executed(held, wanted, can_trade)
        returns = prices[execution + 1] / prices[execution] - 1
        ends = (last_bar == execution) & (execution < panel.n_days - 1)
        returns = np.where(ends, delisting_return, returns)
        # Stocks that never had a price cannot be held.
        earned = new * np.where(np.isfinite(returns), returns, 0.0)
        gross.append(earned.sum(axis=1))
        bought.append(np.abs(new - held).sum(axis=1))
        wealth = np.maximum(1 + gross[-1], 1e-9)[:, None]
        held = np.where(ends, 0.0, (new + earned) / wealth)
    n_portfolios = len(gross[0]) if gross else 1
    shape = (len(days), n_portfolios)
    return BacktestReport(
        panel.days[days], np.reshape(gross, shape), np.reshape(bought, shape).astype(np.float64)
    )


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
