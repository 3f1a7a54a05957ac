"""Stocks: panels, pretext tasks, ranking, selection and backtests; all that knows what one is.

Public names are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tsfm.stocks.folds import WalkForwardConfig
    from tsfm.stocks.overfitting import deflated_sharpe_ratio, probability_of_overfitting
    from tsfm.stocks.panel import StockPanel
    from tsfm.stocks.portfolio import PortfolioConfig
    from tsfm.stocks.ranker import StockRanker
    from tsfm.stocks.risk import (
        christoffersen,
        expected_shortfall,
        filtered_value_at_risk,
        kupiec,
        value_at_risk,
    )
    from tsfm.stocks.scores import TearSheet, backtest_scores

_HOMES = {
    "PortfolioConfig": "portfolio",
    "StockPanel": "panel",
    "StockRanker": "ranker",
    "TearSheet": "scores",
    "WalkForwardConfig": "folds",
    "backtest_scores": "scores",
    "christoffersen": "risk",
    "deflated_sharpe_ratio": "overfitting",
    "expected_shortfall": "risk",
    "filtered_value_at_risk": "risk",
    "kupiec": "risk",
    "probability_of_overfitting": "overfitting",
    "value_at_risk": "risk",
}

__all__ = [
    "PortfolioConfig",
    "StockPanel",
    "StockRanker",
    "TearSheet",
    "WalkForwardConfig",
    "backtest_scores",
    "christoffersen",
    "deflated_sharpe_ratio",
    "expected_shortfall",
    "filtered_value_at_risk",
    "kupiec",
    "probability_of_overfitting",
    "value_at_risk",
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name and keep the name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
