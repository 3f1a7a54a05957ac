"""Checks of what every task is asked for: counts, devices, and names of columns."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tsfm.errors import ConfigError, DataError
from tsfm.series.frame import SeriesFrame

# Farther than anybody knows, and as far as a few items fit in memory.
LONGEST_HORIZON = 1_000_000


def at_least_one(name: str, number: Any) -> int:
    """Return the number, or say that `name` must be a positive whole number."""
    return _at_least(1, name, number)


def at_least_zero(name: str, number: Any) -> int:
    """Return the number, or say that `name` must be a whole number that is not negative."""
    return _at_least(0, name, number)


def _at_least(least: int, name: str, number: Any) -> int:
    is_whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not is_whole or number < least:
        raise ConfigError(f"{name} must be a whole number of at least {least}, got {number!r}")
    return int(number)


def one_of(name: str, value: Any, known: Sequence[str]) -> None:
    """Raise when `name` is none of the known words."""
    if value not in known:
        words = " or ".join(repr(one) for one in known)
        raise ConfigError(f"{name} must be {words}, got {value!r}")


def within(name: str, number: Any, least: float, most: float = math.inf) -> float:
    """Return the number, or say that `name` must be one from `least` to `most`."""
    is_number = isinstance(number, int | float | np.integer | np.floating)
    if not is_number or isinstance(number, bool) or not least <= number <= most:
        span = f"at least {least:g}" if most == math.inf else f"{least:g} to {most:g}"
        raise ConfigError(f"{name} must be {span}, got {number!r}")
    return float(number)


def a_horizon(number: Any) -> int:
    """Return the number, or say that `prediction_length` must be steps that fit in memory."""
    length = at_least_one("prediction_length", number)
    if length > LONGEST_HORIZON:
        raise ConfigError(
            f"prediction_length must be at most {LONGEST_HORIZON} steps, got {length}; ask for "
            "fewer, or resample to a coarser frequency"
        )
    return length


def a_seed(number: Any) -> int:
    """Return the number, or say that `seed` must be one that generators take."""
    is_whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not is_whole or not 0 <= number < 2**63:
        raise ConfigError(f"seed must be a whole number from 0 to 2**63 - 1, got {number!r}")
    return int(number)


def refuse_taken(series: SeriesFrame, names: Sequence[str]) -> None:
    """Raise when a key column has the name of a column that the result adds."""
    for key in (series.columns.id, series.columns.timestamp):
        if key in names:
            raise DataError(
                f"column {key!r} must not be the id or the timestamp: the result adds a column of "
                "that name; rename it"
            )


def find_device(name: str) -> torch.device:
    """Return the device of that name; ``"auto"`` takes a GPU when there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ConfigError(
            f"device must be 'auto', 'cpu' or one that torch finds on this machine, got {name!r}: "
            f"{str(error).splitlines()[0]}"
        ) from None
