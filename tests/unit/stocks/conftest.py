"""Small panels and batches that the tests of stocks share."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from tsfm.models.sspt import Sspt, SsptConfig
from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.features import FeatureConfig
from tsfm.stocks.panel import StockBatch, StockPanel
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.universe import UniverseConfig


@pytest.fixture
def panel() -> StockPanel:
    """Eight simulated stocks of three sectors over 90 days; some bars are missing."""
    return simulated_panel(
        SimulationConfig(n_stocks=8, n_days=90, n_sectors=3, missing=0.05, reversal=0.4)
    )


@pytest.fixture
def make_panel() -> Callable[..., StockPanel]:
    """A panel of given closes, days x stocks, on successive weekdays; NaN is no bar."""

    def make(close: Any, **fields: Any) -> StockPanel:
        given = {"close": close, **fields}
        bars = np.stack([np.array(one, np.float64) for one in given.values()], axis=-1)
        has_bar = np.isfinite(bars[..., 0])
        n_days, n_stocks = has_bar.shape
        return StockPanel(
            days=np.busday_offset(np.datetime64("2020-01-06"), np.arange(n_days)),
            stocks=tuple("ABCDEFGH"[:n_stocks]),
            fields=tuple(given),
            bars=bars,
            member=has_bar,
            tradable=has_bar,
            sector=np.full(n_stocks, -1),
        )

    return make


@pytest.fixture
def make_sections(panel: StockPanel) -> Callable[..., CrossSections]:
    """The cross-sections of `panel` with windows of eight days; options by section."""

    def make(
        features: dict[str, Any] | None = None,
        universe: dict[str, Any] | None = None,
        of: StockPanel | None = None,
        **options: Any,
    ) -> CrossSections:
        config = SectionConfig(
            **{"context_length": 8, "min_observed": 0.7} | options,
            features=FeatureConfig(**{"averages": (3, 5)} | (features or {})),
            universe=UniverseConfig(**universe or {}),
        )
        return cross_sections(panel if of is None else of, config)

    return make


@pytest.fixture
def batch(make_sections: Callable[..., CrossSections]) -> StockBatch:
    """The cross-section of a day on which some windows have gaps, and all returns are known."""
    return make_sections().batch(46)


@pytest.fixture
def backbone() -> Sspt:
    """A small SSPT for three features, none of whose weights is zero, in evaluation mode."""
    config = SsptConfig(n_channels=3, context_length=8, d_model=8, d_ff=12, n_heads=2)
    model = Sspt(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return model.eval()


@pytest.fixture
def bars() -> pl.DataFrame:
    """Two stocks over four sessions; B misses one, and its last has no volume."""
    days = ["2020-01-06", "2020-01-07", "2020-01-08", "2020-01-09"]
    first = {"item_id": "A", "timestamp": days, "close": [10.0, 11, 12, 13], "volume": [5, 5, 5, 5]}
    second = {
        "item_id": "B",
        "timestamp": [days[0], days[1], days[3]],
        "close": [20.0, None, 22],
        "volume": [9, 9, 0],
    }
    frame = pl.concat([pl.DataFrame(first), pl.DataFrame(second)])
    return frame.with_columns(
        pl.col("timestamp").str.to_date(),
        pl.col("item_id").replace_strict({"A": "tech", "B": "n/a"}).alias("sector"),
    )
