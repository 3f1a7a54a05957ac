"""Stamps after which the future is changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import is_whole
from tsfm.errors import ConfigError, DataError
from tsfm.series.cutoffs import as_stamps


def choose_cutoffs(
    stamps: pl.Series,
    n_cutoffs: Any,
    seed: Any,
    *,
    start: Any = None,
    cutoffs: Sequence[Any] | None = None,
) -> pl.Series:
    """Return the stamps after which the future is changed, ascending."""
    known = stamps.unique().sort()
    if cutoffs is not None:
        asked = _stamps(cutoffs, known.dtype).unique().sort()
        chosen = asked.filter((asked >= known.min()) & (asked < known.max()))
        if len(chosen) < len(asked) or not len(asked):
            raise ConfigError(
                f"cutoffs must lie between {known[0]} and before {known[-1]}, got "
                f"{list(cutoffs)}; there must be rows on both sides"
            )
        return chosen
    for name, number, least in (("n_cutoffs", n_cutoffs, 1), ("seed", seed, 0)):
        if not is_whole(number) or number < least:
            raise ConfigError(
                f"{name} must be a whole number of at least {least}, got {number!r}; pass one"
            )
    possible = known.head(len(known) - 1)
    if start is not None:
        possible = possible.filter(possible >= _stamps([start], known.dtype)[0])
    if not len(possible):
        raise DataError(
            "the frame must have a stamp after a cutoff, got "
            f"{len(known)} stamps{'' if start is None else f' and start={start}'}; give it more "
            "rows or an earlier start"
        )
    generator = np.random.default_rng(seed)
    first = 0 if start is None else 1
    n_drawn = min(n_cutoffs, len(possible)) - first
    drawn = first + generator.choice(len(possible) - first, n_drawn, replace=False)
    return possible.gather(np.sort(np.concatenate([np.arange(first), drawn])).astype(np.int64))


def _stamps(values: Sequence[Any], dtype: Any) -> pl.Series:
    """Return stamps in the type of the frame; without a time zone they are in its zone."""
    found = as_stamps(values, dtype)
    if found is None:
        raise ConfigError(f"start and cutoffs must be stamps of type {dtype}, got {list(values)}")
    return found
