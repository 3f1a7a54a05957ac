"""A universe that knows who survives turns any score into a good one."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.stocks.panel import StockPanel
from tsfm.stocks.universe import UniverseConfig, members, with_members

MakePanel = Callable[..., StockPanel]
NAN = float("nan")


@pytest.fixture
def falling(make_panel: MakePanel) -> StockPanel:
    """A stays, B falls below five on day 2, C stops trading on day 3."""
    return make_panel(
        [[10.0, 6.0, 8.0], [10.0, 6.0, 8.0], [10.0, 4.0, 8.0], [10.0, 6.0, NAN], [10.0, 6.0, NAN]]
    )


def test_the_trailing_rule_knows_only_the_past(falling: StockPanel) -> None:
    found = members(falling, UniverseConfig(rule="trailing", days=2, min_share=0.6))
    np.testing.assert_array_equal(found[:, 0], [True] * 5)
    np.testing.assert_array_equal(found[:, 1], [True, True, False, True, True])
    np.testing.assert_array_equal(found[:, 2], [True, True, True, False, False])


def test_the_trailing_rule_asks_for_enough_days(make_panel: MakePanel) -> None:
    panel = make_panel([[10.0], [NAN], [10.0], [10.0], [10.0]])
    found = members(panel, UniverseConfig(rule="trailing", days=3, min_share=1.0))
    np.testing.assert_array_equal(found[:, 0], [True, False, False, False, True])


def test_a_share_that_is_met_exactly_is_enough(make_panel: MakePanel) -> None:
    # 0.55 of a hundred days is a hair above 55 in floating point.
    close = np.full((100, 1), 10.0)
    close[:45] = NAN
    panel = make_panel(close)
    found = members(panel, UniverseConfig(rule="trailing", days=100, min_share=0.55))
    assert found[99, 0]
    assert not found[98, 0]
    whole = members(panel, UniverseConfig(rule="whole_period", min_share=0.55))
    assert whole[99, 0]


def test_the_whole_period_rule_knows_the_end_on_the_first_day(falling: StockPanel) -> None:
    found = members(falling, UniverseConfig(rule="whole_period"))
    np.testing.assert_array_equal(found, np.tile([True, False, False], (5, 1)))


def test_the_listed_rule_is_the_panels_own(panel: StockPanel) -> None:
    np.testing.assert_array_equal(members(panel, UniverseConfig()), panel.member)
    low = with_members(panel, UniverseConfig(rule="trailing", min_price=1e9))
    assert not low.member.any()
