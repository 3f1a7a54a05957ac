"""A panel that the package makes: random walks with sectors, and an edge that can be turned on.

References
----------
The simulated study of SSPT: geometric Brownian paths with a drift of 10 % and yearly volatilities
between 0.1 and 0.55.
"""

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.stocks.columns import FIELDS
from tsfm.stocks.metrics import DAYS_PER_YEAR
from tsfm.stocks.panel import StockPanel

DRIFT, MARKET_VOLATILITY, SECTOR_VOLATILITY = 0.1, 0.12, 0.12


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SimulationConfig:
    """Size and nature of a simulated panel.

    Parameters
    ----------
    volatility
        Lowest and highest yearly volatility of a stock's own moves; equal ends make stocks that
        nothing tells apart but their names.
    reversal
        Share of a stock's own move that the next day takes back: the edge that a ranker can find.
    missing
        Share of the bars that are not there.
    """

    n_stocks: PositiveInt = 16
    n_days: PositiveInt = 500
    n_sectors: PositiveInt = 4
    volatility: tuple[float, float] = (0.1, 0.55)
    reversal: float = Field(default=0.0, ge=0, lt=1)
    missing: float = Field(default=0.0, ge=0, lt=1)
    seed: NonNegativeInt = 0


def simulated_panel(config: SimulationConfig) -> StockPanel:
    """Return the panel; the same config always gives the same one.

    Examples
    --------
    >>> panel = simulated_panel(SimulationConfig(n_stocks=3, n_days=10))
    >>> panel.bars.shape, panel.stocks[0]
    ((10, 3, 5), 'S0000')
    """
    generator = np.random.default_rng(config.seed)
    shape = (config.n_days, config.n_stocks)
    sector = np.arange(config.n_stocks) % config.n_sectors
    daily = DAYS_PER_YEAR**-0.5
    market = generator.normal(0, MARKET_VOLATILITY * daily, (config.n_days, 1))
    by_sector = generator.normal(0, SECTOR_VOLATILITY * daily, (config.n_days, config.n_sectors))
    volatility = generator.uniform(*config.volatility, config.n_stocks) * daily
    own = generator.normal(0, 1, shape) * volatility
    for day in range(1, config.n_days):
        own[day] -= config.reversal * own[day - 1]
    log_close = np.log(50) + np.cumsum(
        DRIFT / DAYS_PER_YEAR + market + by_sector[:, sector] + own, axis=0
    )
    close = np.exp(log_close)
    before = np.vstack([close[:1], close[:-1]])
    opening = before * np.exp(generator.normal(0, 0.2, shape) * volatility)
    wick = np.exp(np.abs(generator.normal(0, 0.3, (2, *shape))) * volatility)
    high, low = np.maximum(opening, close) * wick[0], np.minimum(opening, close) / wick[1]
    usual = generator.uniform(11, 15, config.n_stocks)
    volume = np.round(np.exp(usual + generator.normal(0, 0.4, shape)))
    bars = np.stack([opening, high, low, close, volume], axis=-1)
    bars[generator.random(shape) < config.missing] = np.nan
    has_bar = np.isfinite(bars[..., 0])
    first = np.datetime64("2013-01-01")
    return StockPanel(
        days=np.busday_offset(first, np.arange(config.n_days), roll="forward"),
        stocks=tuple(f"S{number:04d}" for number in range(config.n_stocks)),
        fields=FIELDS,
        bars=bars,
        member=has_bar,
        tradable=has_bar & (volume > 0),
        sector=sector,
        sectors=tuple(f"sector {number}" for number in range(config.n_sectors)),
    )
