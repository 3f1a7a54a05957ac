"""Batches decide what is learned: a day left out, or one of the test, would not be noticed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.cross_sections import CrossSections, SectionConfig
from tsfm.stocks.simulation import SimulationConfig
from tsfm.stocks.split import SplitConfig, SplitDays
from tsfm.stocks.stream import (
    DayStream,
    PanelConfig,
    StockStream,
    StockStreamConfig,
    panel_inputs,
    read_panel,
)
from tsfm.stocks.universe import UniverseConfig
from tsfm.training.stream import STREAMS, BatchStream

MakeSections = Callable[..., CrossSections]
SPLIT = SplitDays(np.arange(20, 50), np.arange(55, 70), np.arange(75, 85))


@pytest.fixture
def config() -> StockStreamConfig:
    return StockStreamConfig(
        panel=PanelConfig(simulation=SimulationConfig(n_stocks=5, n_days=80)),
        windows=SectionConfig(context_length=8),
        split=SplitConfig(validation_start="2013-03-20", test_start="2013-04-10"),
    )


def day_of(sections: CrossSections, batch: object, days: np.ndarray) -> int:
    """The day of a batch, known by its forward returns."""
    stocks, returns = batch.stock.numpy(), batch.forward_return.numpy()  # type: ignore[attr-defined]
    rows = sections.forward_returns[days][:, stocks].astype(np.float32)
    (place,) = np.flatnonzero((np.isclose(rows, returns, equal_nan=True)).all(axis=1))
    return int(days[place])


def test_every_training_day_comes_once_per_epoch_in_a_new_order(
    make_sections: MakeSections,
) -> None:
    sections = make_sections()
    stream = DayStream(sections, SPLIT, seed=0)
    epochs = [
        [day_of(sections, stream(number), SPLIT.train) for number in range(first, first + 30)]
        for first in (0, 30)
    ]
    assert stream.batches_per_epoch == 30
    assert sorted(epochs[0]) == sorted(epochs[1]) == SPLIT.train.tolist()
    assert epochs[0] != epochs[1] != sorted(epochs[1])


def test_a_number_always_gives_the_same_batch(make_sections: MakeSections) -> None:
    sections = make_sections()
    first, again = (DayStream(sections, SPLIT, stocks_per_batch=3, seed=4) for _ in range(2))
    for _ in range(5):
        first(0)
    for number in (33, 2, 17):
        np.testing.assert_array_equal(first(number).values, again(number).values)
    other = DayStream(sections, SPLIT, stocks_per_batch=3, seed=4, process=1)
    assert any(not np.array_equal(first(number).stock, other(number).stock) for number in range(5))


def test_some_stocks_of_a_day_are_all_stocks_in_time(make_sections: MakeSections) -> None:
    stream = DayStream(make_sections(), SPLIT, stocks_per_batch=3, seed=0)
    seen = [stream(number).stock.tolist() for number in range(30)]
    assert all(len(set(stocks)) == 3 for stocks in seen)
    assert set().union(*seen) == set(range(8))


def test_validation_spreads_over_its_own_days(make_sections: MakeSections) -> None:
    sections = make_sections()
    stream = DayStream(sections, SPLIT, stocks_per_batch=2, seed=0)
    days = [day_of(sections, stream.validation(number), SPLIT.validation) for number in range(10)]
    assert len(set(days)) > 7
    np.testing.assert_array_equal(stream.validation(3).values, stream.validation(3).values)
    assert len(stream.validation(0)) > 2


def test_days_without_two_stocks_are_left_out(make_sections: MakeSections) -> None:
    early = SplitDays(np.arange(0, 20), SPLIT.validation, SPLIT.test)
    sections = make_sections()
    stream = DayStream(sections, early, seed=0)
    assert stream.batches_per_epoch == (sections.eligible[:20].sum(axis=1) > 1).sum() < 20


def test_the_stream_of_a_recipe_is_a_batch_stream(config: StockStreamConfig) -> None:
    stream = STREAMS["stocks"](config, seed=0)
    assert isinstance(stream, BatchStream)
    assert isinstance(stream, StockStream)
    assert stream.context_length == 8
    assert stream.trained_on == ()
    assert stream.inputs == ()
    assert stream.synthetic_share == 1.0
    assert stream(0).values.shape == (5, 8, 5)


def test_a_card_is_named_with_its_checksum() -> None:
    (found,) = panel_inputs(PanelConfig(dataset="stock_acl18"))
    assert found.name == "stock_acl18"
    assert len(found.digest) == 64


def test_a_simulated_panel_is_cut_to_its_dates() -> None:
    simulation = SimulationConfig(n_stocks=2, n_days=60)
    panel = read_panel(PanelConfig(simulation=simulation, start="2013-01-10", end="2013-01-18"))
    assert [str(panel.days[0]), str(panel.days[-1])] == ["2013-01-10", "2013-01-18"]
    with pytest.raises(DataError, match="must have days between"):
        read_panel(PanelConfig(simulation=simulation, start="2033-01-10"))


def test_days_without_stocks_are_an_error_that_says_so() -> None:
    config = StockStreamConfig(
        split=SplitConfig(validation_start="2013-03-01", test_start="2013-04-01"),
        windows=SectionConfig(
            context_length=8, universe=UniverseConfig(rule="trailing", min_price=1e9)
        ),
    )
    with pytest.raises(DataError, match="a day must have two stocks of the universe to rank, got"):
        StockStream(config, seed=0)


def test_the_calendar_of_a_file_is_that_of_the_recipe(tmp_path: Path) -> None:
    days = ["2020-01-06", "2020-01-07", "2020-01-11"]
    frame = pl.DataFrame({"date": days, "ticker": "A", "close": [1.0, 2.0, 3.0]})
    frame.write_csv(tmp_path / "bars.csv")
    found = PanelConfig(dataset=str(tmp_path / "bars.csv"), calendar="XNYS")
    with pytest.raises(DataError, match="must be on sessions of XNYS, got 'A' on 2020-01-11"):
        read_panel(found)
    with pytest.raises(ConfigError, match=r"panel\.calendar must be left out of a simulated panel"):
        read_panel(PanelConfig(calendar="XNYS"))
