"""Checks of what trading costs and of what is allowed in it."""

from typing import Any

import numpy as np

from tsfm.arguments import is_number
from tsfm.errors import ConfigError

# Nobody lends to a portfolio that has lost all: it is over.
RUIN = -1.0


def check_costs(*, cost_bps: Any, borrow_bps: Any, cash_rate: Any) -> None:
    """Refuse costs that are negative, and what is no number."""
    for name, cost in (("cost_bps", cost_bps), ("borrow_bps", borrow_bps)):
        if not is_number(cost) or not 0 <= cost < np.inf:
            raise ConfigError(f"{name} must be basis points of at least 0, got {cost!r}")
    if not is_number(cash_rate) or not np.isfinite(cash_rate):
        raise ConfigError(f"cash_rate must be a share a year such as 0.02, got {cash_rate!r}")


def check_limits(*, delisting_return: Any, max_turnover: Any) -> None:
    """Refuse to lose more than all in a delisting, and a cap that lets nothing be traded."""
    if not is_number(delisting_return) or not RUIN <= delisting_return < np.inf:
        raise ConfigError(
            f"delisting_return must be at least -1, got {delisting_return!r}; -0.3 is a loss of "
            "30 %"
        )
    if max_turnover is not None and (not is_number(max_turnover) or not max_turnover > 0):
        raise ConfigError(
            f"max_turnover must be above 0, got {max_turnover!r}; 0.1 is a tenth of the wealth, "
            "bought and sold together"
        )
