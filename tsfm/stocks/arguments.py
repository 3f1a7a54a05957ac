"""Checks of counts and seeds that callers give."""

from typing import Any

import numpy as np

from tsfm.errors import ConfigError


def at_least_zero(**numbers: Any) -> None:
    """Say which of the numbers is no whole number, or a negative one."""
    for name, number in numbers.items():
        is_whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        if not is_whole or number < 0:
            raise ConfigError(f"{name} must be a whole number of at least 0, got {number!r}")
