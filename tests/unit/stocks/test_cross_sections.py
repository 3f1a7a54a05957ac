"""Who is scored on a day must be known on that day, and every field of a batch must be of it."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.stocks.cross_sections import CrossSections, SectionConfig, cross_sections
from tsfm.stocks.panel import StockPanel

MakeSections = Callable[..., CrossSections]
NAN = float("nan")


def test_a_stock_needs_enough_closes_and_one_today(make_panel: Callable[..., StockPanel]) -> None:
    panel = make_panel([[1.0], [1.0], [NAN], [1.0], [1.0], [1.0], [NAN]])
    strict = cross_sections(panel, SectionConfig(context_length=3))
    np.testing.assert_array_equal(strict.eligible[:, 0], [False] * 5 + [True, False])
    loose = cross_sections(panel, SectionConfig(context_length=3, min_observed=2 / 3))
    np.testing.assert_array_equal(
        loose.eligible[:, 0], [False, True, False, True, True, True, False]
    )


def test_a_batch_is_the_day_it_was_asked_for(
    make_sections: MakeSections, panel: StockPanel
) -> None:
    sections = make_sections(universe={"rule": "trailing", "min_price": 0.0, "min_share": 0.5})
    day = 50
    batch = sections.batch(day)
    stocks = batch.stock.numpy()
    np.testing.assert_array_equal(stocks, np.flatnonzero(sections.eligible[day]))
    np.testing.assert_array_equal(batch.item, batch.stock)
    np.testing.assert_array_equal(batch.sector, panel.sector[stocks])
    np.testing.assert_array_equal(batch.tradable, panel.tradable[day, stocks])
    np.testing.assert_allclose(
        batch.forward_return, panel.forward_returns()[day, stocks].astype(np.float32)
    )
    assert batch.values.shape == (len(stocks), 8, 3)
    assert not batch.values[~batch.observed].any()
    assert (batch.observed <= batch.inside[..., None]).all()
    few = sections.batch(day, stocks[[2, 0]])
    np.testing.assert_array_equal(few.values, batch.values[[2, 0]])


def test_only_members_that_trade_can_be_selected(make_sections: MakeSections) -> None:
    sections = make_sections()
    assert not (sections.selectable & ~sections.panel.tradable).any()
    assert not (sections.selectable & ~sections.eligible).any()
    nobody = make_sections(universe={"rule": "trailing", "min_price": 1e9})
    assert not nobody.eligible.any()


def test_labels_follow_the_configured_execution(
    make_sections: MakeSections, panel: StockPanel
) -> None:
    sections = make_sections(execution_lag=2, fill="open")
    np.testing.assert_array_equal(
        sections.forward_returns, panel.forward_returns(execution_lag=2, fill="open")
    )


@pytest.mark.parametrize("first_day", [0, 30, 89])
def test_late_days_do_not_depend_on_the_first_that_is_asked_for(
    make_sections: MakeSections, panel: StockPanel, first_day: int
) -> None:
    whole = make_sections()
    late = cross_sections(panel, whole.config, first_day=first_day)
    assert not late.eligible[:first_day].any()
    np.testing.assert_array_equal(late.eligible[first_day:], whole.eligible[first_day:])
    np.testing.assert_array_equal(late.batch(89).values, whole.batch(89).values)
