"""Volatility and value at risk of the next day: zero-shot quantiles beside EWMA, HAR and history.

    TSFM_DATA=… python benchmarks/reproduce/volatility.py

Every stock of a panel, every day of its last years; what was forecast for a day has seen the days
before it alone. The variance of a model is that of its quantiles.
"""

import argparse
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
from tables import Score, Table, arguments

from tsfm.stocks.panel import StockPanel
from tsfm.stocks.risk import (
    christoffersen,
    ewma_variance,
    filtered_value_at_risk,
    har_variance,
    kupiec,
    qlike,
)
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.walk_forward import may_have_seen
from tsfm.tasks.forecast import Forecaster

DATASETS = {
    "stock_us20_1990_2017": ("20 US stocks", "2014-01-02"),
    "stock_dj30_1962_2015": ("30 US stocks of the Dow", "2012-01-03"),
}
LEVELS = (0.01, 0.05)
# Quantiles whose mean square is the variance of a model.
GRID = tuple((np.arange(100) + 0.5) / 100)
CONTEXT, HISTORY = 512, 500
FILTERED = ", filtered"
NOTES = (
    """Log returns of adjusted closes, one day ahead. QLIKE is the mean of log(variance) + square /
variance, lower is better; exceeded is the share of days whose return was below its value at risk;
"rejected" are the shares of stocks for which the test of Kupiec (as many as promised?) or of
Christoffersen (and one by one?) says no at 5 %: of right forecasts, one in twenty.""",
    """EWMA has a decay of 0.94; HAR is a regression on mean squares of a day, a week and a month,
fitted per stock before the test; both say a value at risk by the quantile of a normal distribution.
History: the quantile and the mean square of the last 500 days. "filtered": the quantile of the last
500 returns, each in units of the standard deviation foretold for it, times that of the day. The
bundled model is asked without
any fit; its training data hold no daily stock returns, but hourly prices of a few of these stocks
and values of the same years.""",
)


def main() -> None:
    """Score what is not in the table yet, and write the page."""
    parser = arguments("volatility", __doc__.splitlines()[0])
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--model", default="tsfm-small")
    options = parser.parse_args()
    table = Table(
        "volatility",
        title="Volatility and value at risk, one day ahead",
        notes=NOTES,
        options=options,
        average=False,
    )
    with table:
        for name in options.datasets:
            title, first = DATASETS[name]
            if not table.has(dataset=title, model=options.model):
                table.add(*of_panel(name, title, first, options))


def of_panel(name: str, title: str, first: str, options: argparse.Namespace) -> Iterator[Score]:
    """Yield the scores of every model on a panel."""
    if options.smoke:
        panel = simulated_panel(SimulationConfig(n_stocks=3, n_days=140))
        first = str(panel.days[-30])
    else:
        panel = StockPanel.from_card(name)
    close = panel["close"]
    returns = np.log(close[1:] / close[:-1])
    start = int(np.searchsorted(panel.days[1:], np.datetime64(first)))
    returns = returns[:, np.isfinite(returns[start:]).all(axis=0)]
    for model, (variance, at_risk) in forecasts(returns, start, options.model).items():
        key: dict[str, Any] = {"dataset": title, "model": model, "label": "rival"}
        if model.startswith(options.model):
            key["label"] = label_of(options.model, panel.days[start + 1 :])
        for level, limits in at_risk.items():
            yield from of_risk(key, returns[start:] < limits, level)
        if model.endswith(FILTERED):
            continue  # the variance is that of the row before
        losses = qlike(np.maximum(variance, 1e-10), returns[start:] ** 2)
        yield Score(**key, metric="variance", setting="QLIKE", value=float(np.nanmean(losses)))


def of_risk(key: dict[str, Any], exceeded: np.ndarray, level: float) -> Iterator[Score]:
    """Yield how often a value at risk was exceeded, and for how many stocks that is rejected."""
    coverage = [kupiec(one, level).p_value < 0.05 for one in exceeded.T]
    both = [christoffersen(one, level)[1].p_value < 0.05 for one in exceeded.T]
    values = {
        "exceeded": exceeded.mean(),
        "Kupiec rejected": np.mean(coverage),
        "Christoffersen rejected": np.mean(both),
    }
    for setting, value in values.items():
        metric = f"value at risk, {level:.0%}"
        yield Score(**key, metric=metric, setting=setting, value=float(value))


def forecasts(
    returns: np.ndarray, start: int, model: str
) -> dict[str, tuple[np.ndarray, dict[float, np.ndarray]]]:
    """Return variance and value at risk by model, for every day from `start` on."""
    n_before = min(HISTORY, start // 2)
    days = np.arange(start - n_before, len(returns))
    variance, risks = of_model(returns, days, model)
    normal = {level: NormalDist().inv_cdf(level) for level in LEVELS}
    variances = {
        model: variance,
        "EWMA": ewma_variance(returns)[days - 1],
        "HAR": har_variance(returns, start)[days - 1],
    }
    found = {}
    for name, one in variances.items():
        scale = np.sqrt(one)
        said = risks if name == model else {level: z * scale for level, z in normal.items()}
        found[name] = (one[n_before:], {level: value[n_before:] for level, value in said.items()})
        filtered = {
            level: filtered_value_at_risk(returns[days], scale, level, n_days=n_before)[n_before:]
            for level in LEVELS
        }
        found[name + FILTERED] = (one[n_before:], filtered)
    days = days[n_before:]
    past = np.stack([returns[max(0, day - HISTORY) : day][-min(HISTORY, start) :] for day in days])
    risks = {level: np.nanquantile(past, level, axis=1) for level in LEVELS}
    found["history"] = (np.nanmean(past**2, axis=1), risks)
    return found


def of_model(
    returns: np.ndarray, days: np.ndarray, model: str
) -> tuple[np.ndarray, dict[float, np.ndarray]]:
    """Return variance and value at risk from the quantiles of a forecaster."""
    forecaster = Forecaster.from_pretrained(model)
    asked = tuple(dict.fromkeys((*LEVELS, *map(float, GRID))))
    quantiles = np.empty((len(asked), len(days), returns.shape[1]))
    for stock in range(returns.shape[1]):
        contexts = [returns[max(0, day - CONTEXT) : day, stock] for day in days]
        offsets = np.cumsum([0, *map(len, contexts)])
        values = np.concatenate(contexts)[:, None]
        said = forecaster.forecast_arrays(values, offsets, 1, asked)
        quantiles[:, :, stock] = said[:, :, 0, 0].T
    place = [asked.index(float(level)) for level in GRID]
    variance = (quantiles[place] ** 2).mean(axis=0)
    return variance, {level: quantiles[asked.index(level)] for level in LEVELS}


def label_of(model: str, days: np.ndarray) -> str:
    """Say whether the model may have seen the time of the test, though not these series."""
    provenance = Forecaster.from_pretrained(model).model.provenance
    return "zero-shot, of a time seen" if may_have_seen(provenance, days).any() else "zero-shot"


if __name__ == "__main__":
    main()
