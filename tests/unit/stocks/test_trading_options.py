"""What nobody can trade by is refused before a portfolio is held."""

from typing import Any

import pytest

from tsfm.errors import ConfigError
from tsfm.stocks.panel import check_execution
from tsfm.stocks.trading_options import check_costs, check_limits


@pytest.mark.parametrize("lag", [1.0, "1", True, None])
def test_a_lag_that_is_no_whole_number_is_refused(lag: Any) -> None:
    message = rf"execution_lag must be a whole number of days, got {lag!r}"
    with pytest.raises(ConfigError, match=message):
        check_execution(lag, "close")


def test_numbers_that_are_text_are_refused() -> None:
    right = {"cost_bps": 1.0, "borrow_bps": 1.0, "cash_rate": 0.02}
    check_costs(**right)
    for name in right:
        with pytest.raises(ConfigError, match=rf"{name} must be .* got '10'"):
            check_costs(**{**right, name: "10"})
    limits = {"delisting_return": -0.3, "max_turnover": None}
    check_limits(**limits)
    for name in limits:
        with pytest.raises(ConfigError, match=rf"{name} must be .* got '1'"):
            check_limits(**{**limits, name: "1"})
