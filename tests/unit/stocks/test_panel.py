"""A panel that is wrong, or that looks one day ahead, makes every number after it wrong."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.panel import StockBatch, StockPanel

MakePanel = Callable[..., StockPanel]
NAN = float("nan")


def test_forward_returns_at_the_close_begin_with_the_close_of_the_score(
    make_panel: MakePanel,
) -> None:
    panel = make_panel([[100.0], [110.0], [99.0], [NAN], [50.0]])
    found = panel.forward_returns()[:, 0]
    np.testing.assert_allclose(found, [0.1, -0.1, NAN, NAN, NAN])
    np.testing.assert_allclose(
        panel.forward_returns(execution_lag=2)[:, 0], [-0.1, NAN, NAN, NAN, NAN]
    )


def test_forward_returns_at_the_open_begin_with_the_next_open(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0]] * 4, open=[[100.0], [200.0], [300.0], [150.0]])
    np.testing.assert_allclose(panel.forward_returns(fill="open")[:, 0], [0.5, -0.5, NAN, NAN])


def test_a_lag_longer_than_the_panel_leaves_nothing(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0], [2.0]])
    assert np.isnan(panel.forward_returns(execution_lag=5)).all()


def test_a_return_that_the_score_has_seen_is_refused(panel: StockPanel) -> None:
    with pytest.raises(ConfigError, match="execution_lag must be at least 1, got 0"):
        panel.forward_returns(execution_lag=0)


@pytest.mark.parametrize(
    ("close", "message"),
    [
        (
            [[1.0, 2.0], [3.0, 0.0]],
            "close must be positive and finite, got 0.0 of 'B' on 2020-01-07",
        ),
        ([[1.0, np.inf], [3.0, -1.0]], r"got inf of 'B' on 2020-01-06 and 1 more"),
    ],
)
def test_a_price_that_cannot_be_is_named(
    make_panel: MakePanel, close: list[list[float]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make_panel(close)


def test_a_negative_volume_is_named_and_none_is_a_bar(make_panel: MakePanel) -> None:
    make_panel([[1.0]], volume=[[0.0]])
    with pytest.raises(DataError, match=r"volume must be not negative and finite, got -5.0 of 'A'"):
        make_panel([[1.0]], volume=[[-5.0]])


def test_days_that_do_not_ascend_are_refused(panel: StockPanel) -> None:
    with pytest.raises(DataError, match="days must ascend strictly"):
        replace(panel, days=panel.days[::-1])


def test_a_panel_without_a_close_is_refused(panel: StockPanel) -> None:
    with pytest.raises(DataError, match=r"close among them, got \['open', 'high'\]"):
        replace(panel, fields=("open", "high"))
    with pytest.raises(ConfigError, match="the panel must have the field 'vwap', got"):
        panel["vwap"]


def test_the_head_ends_with_its_last_day(panel: StockPanel) -> None:
    head = panel.head(40)
    assert head.n_days == 40
    assert head.days[-1] == panel.days[39]
    np.testing.assert_array_equal(head.bars, panel.bars[:40])
    np.testing.assert_array_equal(head.tradable, panel.tradable[:40])


def test_both_ends_of_a_span_are_included(panel: StockPanel) -> None:
    part = panel.between(str(panel.days[10]), str(panel.days[20]))
    assert part.n_days == 11
    assert panel.between(None, str(panel.days[20])).n_days == 21
    assert panel.between(str(panel.days[10]), None).n_days == panel.n_days - 10
    with pytest.raises(DataError, match="must have days between 1990-01-01 and 1990-02-01"):
        panel.between("1990-01-01", "1990-02-01")
    for start, end in (("2013-13-01", None), (None, "soon")):
        with pytest.raises(ConfigError, match=f"a day such as '2017-01-03', got '{start or end}'"):
            panel.between(start, end)


def test_stocks_are_taken_in_the_order_asked_for(panel: StockPanel) -> None:
    part = panel.take(np.array([5, 2]))
    assert part.stocks == (panel.stocks[5], panel.stocks[2])
    np.testing.assert_array_equal(part["close"], panel["close"][:, [5, 2]])
    np.testing.assert_array_equal(part.sector, panel.sector[[5, 2]])


def test_a_gap_is_filled_from_before_and_never_from_after(make_panel: MakePanel) -> None:
    panel = make_panel([[NAN], [2.0], [NAN], [NAN], [5.0]])
    np.testing.assert_array_equal(panel.last_known("close")[:, 0], [NAN, 2.0, 2.0, 2.0, 5.0])


def test_a_batch_moves_whole(batch: StockBatch) -> None:
    moved = batch.to(torch.device("meta"))
    assert isinstance(moved, StockBatch)
    given = [name for name, value in vars(batch).items() if value is not None]
    assert {"values", "stock", "forward_return"} <= set(given)
    assert all(getattr(moved, name).is_meta for name in given)
    assert len(batch) == len(batch.stock)
