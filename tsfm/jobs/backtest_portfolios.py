"""The portfolios of a backtest: the best few stocks, and every other rule by its name."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tsfm.errors import ConfigError
from tsfm.shapes import Float64, Int, ndarray
from tsfm.stocks.backtest import BacktestReport, simulate
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.portfolio import PortfolioConfig, target_weights, trailing_volatility
from tsfm.stocks.selection import held_without_scores, select

Wanted = tuple[str | None, int | None, Float64[ndarray, "day stock"], float | None]
"""Name, or how many of the best; weights, NaN without a trade; most that is traded in a day."""


# A name is part of a metric's; the best few stocks are called top5.
NAME, TAKEN = re.compile(r"[\w.-]+", re.ASCII), re.compile(r"top\d+")


def check(portfolios: Mapping[str, PortfolioConfig], panel: StockPanel) -> None:
    """Refuse what a rule cannot be called, or needs and the panel has not, before the fitting."""
    for name, rule in portfolios.items():
        if not NAME.fullmatch(name) or TAKEN.fullmatch(name):
            raise ConfigError(
                "backtest.portfolios must have names of letters, digits, '-', '_' and '.' that are "
                f"not 'top' and a number, got {name!r}; choose another"
            )
        if rule.sector_neutral and not panel.sectors:
            raise ConfigError(
                f"backtest.portfolios.{name}.sector_neutral needs a panel with sectors, got none; "
                "add a column sector or leave the rule out"
            )


def wanted(
    config: Any,
    scores: Float64[ndarray, "day stock"],
    shown: CrossSections,
    test: Int[ndarray, " test_day"],
) -> Iterator[Wanted]:
    """Yield what every portfolio of a ``[backtest]`` section wants to hold."""
    tradable, scored = shown.panel.tradable[test], np.isfinite(scores)
    for top_k in config.top_k:
        weights = np.full(scores.shape, np.nan)
        weights[test] = select(scores[test], top_k=top_k, tradable=tradable)
        yield None, top_k, held_without_scores(weights, scored, test), None
    for name, rule in config.portfolios.items():
        volatility = _volatility(shown, rule)
        weights = np.full(scores.shape, np.nan)
        weights[test] = target_weights(
            scores[test],
            rule,
            tradable=tradable,
            sector=shown.panel.sector,
            volatility=None if volatility is None else volatility[test],
        )
        yield name, None, held_without_scores(weights, scored, test), rule.max_turnover


def random_scores(
    shown: CrossSections,
    test: Int[ndarray, " test_day"],
    rule: PortfolioConfig,
    *,
    n_portfolios: int,
    generator: np.random.Generator,
    delisting_return: float = 0.0,
) -> BacktestReport:
    """Return portfolios of scores drawn anew every day, under a rule: what luck looks like."""
    volatility = _volatility(shown, rule)
    shape = (n_portfolios, shown.panel.n_stocks)

    def target(day: int) -> Float64[ndarray, "portfolio stock"] | None:
        if day != test[0] and not shown.eligible[day].any():
            return None
        chance = generator.random(shape)
        chance[:, ~shown.selectable[day]] = np.nan
        return target_weights(
            chance,
            rule,
            sector=shown.panel.sector,
            volatility=None if volatility is None else np.broadcast_to(volatility[day], shape),
        )

    config = shown.config
    return simulate(
        target,
        shown.panel,
        test,
        execution_lag=config.execution_lag,
        fill=config.fill,
        delisting_return=delisting_return,
        max_turnover=rule.max_turnover,
    )


def _volatility(
    shown: CrossSections, rule: PortfolioConfig
) -> Float64[ndarray, "day stock"] | None:
    return trailing_volatility(shown.panel, rule.volatility_days) if rule.volatility_days else None
