"""A portfolio beside a benchmark: what rounding leaves of a constant is no spread."""

import math

import numpy as np
import pytest

from tsfm.stocks.relative import relative_to


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.0003, -0.0007])
def test_beside_a_constant_benchmark_there_is_no_beta(rate: float) -> None:
    returns = np.random.default_rng(0).normal(0, 0.01, 100)
    found = relative_to(returns, np.full(100, rate))
    assert math.isnan(found["beta"])
    assert math.isnan(found["alpha"])
    assert found["tracking_error"] == pytest.approx(returns.std(ddof=1) * math.sqrt(252))


def test_a_small_spread_is_one() -> None:
    market = 0.001 + np.random.default_rng(1).normal(0, 1e-9, 100)
    assert relative_to(0.5 * market, market)["beta"] == pytest.approx(0.5)
