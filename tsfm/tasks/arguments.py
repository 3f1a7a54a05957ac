"""Checks of what every task is asked for: horizons, devices, and names of columns."""

from collections.abc import Sequence
from typing import Any

import torch

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError, DataError
from tsfm.series.frame import SeriesFrame

# Farther than anybody knows, and as far as a few items fit in memory.
LONGEST_HORIZON = 1_000_000


def a_horizon(number: Any) -> int:
    """Return the number, or say that `prediction_length` must be steps that fit in memory."""
    length = at_least_one("prediction_length", number)
    if length > LONGEST_HORIZON:
        raise ConfigError(
            f"prediction_length must be at most {LONGEST_HORIZON} steps, got {length}; ask for "
            "fewer, or resample to a coarser frequency"
        )
    return length


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
