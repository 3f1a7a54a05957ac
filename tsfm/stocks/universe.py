"""Who is in the universe on a day: by what was known that day, or as released with hindsight."""

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.shapes import Bool, ndarray
from tsfm.stocks.columns import RAW_CLOSE
from tsfm.stocks.panel import StockPanel


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class UniverseConfig:
    """Rule of membership.

    Parameters
    ----------
    rule
        ``"listed"``: the panel's own members. ``"trailing"``: of those, who traded on enough of
        the last `days` days and has a price of at least `min_price`; nothing later counts.
        ``"whole_period"``: who did so on the days of the whole panel, as RSR and SSPT are
        released: look-ahead, since it knows on the first day who will be there on the last.
    min_share
        Of the days.
    min_price
        Of the close that was traded, where the panel has one beside the adjusted one, which knows
        of splits and dividends to come; otherwise of the close as it is.
    """

    rule: Literal["listed", "trailing", "whole_period"] = "listed"
    min_share: float = Field(default=0.98, ge=0, le=1)
    min_price: float = Field(default=5.0, ge=0)
    days: PositiveInt = 60

    @property
    def looks_ahead(self) -> bool:
        """Whether who is in the universe depends on what comes after the day."""
        return self.rule == "whole_period"


def members(panel: StockPanel, config: UniverseConfig) -> Bool[ndarray, "day stock"]:
    """Return who is in the universe, by day."""
    if config.rule == "listed":
        return panel.member
    close = panel["close"]
    has_close = np.isfinite(close)
    if RAW_CLOSE in panel.fields:
        close = np.where(np.isfinite(panel[RAW_CLOSE]), panel[RAW_CLOSE], close)
    if config.rule == "whole_period":
        lowest = np.fmin.reduce(close, axis=0)
        stays = (has_close.mean(axis=0) >= config.min_share) & (lowest >= config.min_price)
        return panel.member & stays
    count = np.cumsum(has_close, axis=0)
    count[config.days :] -= count[: -config.days].copy()
    n_days = np.minimum(np.arange(1, len(close) + 1), config.days)[:, None]
    # A share of a whole number may come out a hair above it.
    is_liquid = count >= config.min_share * n_days - 1e-9
    # A comparison with NaN is False, so a day without a close is a day outside.
    return panel.member & is_liquid & (close >= config.min_price)


def with_members(panel: StockPanel, config: UniverseConfig) -> StockPanel:
    """Return the panel with the members of the rule."""
    return replace(panel, member=members(panel, config))
