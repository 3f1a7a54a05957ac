"""A simulated panel must have what it promises, or the tests that rely on it prove nothing."""

import numpy as np

from tsfm.stocks.simulation import SimulationConfig, simulated_panel


def test_the_same_config_gives_the_same_panel() -> None:
    config = SimulationConfig(n_days=30)
    np.testing.assert_array_equal(simulated_panel(config).bars, simulated_panel(config).bars)
    other = simulated_panel(SimulationConfig(n_days=30, seed=1))
    assert not np.array_equal(simulated_panel(config).bars, other.bars)


def test_every_candle_is_possible() -> None:
    panel = simulated_panel(SimulationConfig(n_days=200, missing=0.1))
    known = np.isfinite(panel["close"])
    assert 0.05 < 1 - known.mean() < 0.15
    low, high = panel["low"][known], panel["high"][known]
    for name in ("open", "close"):
        assert (low <= panel[name][known]).all()
        assert (panel[name][known] <= high).all()
    np.testing.assert_array_equal(panel.member, known)


def test_stocks_differ_in_volatility_unless_told_otherwise() -> None:
    config = {"n_stocks": 40, "n_days": 500}
    spreads = [
        np.diff(np.log(simulated_panel(one)["close"]), axis=0).std(axis=0)
        for one in (
            SimulationConfig(**config),  # type: ignore[arg-type]
            SimulationConfig(**config, volatility=(0.3, 0.3)),  # type: ignore[arg-type]
        )
    ]
    assert spreads[0].max() / spreads[0].min() > 2
    assert spreads[1].max() / spreads[1].min() < 1.3


def test_a_reversal_takes_moves_back() -> None:
    for reversal, expected in ((0.0, 0.0), (0.5, -0.5)):
        panel = simulated_panel(
            SimulationConfig(n_stocks=30, n_days=500, reversal=reversal, volatility=(0.4, 0.4))
        )
        returns = np.diff(np.log(panel["close"]), axis=0)
        own = returns - returns.mean(axis=1, keepdims=True)
        found = (own[1:] * own[:-1]).mean() / (own**2).mean()
        assert abs(found - expected) < 0.12


def test_days_are_weekdays_in_order() -> None:
    panel = simulated_panel(SimulationConfig(n_days=20))
    assert np.is_busday(panel.days).all()
    assert (np.diff(panel.days) > np.timedelta64(0, "D")).all()
