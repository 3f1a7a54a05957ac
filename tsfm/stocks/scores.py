"""Anyone's scores, traded: a frame of scores and a frame of prices in, a tear sheet out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import at_least_zero
from tsfm.errors import ConfigError
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.stocks.backtest import BacktestReport, simulate
from tsfm.stocks.metrics import (
    information_coefficient,
    information_decay,
    information_ratio,
    mean_of,
    newey_west_t,
    rank_information_coefficient,
    sharpe_ratio,
)
from tsfm.stocks.panel import Fill, StockPanel
from tsfm.stocks.portfolio import PortfolioConfig, target_weights, trailing_volatility
from tsfm.stocks.relative import relative_to
from tsfm.stocks.score_table import read_scores
from tsfm.stocks.selection import held_without_scores
from tsfm.stocks.trading_options import check_costs

# Nine in ten of the random portfolios lie between these.
BAND = (0.05, 0.95)


@dataclass(frozen=True)
class TearSheet:
    """What scores were worth.

    Parameters
    ----------
    summary
        Coefficients of the scores (``ic``, ``rank_ic``, each with ``_t`` by Newey and West and the
        ratio ``ir``), what `BacktestReport.summary` and `relative_to` say of the portfolio after
        costs, ``market_sharpe`` and ``market_irr`` of all scored stocks in equal weights, and of
        random scores under the same rule ``random_sharpe`` with ``_low`` and ``_high`` around nine
        in ten, and ``random_share``: how many of them do at least as well;
        NaN where there is no ratio to compare.
    daily
        ``day``, ``gross``, ``net``, ``market``, ``turnover``, ``shorted``, ``cash``.
    decay
        ``days`` later, mean ``ic`` and its ``t``: how long the scores know something.
    weights
        What the portfolio wanted, days x stocks of the panel; NaN on days without a trade.
    """

    summary: dict[str, float]
    daily: pl.DataFrame
    decay: pl.DataFrame
    weights: Float64[ndarray, "day stock"]


def backtest_scores(
    scores: Any,
    prices: Any,
    *,
    portfolio: PortfolioConfig | None = None,
    execution_lag: int = 1,
    fill: Fill = "open",
    cost_bps: float = 10.0,
    borrow_bps: float = 0.0,
    cash_rate: float = 0.0,
    delisting_return: float = 0.0,
    n_random: int = 200,
    decay_days: int = 10,
    seed: int = 0,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    score_column: str = "score",
) -> TearSheet:
    """Trade scores and say what they were worth, beside the market and luck.

    Parameters
    ----------
    scores
        A long frame of stock, day and score (higher is better), or a wide one: a column per stock,
        the first one (or the index) with the days. Known at the close of their day. A day without
        any score has no trade: what is held stays, as between weekly scores, and the last is held
        for as many days as there usually are between two.
    prices
        A `StockPanel`, or a long frame as `StockPanel.from_frame` reads it.
    portfolio
        By default the five best in equal weights.
    execution_lag, fill
        See `StockPanel.forward_returns`. By default bought at the next open.
    cost_bps, borrow_bps, cash_rate
        See `BacktestReport.net`.
    n_random
        Portfolios of random scores; 0 for none.
    decay_days
        See `TearSheet`; 0 for none.

    Raises
    ------
    DataError
        When a frame breaks a rule, a score is of a stock or day without prices, or no price follows
        the scores.
    ConfigError
        When an option is wrong.

    Examples
    --------
    >>> from tsfm.stocks.simulation import SimulationConfig, simulated_panel
    >>> panel = simulated_panel(SimulationConfig(n_stocks=12, n_days=80, reversal=0.5))
    >>> close = panel["close"]
    >>> fallen = {"day": panel.days[1:]} | dict(
    ...     zip(panel.stocks, (1 - close[1:] / close[:-1]).T, strict=True)
    ... )
    >>> sheet = backtest_scores(pl.DataFrame(fallen), panel, fill="close", n_random=0)
    >>> sheet.summary["rank_ic"] > 0.2
    True
    """
    at_least_zero("n_random", n_random)
    at_least_zero("decay_days", decay_days)
    at_least_zero("seed", seed)
    portfolio = _rule(portfolio)
    check_costs(cost_bps=cost_bps, borrow_bps=borrow_bps, cash_rate=cash_rate)
    names = {"id_column": id_column, "timestamp_column": timestamp_column}
    panel = prices if isinstance(prices, StockPanel) else StockPanel.from_frame(prices, **names)
    table = read_scores(scores, panel, score_column=score_column, **names)
    days = _tested(table)
    volatility = None
    if portfolio.volatility_days:
        volatility = trailing_volatility(panel, portfolio.volatility_days)
    execution: dict[str, Any] = {
        "execution_lag": execution_lag,
        "fill": fill,
        "delisting_return": delisting_return,
    }
    weights = np.full(table.shape, np.nan)
    weights[days] = target_weights(
        table[days],
        portfolio,
        tradable=panel.tradable[days],
        sector=panel.sector,
        volatility=None if volatility is None else volatility[days],
    )
    weights = held_without_scores(weights, np.isfinite(table), days)
    report = traded(weights, panel, days, max_turnover=portfolio.max_turnover, **execution)
    costs: dict[str, Any] = {"borrow_bps": borrow_bps, "cash_rate": cash_rate}
    market = _market(table, panel, days, execution).net(cost_bps, cash_rate=cash_rate)[:, 0]
    net = report.net(cost_bps, **costs)[:, 0]
    returns = panel.forward_returns(execution_lag=execution_lag, fill=fill)
    summary = of_scores(table[days], returns[days], panel.tradable[days])
    summary |= report.summary(cost_bps, **costs) | relative_to(net, market)
    summary |= {
        "market_sharpe": sharpe_ratio(market),
        "market_irr": float(np.prod(1 + market) - 1),
    }
    if n_random:
        drawn = _random(table, panel, days, portfolio, volatility, execution, n_random, seed)
        summary |= _beside_luck(drawn.net(cost_bps, **costs), summary["sharpe"])
    decay = information_decay(table, returns, days, decay_days, panel.tradable)
    return TearSheet(summary, _daily(report, net, market), _decay_frame(decay), weights)


def _rule(portfolio: Any) -> PortfolioConfig:
    """Return what is held, by default the five best."""
    if portfolio is None:
        return PortfolioConfig()
    if not isinstance(portfolio, PortfolioConfig):
        raise ConfigError(
            f"portfolio must be a PortfolioConfig, got {portfolio!r}; pass for example "
            "PortfolioConfig(top_k=3)"
        )
    return portfolio


def _tested(table: Float64[ndarray, "day stock"]) -> Int[ndarray, " asked"]:
    """Return the days from the first score to the last, which is held as long as others usually."""
    scored = np.flatnonzero(np.isfinite(table).any(axis=1))
    usual = int(np.median(np.diff(scored))) if len(scored) > 1 else 1
    return np.arange(scored[0], min(scored[-1] + usual, len(table)))


def of_scores(
    scores: Float64[ndarray, "day stock"],
    returns: Float64[ndarray, "day stock"],
    tradable: Bool[ndarray, "day stock"],
) -> dict[str, float]:
    """Return the coefficients of scores, each with its ``_t`` and its ratio ``ir``."""
    found: dict[str, float] = {}
    for name, measure in (
        ("ic", information_coefficient),
        ("rank_ic", rank_information_coefficient),
    ):
        daily = measure(scores, returns, tradable)
        found |= {
            name: mean_of(daily),
            f"{name}_t": newey_west_t(daily),
            f"{name}ir": information_ratio(daily),
        }
    return found


def _market(
    table: Float64[ndarray, "day stock"],
    panel: StockPanel,
    days: Int[ndarray, " asked"],
    execution: dict[str, Any],
) -> BacktestReport:
    chosen = np.isfinite(table[days]) & panel.tradable[days]
    weights = np.full(table.shape, np.nan)
    weights[days] = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    weights = held_without_scores(weights, np.isfinite(table), days)
    return traded(weights, panel, days, **execution)


def traded(
    weights: Float64[ndarray, "day stock"],
    panel: StockPanel,
    days: Int[ndarray, " asked"],
    **options: Any,
) -> BacktestReport:
    """Return what the weights earned on all of the days, also those after the last trade.

    Parameters
    ----------
    weights
        See `backtest`; on days without a trade what is held stays, and the first has one.
    options
        See `simulate`.
    """

    def target(day: int) -> Float64[ndarray, "portfolio stock"] | None:
        return weights[day : day + 1] if np.isfinite(weights[day]).all() else None

    return simulate(target, panel, days, **options)


def _random(
    table: Float64[ndarray, "day stock"],
    panel: StockPanel,
    days: Int[ndarray, " asked"],
    portfolio: PortfolioConfig,
    volatility: Float64[ndarray, "day stock"] | None,
    execution: dict[str, Any],
    n_random: int,
    seed: int,
) -> BacktestReport:
    generator = np.random.default_rng(seed)
    shape = (n_random, panel.n_stocks)

    def target(day: int) -> Float64[ndarray, "portfolio stock"] | None:
        if not np.isfinite(table[day]).any():
            return None
        scores = np.where(np.isfinite(table[day]), generator.random(shape), np.nan)
        of_day = None if volatility is None else np.broadcast_to(volatility[day], shape)
        return target_weights(
            scores,
            portfolio,
            tradable=np.broadcast_to(panel.tradable[day], shape),
            sector=panel.sector,
            volatility=of_day,
        )

    return simulate(target, panel, days, max_turnover=portfolio.max_turnover, **execution)


def _beside_luck(net: Float64[ndarray, "day portfolio"], sharpe: float) -> dict[str, float]:
    found = np.array([sharpe_ratio(one) for one in net.T])
    known = found[np.isfinite(found)]
    low, high = np.quantile(known, BAND) if len(known) else (np.nan, np.nan)
    as_good = np.where(np.isfinite(sharpe), known >= sharpe, np.nan)
    return {
        "random_sharpe": mean_of(known),
        "random_sharpe_low": float(low),
        "random_sharpe_high": float(high),
        "random_share": mean_of(as_good),
    }


def _daily(report: BacktestReport, net: ndarray, market: ndarray) -> pl.DataFrame:
    series = {"gross": report.gross[:, 0], "net": net, "market": market}
    series |= {name: getattr(report, name)[:, 0] for name in ("turnover", "shorted", "cash")}
    return pl.DataFrame({"day": report.days.astype("datetime64[D]"), **series})


def _decay_frame(daily: list[Float64[ndarray, " day"]]) -> pl.DataFrame:
    content = {
        "days": list(range(len(daily))),
        "ic": [mean_of(one) for one in daily],
        "t": [newey_west_t(one) for one in daily],
    }
    schema = {"days": pl.Int64, "ic": pl.Float64, "t": pl.Float64}
    return pl.DataFrame(content, schema=schema)
