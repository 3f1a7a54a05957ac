"""Rules that turn scores into the weights that a portfolio wants after each day."""

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.shapes import Bool, Float, Float64, Int, ndarray
from tsfm.stocks.panel import StockPanel
from tsfm.stocks.selection import hold_best, hold_both

Rule = Literal["top_k", "long_short", "quantile", "quantile_long_short"]


def _none_or_several(n_days: int) -> int:
    if n_days == 1:
        raise ValueError("one day has no volatility, so that nothing could be held; ask for 2 days")
    return n_days


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PortfolioConfig:
    """What is held.

    Parameters
    ----------
    rule
        ``"top_k"``: the best scores, in equal weights. ``"quantile"``: the best of `n_quantiles`
        equal parts of a day's stocks. With ``long_short``, half of the wealth is long in these and
        half short in as many of the worst.
    sector_neutral
        Apply the rule within each sector (`top_k` stocks of each), weighted by its share of the
        day's stocks. Stocks of unknown sector are a sector.
    volatility_days
        Weights go as one over the volatility of so many trailing days, each side's sum kept; 0 for
        equal weights. One day has no volatility. Stocks without half of these days are not held.
    max_turnover
        Most that is bought plus sold in a day; see `backtest`.
    """

    rule: Rule = "top_k"
    top_k: PositiveInt = 5
    n_quantiles: int = Field(default=5, ge=2)
    sector_neutral: bool = False
    volatility_days: Annotated[int, Field(ge=0), AfterValidator(_none_or_several)] = 0
    max_turnover: float | None = Field(default=None, gt=0)


def target_weights(
    scores: Float[ndarray, "day stock"],
    config: PortfolioConfig,
    *,
    tradable: Bool[ndarray, "day stock"] | None = None,
    sector: Int[ndarray, " stock"] | None = None,
    volatility: Float[ndarray, "day stock"] | None = None,
) -> Float64[ndarray, "day stock"]:
    """Return the weights of each day; a day without a score is cash.

    Parameters
    ----------
    scores
        NaN where a stock cannot be held.
    tradable
        On the day of the score.
    sector
        Needed by `sector_neutral`; see `StockPanel.sector`.
    volatility
        Needed by `volatility_days`; see `trailing_volatility`.

    Raises
    ------
    ConfigError
        When sectors or volatilities are needed and not there.

    Examples
    --------
    >>> scores = np.array([[4.0, 3.0, 2.0, 1.0]])
    >>> target_weights(scores, PortfolioConfig(rule="quantile_long_short", n_quantiles=2)).tolist()
    [[0.25, 0.25, -0.25, -0.25]]
    """
    kept = np.isfinite(scores) if tradable is None else np.isfinite(scores) & tradable
    if config.volatility_days:
        if volatility is None:
            raise ConfigError(
                "volatility must be given for volatility_days, got None; pass trailing_volatility"
            )
        kept = kept & (volatility > 0)
    groups = [np.ones(scores.shape[1], bool)]
    if config.sector_neutral:
        if sector is None or (sector < 0).all():
            raise ConfigError(
                "sector must be known for sector_neutral, got no sectors; name the sector column"
            )
        groups = [sector == one for one in np.unique(sector)]
    total = np.maximum(kept.sum(axis=1, keepdims=True), 1)
    weights = np.zeros(scores.shape)
    for group in groups:
        of_group = kept & group
        part = _by_rule(scores, of_group, config)
        if config.volatility_days and volatility is not None:
            part = _scaled(part, np.where(of_group, volatility, 1.0))
        weights += part * of_group.sum(axis=1, keepdims=True) / total
    return weights


def trailing_volatility(panel: StockPanel, n_days: int) -> Float64[ndarray, "day stock"]:
    """Return the daily volatility of the last `n_days` log returns, that of the day included.

    NaN where fewer than half of them, or than two, are known.
    """
    close = panel["close"]
    moves = np.full(close.shape, np.nan)
    moves[1:] = np.log(close[1:] / close[:-1])
    known = np.isfinite(moves)
    clean = np.where(known, moves, 0.0)
    count, total, squares = (_rolling(one, n_days) for one in (known, clean, clean**2))
    enough = count >= max(2, n_days / 2)
    count = np.maximum(count, 2)
    variance = np.maximum(squares - total**2 / count, 0.0) / (count - 1)
    return np.where(enough, np.sqrt(variance), np.nan)


def _by_rule(
    scores: Float[ndarray, "day stock"], kept: Bool[ndarray, "day stock"], config: PortfolioConfig
) -> Float64[ndarray, "day stock"]:
    if config.rule in ("top_k", "long_short"):
        n_held = np.full(len(scores), config.top_k)
    else:
        n_held = np.maximum(1, kept.sum(axis=1) // config.n_quantiles)
    hold = hold_best if config.rule in ("top_k", "quantile") else hold_both
    return hold(scores, kept, n_held)


def _scaled(
    weights: Float[ndarray, "day stock"], volatility: Float[ndarray, "day stock"]
) -> Float64[ndarray, "day stock"]:
    """Return weights over volatility, with the sums of both sides as they were."""
    result = np.zeros(weights.shape)
    for side in (np.maximum(weights, 0.0), np.minimum(weights, 0.0)):
        scaled = side / volatility
        size = np.abs(scaled).sum(axis=1, keepdims=True)
        whole = np.abs(side).sum(axis=1, keepdims=True)
        result += scaled * whole / np.where(size > 0, size, 1.0)
    return result


def _rolling(values: ndarray, n_days: int) -> Float64[ndarray, "day stock"]:
    """Return sums over the last `n_days` rows."""
    total: ndarray = np.cumsum(values, axis=0, dtype=np.float64)
    total[n_days:] -= total[:-n_days].copy()
    return total
