"""What callers give as counts and seeds is checked before anything is computed."""

import polars as pl
import pytest

from tsfm.errors import ConfigError
from tsfm.stocks.fitting import RankerConfig
from tsfm.stocks.phases import PhaseConfig
from tsfm.stocks.ranker import StockRanker
from tsfm.stocks.simulation import SimulationConfig, simulated_panel
from tsfm.stocks.split import SplitConfig


def test_a_negative_seed_of_a_ranker_is_refused() -> None:
    panel = simulated_panel(SimulationConfig(n_stocks=6, n_days=60))
    split = SplitConfig(validation_start="2013-02-20", test_start="2013-03-05")
    with pytest.raises(ConfigError, match=r"^seed must be a whole number of at least 0, got -1$"):
        StockRanker.fit(panel, split, RankerConfig(), seed=-1)


def test_a_negative_seed_of_a_simulation_is_refused() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        SimulationConfig(seed=-1)


def test_a_negative_count_of_days_to_rank_is_refused() -> None:
    panel = simulated_panel(SimulationConfig(n_stocks=6, n_days=60))
    split = SplitConfig(validation_start="2013-02-20", test_start="2013-03-05")
    untrained = PhaseConfig(epochs=0)
    config = RankerConfig(pretext={}, finetune=untrained)
    ranker = StockRanker.fit(panel, split, config)
    bars = pl.DataFrame(
        {"item_id": "A", "timestamp": panel.days, "close": panel["close"][:, 0]},
    )
    with pytest.raises(ConfigError, match="n_days must be a whole number of at least 0, got -1"):
        ranker.rank(bars, n_days=-1)
