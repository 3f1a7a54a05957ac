"""Checks of numbers and words that callers give."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tsfm.errors import ConfigError


def at_least_one(name: str, number: Any) -> int:
    """Return the number, or say that `name` must be a positive whole number."""
    return _at_least(1, name, number)


def at_least_zero(name: str, number: Any) -> int:
    """Return the number, or say that `name` must be a whole number that is not negative."""
    return _at_least(0, name, number)


def _at_least(least: int, name: str, number: Any) -> int:
    if not is_whole(number) or number < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {number!r}")
    return int(number)


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Raise when `name` is none of the known words."""
    if value not in known:
        words = " or ".join(repr(one) for one in known)
        raise ConfigError(f"{name} must be {words}, got {value!r}")


def within(name: str, number: Any, least: float, most: float = math.inf) -> float:
    """Return the number, or say that `name` must be one from `least` to `most`."""
    if not is_number(number) or not least <= number <= most:
        span = f"at least {least:g}" if most == math.inf else f"{least:g} to {most:g}"
        raise ConfigError(f"{name} must be {span}, got {number!r}")
    return float(number)


def is_number(value: Any) -> bool:
    """Say whether a value is a number; a truth is none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Say whether a value is a whole number; a truth is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def a_seed(number: Any) -> int:
    """Return the number, or say that `seed` must be one that generators take."""
    if not is_whole(number) or not 0 <= number < 2**63:
        raise ConfigError(f"seed must be a whole number from 0 to 2**63 - 1, got {number!r}")
    return int(number)
