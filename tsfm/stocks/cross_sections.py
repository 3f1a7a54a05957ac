"""Cross-sections: all stocks of a day that can be scored, as one batch."""

from dataclasses import dataclass as plain_dataclass
from dataclasses import field

import numpy as np
import torch
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.stocks.features import FeatureConfig, StockFeatures, make_features
from tsfm.stocks.panel import Fill, StockBatch, StockPanel
from tsfm.stocks.universe import UniverseConfig, with_members


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class SectionConfig:
    """What is shown of a stock on a day, and what its score earns.

    Parameters
    ----------
    context_length
        Trading days of a window.
    min_observed
        Share of them that must have a close, the last day always.
    execution_lag, fill
        See `StockPanel.forward_returns`.
    """

    context_length: PositiveInt = 16
    min_observed: float = Field(default=1.0, gt=0, le=1)
    execution_lag: PositiveInt = 1
    fill: Fill = "close"
    features: FeatureConfig = field(default_factory=FeatureConfig)
    universe: UniverseConfig = field(default_factory=UniverseConfig)


@plain_dataclass(frozen=True)
class CrossSections:
    """A panel whose days can be asked for as batches.

    Parameters
    ----------
    panel
        With the members of the configured rule.
    eligible
        True where a stock is a member and its window has enough closes.
    """

    config: SectionConfig
    panel: StockPanel
    features: StockFeatures
    eligible: Bool[ndarray, "day stock"]
    forward_returns: Float64[ndarray, "day stock"]

    @property
    def selectable(self) -> Bool[ndarray, "day stock"]:
        """Stocks that a portfolio may be told to hold: eligible and traded on the day."""
        return self.eligible & self.panel.tradable

    def batch(self, day: int, stocks: Int[ndarray, " row"] | None = None) -> StockBatch:
        """Return the cross-section of a day.

        Parameters
        ----------
        stocks
            Which of them; by default all that are eligible.
        """
        if stocks is None:
            stocks = np.flatnonzero(self.eligible[day])
        values, observed, inside = self.features.window(day, stocks, self.config.context_length)
        stock = torch.from_numpy(stocks.astype(np.int64))
        return StockBatch(
            torch.from_numpy(values),
            torch.from_numpy(observed),
            torch.from_numpy(inside),
            stock,
            stock=stock,
            sector=torch.from_numpy(self.panel.sector[stocks].astype(np.int64)),
            forward_return=torch.from_numpy(self.forward_returns[day, stocks].astype(np.float32)),
            tradable=torch.from_numpy(self.panel.tradable[day, stocks]),
        )


def cross_sections(
    panel: StockPanel, config: SectionConfig, *, first_day: int = 0
) -> CrossSections:
    """Apply the rules of `config` to a panel.

    Parameters
    ----------
    first_day
        Earlier days have nobody eligible, which saves time when they are not asked for.
    """
    panel = with_members(panel, config.universe)
    has_close = np.isfinite(panel["close"])
    count = np.cumsum(has_close, axis=0)
    count[config.context_length :] -= count[: -config.context_length].copy()
    # A share of a whole number may come out a hair above it.
    needed = config.min_observed * config.context_length - 1e-9
    eligible = panel.member & has_close & (count >= needed)
    eligible[:first_day] = False
    first_row = max(0, first_day - config.context_length + 1)
    return CrossSections(
        config,
        panel,
        make_features(panel, config.features, first_row=first_row),
        eligible,
        panel.forward_returns(execution_lag=config.execution_lag, fill=config.fill),
    )
