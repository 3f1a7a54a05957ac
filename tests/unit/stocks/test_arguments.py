"""What callers give as counts and seeds is checked before anything is computed."""

import pytest

from tsfm.errors import ConfigError
from tsfm.stocks.fitting import RankerConfig
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
