"""How long ten years of three thousand stocks take: weights, trades, costs, scores.

Prints one JSON object: processor seconds of each part on simulated closes.

    python benchmarks/speed/backtest.py --years 10 --stocks 3000
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tsfm.stocks.backtest import backtest
from tsfm.stocks.metrics import information_coefficient, rank_information_coefficient
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.portfolio import PortfolioConfig, target_weights


def made_panel(n_days: int, n_stocks: int) -> StockPanel:
    """Return closes that walk at random, all traded."""
    generator = np.random.default_rng(0)
    close = np.exp(generator.normal(0, 0.01, (n_days, n_stocks)).cumsum(axis=0))
    has = np.ones(close.shape, bool)
    return StockPanel(
        np.busday_offset(np.datetime64("2010-01-04"), np.arange(n_days)),
        tuple(map(str, range(n_stocks))),
        ("close",),
        close[..., None],
        has,
        has,
        np.zeros(n_stocks, np.int64),
    )


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return processor seconds and the result."""
    started = time.process_time()
    result = work()
    return round(time.process_time() - started, 2), result


def main() -> None:
    """Parse the arguments, measure, and print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--years", type=int, default=10)
    parser.add_argument("--stocks", type=int, default=3000)
    arguments = parser.parse_args()
    panel = made_panel(252 * arguments.years, arguments.stocks)
    scores = np.random.default_rng(1).normal(size=panel.member.shape)
    returns = panel.forward_returns()
    report: dict[str, Any] = {"years": arguments.years, "stocks": arguments.stocks}
    report |= {"cores": os.cpu_count(), "load_before": round(os.getloadavg()[0], 2)}
    portfolio = PortfolioConfig(rule="long_short", top_k=50)
    report["weights"], weights = timed(
        lambda: target_weights(scores, portfolio, tradable=panel.tradable)
    )
    report["backtest"], traded = timed(lambda: backtest(weights, panel))
    report["summary"], _ = timed(lambda: traded.summary(10.0, borrow_bps=50.0))
    report["ic"], _ = timed(lambda: information_coefficient(scores, returns))
    report["rank_ic"], _ = timed(lambda: rank_information_coefficient(scores, returns))
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
