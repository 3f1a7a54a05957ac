"""Cheap rivals that stand in every table: market, random picks, reversal, momentum, ridge."""

from dataclasses import dataclass

import numpy as np

from tsfm.shapes import Bool, Float32, Float64, Int, ndarray
from tsfm.stocks.backtest import BacktestReport, simulate
from tsfm.stocks.cross_sections import CrossSections
from tsfm.stocks.metrics import information_coefficient, mean_of
from tsfm.stocks.selection import held_without_scores

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Candidates, as multiples of the mean variance of the inputs."""


def equal_weights(
    sections: CrossSections, days: Int[ndarray, " test_day"]
) -> Float64[ndarray, "day stock"]:
    """Return the market: equal weights of all that could be selected, NaN on other days."""
    weights = np.full(sections.eligible.shape, np.nan)
    chosen = sections.selectable[days]
    weights[days] = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
    return held_without_scores(weights, sections.eligible, days)


def random_picks(
    sections: CrossSections,
    days: Int[ndarray, " test_day"],
    *,
    top_k: int,
    n_portfolios: int,
    generator: np.random.Generator,
    delisting_return: float = 0.0,
) -> BacktestReport:
    """Return portfolios that draw `top_k` stocks anew every day: what luck looks like."""

    def target(day: int) -> Float64[ndarray, "portfolio stock"] | None:
        if day != days[0] and not sections.eligible[day].any():
            return None
        chance = generator.random((n_portfolios, sections.panel.n_stocks), dtype=np.float32)
        chance[:, ~sections.selectable[day]] = 2.0
        n_held = min(top_k, int(sections.selectable[day].sum()))
        weights = np.zeros(chance.shape)
        if n_held:
            picks = np.argpartition(chance, n_held - 1, axis=1)[:, :n_held]
            np.put_along_axis(weights, picks, 1 / n_held, axis=1)
        return weights

    config = sections.config
    return simulate(
        target,
        sections.panel,
        days,
        execution_lag=config.execution_lag,
        fill=config.fill,
        delisting_return=delisting_return,
    )


def reversal(sections: CrossSections) -> Float64[ndarray, "day stock"]:
    """Return minus the day's own return: what fell most is best."""
    close = sections.panel["close"]
    scores = np.full(close.shape, np.nan)
    scores[1:] = 1 - close[1:] / close[:-1]
    return _kept(scores, sections)


def momentum(
    sections: CrossSections, *, days: int = 252, skipped: int = 21
) -> Float64[ndarray, "day stock"]:
    """Return the return of a year without its last month."""
    close = sections.panel.last_known("close")
    scores = np.full(close.shape, np.nan)
    scores[days:] = close[days - skipped : -skipped or None] / close[:-days] - 1
    return _kept(scores, sections)


@dataclass(frozen=True)
class RidgeRanker:
    """A linear map from the features of a window to the forward return, in closed form.

    It sees exactly what the network sees, leaks included.
    """

    weights: Float64[ndarray, " input"]
    bias: float
    penalty: float

    @classmethod
    def fit(
        cls,
        sections: CrossSections,
        train: Int[ndarray, " train_day"],
        validation: Int[ndarray, " validation_day"],
    ) -> "RidgeRanker":
        """Fit on training days; the penalty has the best information coefficient in validation."""
        n_inputs = sections.config.context_length * sections.features.levels.shape[2]
        gram, product = np.zeros((n_inputs + 1, n_inputs + 1)), np.zeros(n_inputs + 1)
        count = 0
        for day in train:
            stocks = np.flatnonzero(known_returns(sections, int(day)))
            inputs = window_inputs(sections, int(day), stocks).astype(np.float64)
            rows = np.concatenate([inputs, np.ones((len(stocks), 1))], axis=1)
            gram += rows.T @ rows
            product += rows.T @ sections.forward_returns[day, stocks]
            count += len(stocks)
        mean, target = gram[-1, :-1] / max(count, 1), product[-1] / max(count, 1)
        covariance = gram[:-1, :-1] / max(count, 1) - np.outer(mean, mean)
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, 0.0)
        projected = vectors.T @ (product[:-1] / max(count, 1) - mean * target)
        size = max(float(values.mean()), np.finfo(np.float64).tiny)
        candidates = []
        for penalty in PENALTIES:
            weights = vectors @ (projected / (values + penalty * size))
            candidates.append(cls(weights, float(target - mean @ weights), penalty))
        found = [
            mean_of(
                information_coefficient(
                    one.predict(sections, validation)[validation],
                    sections.forward_returns[validation],
                    sections.panel.tradable[validation],
                )
            )
            for one in candidates
        ]
        return candidates[int(np.argmax(np.nan_to_num(found, nan=-np.inf)))]

    def predict(
        self, sections: CrossSections, days: Int[ndarray, " asked"]
    ) -> Float64[ndarray, "day stock"]:
        """Return scores on `days`, NaN elsewhere."""
        scores = np.full(sections.eligible.shape, np.nan)
        for day in days:
            stocks = np.flatnonzero(sections.eligible[day])
            scores[day, stocks] = (
                window_inputs(sections, int(day), stocks) @ self.weights + self.bias
            )
        return scores


def known_returns(sections: CrossSections, day: int) -> Bool[ndarray, " stock"]:
    """Return the stocks that can be learned from on a day: selectable, with a forward return."""
    known: ndarray = sections.selectable[day] & np.isfinite(sections.forward_returns[day])
    return known


def window_inputs(
    sections: CrossSections, day: int, stocks: Int[ndarray, " row"]
) -> Float32[ndarray, "row input"]:
    """Return the features of each window in a row."""
    values, _, _ = sections.features.window(day, stocks, sections.config.context_length)
    # Without a stock, as when all are closed, the size of a row cannot be told from the others.
    return values.reshape(len(stocks), values.shape[1] * values.shape[2])


def _kept(
    scores: Float64[ndarray, "day stock"], sections: CrossSections
) -> Float64[ndarray, "day stock"]:
    return np.where(sections.eligible, scores, np.nan)
