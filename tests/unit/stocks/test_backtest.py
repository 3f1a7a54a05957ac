"""A backtest that is a day too early, or too cheap, is the usual way to lose money."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.stocks.backtest import backtest, simulate
from tsfm.stocks.metrics import turnover
from tsfm.stocks.panel import StockPanel, check_execution
from tsfm.stocks.simulation import SimulationConfig, simulated_panel

MakePanel = Callable[..., StockPanel]
NAN = float("nan")


def held(panel: StockPanel, rows: dict[int, list[float]]) -> np.ndarray:
    weights = np.full((panel.n_days, panel.n_stocks), NAN)
    for day, row in rows.items():
        weights[day] = row
    return weights


def test_a_weight_earns_the_return_after_its_day(make_panel: MakePanel) -> None:
    panel = make_panel([[100.0, 10.0], [110.0, 10.0], [110.0, 20.0], [55.0, 20.0]])
    weights = held(panel, {0: [1, 0], 1: [0, 1], 2: [1, 0], 3: [0, 0]})
    report = backtest(weights, panel)
    np.testing.assert_allclose(report.gross[:, 0], [0.1, 1.0, -0.5])
    np.testing.assert_allclose(report.turnover[:, 0], [1, 2, 2])
    np.testing.assert_array_equal(report.days, panel.days[:3])
    late = backtest(weights, panel, execution_lag=2)
    np.testing.assert_allclose(late.gross[:, 0], [0.0, 0.0])


def test_a_fill_at_the_open_waits_for_it(make_panel: MakePanel) -> None:
    opens = [[1.0], [2.0], [3.0], [6.0]]
    panel = make_panel([[9.0]] * 4, open=opens)
    report = backtest(held(panel, {0: [1], 1: [1], 2: [1], 3: [1]}), panel, fill="open")
    np.testing.assert_allclose(report.gross[:, 0], [0.5, 1.0])


@pytest.mark.parametrize(("lag", "fill"), [(1, "close"), (2, "close"), (1, "open"), (3, "open")])
def test_one_stock_earns_its_forward_returns(panel: StockPanel, lag: int, fill: str) -> None:
    whole = simulated_panel(SimulationConfig(n_stocks=3, n_days=40))
    weights = np.tile([0.0, 1.0, 0.0], (40, 1))
    report = backtest(weights, whole, execution_lag=lag, fill=fill)  # type: ignore[arg-type]
    expected = whole.forward_returns(execution_lag=lag, fill=fill)[:, 1]  # type: ignore[arg-type]
    np.testing.assert_allclose(report.gross[:, 0], expected[np.isfinite(expected)])
    np.testing.assert_allclose(report.turnover[1:, 0], 0.0, atol=1e-12)


def test_costs_are_taken_from_all_that_is_traded(make_panel: MakePanel) -> None:
    panel = make_panel([[100.0, 10.0], [110.0, 10.0], [110.0, 20.0]])
    report = backtest(held(panel, {0: [1, 0], 1: [0, 1], 2: [0, 1]}), panel)
    np.testing.assert_allclose(
        report.net(10.0)[:, 0], [1.1 * (1 - 0.001) - 1, 2.0 * (1 - 0.002) - 1]
    )
    np.testing.assert_array_equal(report.net(0.0), report.gross)
    assert report.summary(10.0)["irr"] == pytest.approx(1.1 * 0.999 * 2 * 0.998 - 1)
    assert report.summary(10.0)["turnover"] == pytest.approx(1.5)


def test_turnover_follows_the_drift_of_the_weights(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    report = backtest(held(panel, {0: [0.5, 0.5], 1: [0.5, 0.5], 2: [0.5, 0.5]}), panel)
    # After the first day two thirds are in the stock that doubled: a sixth is sold and bought.
    np.testing.assert_allclose(report.turnover[:, 0], [1.0, 1 / 3])
    assert turnover(np.full((2, 2), 0.5))[1] == 0


def test_what_cannot_be_traded_stays_and_the_rest_makes_room(make_panel: MakePanel) -> None:
    close = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [2.0, 1.0], [2.0, 1.0]]
    panel = make_panel(close)
    halted = panel.tradable.copy()
    halted[1, 0] = False
    panel = replace(panel, tradable=halted)
    rows = {0: [0.6, 0.4], 1: [0.0, 1.0], 2: [0.0, 1.0], 3: [0.0, 1.0], 4: [0, 1]}
    report = backtest(held(panel, rows), panel)
    # On day 1 the first stock cannot be sold: the second gets what is left, which it has.
    np.testing.assert_allclose(report.turnover[:, 0], [1.0, 0.0, 1.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(report.gross[:, 0], 0.0, atol=1e-12)


def test_what_cannot_be_bought_is_cash(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, 1.0], [2.0, NAN], [4.0, 2.0], [4.0, 2.0]])
    report = backtest(held(panel, {0: [0, 0], 1: [0.5, 0.5], 2: [0.5, 0.5], 3: [0, 0]}), panel)
    np.testing.assert_allclose(report.gross[:, 0], [0.0, 0.5, 0.0])
    assert report.turnover[1, 0] == pytest.approx(0.5)


def test_a_gap_is_marked_at_the_last_price(make_panel: MakePanel) -> None:
    panel = make_panel([[10.0], [NAN], [12.0], [12.0]])
    report = backtest(held(panel, {0: [1], 1: [1], 2: [1], 3: [1]}), panel)
    np.testing.assert_allclose(report.gross[:, 0], [0.0, 0.2, 0.0])


def test_a_delisted_stock_becomes_cash(make_panel: MakePanel) -> None:
    panel = make_panel([[10.0, 1.0], [10.0, 1.0], [NAN, 1.0], [NAN, 2.0]])
    rows = {0: [1, 0], 1: [1, 0], 2: [0, 1], 3: [0, 1]}
    report = backtest(held(panel, rows), panel, delisting_return=-0.3)
    np.testing.assert_allclose(report.gross[:, 0], [0.0, -0.3, 1.0])
    np.testing.assert_allclose(report.turnover[:, 0], [1.0, 0.0, 1.0])


@pytest.mark.parametrize("share", [-30.0, NAN])
def test_nobody_loses_more_than_all_of_a_stock(make_panel: MakePanel, share: float) -> None:
    panel = make_panel([[10.0], [10.0], [NAN], [NAN]])
    with pytest.raises(ConfigError, match=r"delisting_return must be at least -1, got .*; -0\.3"):
        backtest(held(panel, {0: [1], 1: [1]}), panel, delisting_return=share)


def test_bought_at_the_open_the_last_close_is_what_is_left(make_panel: MakePanel) -> None:
    opens = [[10.0, 1.0], [100.0, 1.0], [NAN, 1.0], [NAN, 1.0]]
    panel = make_panel([[10.0, 1.0], [5.0, 1.0], [NAN, 1.0], [NAN, 1.0]], open=opens)
    rows = {0: [1, 0], 1: [0, 0]}
    report = backtest(held(panel, rows), panel, fill="open")
    np.testing.assert_allclose(report.gross[0, 0], 5 / 100 - 1)
    taken = backtest(held(panel, rows), panel, fill="open", delisting_return=-0.5)
    np.testing.assert_allclose(taken.gross[0, 0], 2.5 / 100 - 1)


def test_a_day_without_weights_has_no_trade(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, 1.0], [2.0, 1.0], [2.0, 3.0], [2.0, 3.0]])
    report = backtest(held(panel, {0: [0.5, 0.5], 2: [0.5, 0.5]}), panel)
    np.testing.assert_allclose(report.gross[:, 0], [0.5, 2 / 3, 0.0])
    np.testing.assert_allclose(report.turnover[:, 0], [1.0, 0.0, 0.2])


def test_a_portfolio_that_has_lost_all_is_over(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, 1.0], [4.0, 1.0], [1.0, 1.0], [1.0, 2.0]])
    weights = np.tile([-0.5, 0.5], (4, 1))
    report = backtest(weights, panel)
    np.testing.assert_allclose(report.gross[:, 0], [-1.0, 0.0, 0.0])
    np.testing.assert_allclose(report.turnover[:, 0], [1.0, 0.0, 0.0])
    found = report.summary(10.0, borrow_bps=100.0, cash_rate=0.05)
    assert (found["irr"], found["max_drawdown"]) == (-1.0, -1.0)


def test_a_portfolio_that_costs_take_all_from_is_over(make_panel: MakePanel) -> None:
    panel = make_panel(np.ones((5, 2)))
    rows = {day: [day % 2, 1 - day % 2] for day in range(5)}
    report = backtest(held(panel, rows), panel)
    np.testing.assert_allclose(report.turnover[:, 0], [1.0, 2.0, 2.0, 2.0])
    # At 60 % of what is traded the first day costs 60 %, and the second all of what is left.
    np.testing.assert_allclose(report.net(6000.0)[:, 0], [-0.6, -1.0, 0.0, 0.0])
    found = report.summary(6000.0)
    assert (found["irr"], found["max_drawdown"]) == (-1.0, -1.0)


def test_a_portfolio_that_what_it_borrows_takes_all_from_is_over(make_panel: MakePanel) -> None:
    panel = make_panel(np.ones((4, 2)))
    report = backtest(held(panel, {0: [-0.5, 0.5], 1: [0.5, 0.5], 2: [0.5, 0.5]}), panel)
    # Three times what is short, every day: more than all.
    found = report.net(0.0, borrow_bps=252 * 3e4)[:, 0]
    np.testing.assert_allclose(found, [-1.0, 0.0, 0.0])


def test_several_portfolios_are_each_as_alone(panel: StockPanel) -> None:
    generator = np.random.default_rng(0)
    weights = generator.dirichlet(np.ones(panel.n_stocks), (3, panel.n_days))
    together = simulate(lambda day: weights[:, day], panel, np.arange(panel.n_days))
    for number in range(3):
        alone = backtest(weights[number], panel)
        np.testing.assert_allclose(together.gross[:, number], alone.gross[:, 0])
        np.testing.assert_allclose(together.turnover[:, number], alone.turnover[:, 0])
        assert together.summary(5.0, number) == pytest.approx(alone.summary(5.0))


def test_the_market_is_the_mean_stock() -> None:
    panel = simulated_panel(SimulationConfig(n_stocks=5, n_days=50))
    report = backtest(np.full((50, 5), 0.2), panel)
    expected = panel.forward_returns()[:-1].mean(axis=1)
    np.testing.assert_allclose(report.gross[:, 0], expected)


def test_a_cap_spreads_the_trades_over_days(make_panel: MakePanel) -> None:
    panel = make_panel(np.ones((5, 2)))
    rows = {day: [1.0, 0.0] for day in range(5)}
    report = backtest(held(panel, rows), panel, max_turnover=0.4)
    np.testing.assert_allclose(report.turnover[:, 0], [0.4, 0.4, 0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(report.cash[:, 0], [0.6, 0.2, 0.0, 0.0], atol=1e-12)


def test_short_positions_are_borrowed_and_their_proceeds_are_cash(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, 1.0], [1.1, 0.9], [1.1, 0.9]])
    report = backtest(held(panel, {0: [0.5, -0.5], 1: [0, 0], 2: [0, 0]}), panel)
    np.testing.assert_allclose(report.gross[:, 0], [0.1, 0.0])
    np.testing.assert_allclose(report.shorted[:, 0], [0.5, 0.0])
    np.testing.assert_allclose(report.cash[:, 0], [1.0, 1.0])
    net = report.net(0.0, borrow_bps=252.0, cash_rate=0.0252)[:, 0]
    np.testing.assert_allclose(net, [0.1 - 0.5e-4 + 1e-4, 1e-4])


def test_at_break_even_costs_take_the_mean_return(make_panel: MakePanel) -> None:
    panel = make_panel([[1.0, 1.0], [1.1, 1.0], [1.1, 1.05], [1.1, 1.05]])
    report = backtest(held(panel, {0: [1, 0], 1: [0, 1], 2: [0, 0], 3: [0, 0]}), panel)
    even = report.break_even_bps()
    assert report.summary(1.0)["break_even_bps"] == even > 0
    assert report.net(even).mean() == pytest.approx(0.0, abs=1e-12)
    idle = backtest(held(panel, {0: [0, 0], 1: [0, 0]}), panel)
    assert np.isnan(idle.break_even_bps())


def test_break_even_is_what_is_left_for_costs_after_what_is_borrowed(
    make_panel: MakePanel,
) -> None:
    panel = make_panel([[1.0, 1.0], [1.1, 0.9], [1.2, 0.9]])
    report = backtest(held(panel, {0: [0.5, -0.5], 1: [0.5, -0.5], 2: [0, 0]}), panel)
    carry = {"borrow_bps": 300.0, "cash_rate": 0.01}
    even = report.summary(0.0, **carry)["break_even_bps"]
    assert report.net(even, **carry).mean() == pytest.approx(0.0, abs=1e-12)
    assert even == report.break_even_bps(**carry) != report.break_even_bps()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "got 0 whole rows and 0 broken ones"),
        ({1: [1.0, NAN], 2: [1.0, 0.0]}, "got 1 whole rows and 1 broken ones; write 0 for cash"),
    ],
)
def test_weights_with_holes_are_refused(
    make_panel: MakePanel, rows: dict[int, list[float]], message: str
) -> None:
    panel = make_panel(np.ones((5, 2)))
    with pytest.raises(DataError, match=message):
        backtest(held(panel, rows), panel)


def test_weights_of_another_panel_are_refused(panel: StockPanel) -> None:
    with pytest.raises(DataError, match=r"got \(2, 2\) for 90 days and 8 stocks"):
        backtest(np.zeros((2, 2)), panel)


def test_a_lag_of_zero_is_refused(panel: StockPanel) -> None:
    with pytest.raises(ConfigError, match="execution_lag must be at least 1, got 0"):
        backtest(np.zeros((90, 8)), panel, execution_lag=0)


@pytest.mark.parametrize(
    ("lag", "fill", "message"),
    [
        (1.5, "close", "execution_lag must be a whole number of days, got 1.5"),
        (1, "low", r"fill must be one of \['close', 'open'\], got 'low'; nobody knows"),
    ],
)
def test_an_execution_that_nobody_can_have_is_refused(lag: float, fill: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_execution(lag, fill)


def test_a_rate_that_is_no_number_is_refused(make_panel: MakePanel) -> None:
    panel = make_panel([[100.0], [110.0], [110.0]])
    report = backtest(held(panel, {0: [0.5], 1: [0.5]}), panel)
    with pytest.raises(ConfigError, match=r"cash_rate must be a share a year .* got nan"):
        report.net(0.0, cash_rate=NAN)


@pytest.mark.parametrize("cost", [-1.0, NAN, float("inf")])
@pytest.mark.parametrize("name", ["cost_bps", "borrow_bps"])
def test_costs_that_are_none_are_refused(make_panel: MakePanel, name: str, cost: float) -> None:
    panel = make_panel([[100.0], [110.0], [110.0]])
    report = backtest(held(panel, {0: [1], 1: [1]}), panel)
    with pytest.raises(
        ConfigError, match=rf"{name} must be basis points of at least 0, got {cost}"
    ):
        report.net(**{"cost_bps": 0.0, name: cost})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delisting_return": float("inf")}, "delisting_return must be at least -1, got inf"),
        ({"max_turnover": -0.5}, "max_turnover must be above 0, got -0.5"),
        ({"max_turnover": NAN}, "max_turnover must be above 0, got nan"),
    ],
)
def test_options_that_nobody_can_trade_by_are_refused(
    make_panel: MakePanel, options: dict[str, Any], message: str
) -> None:
    panel = make_panel([[100.0], [110.0], [110.0]])
    with pytest.raises(ConfigError, match=message):
        backtest(held(panel, {0: [1], 1: [1]}), panel, **options)
