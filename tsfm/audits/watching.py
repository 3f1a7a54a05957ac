"""Watches the past of a frame while its future is changed, cutoff by cutoff."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsfm.audits.comparison import Move, compare, spreads
from tsfm.audits.perturbation import (
    PERTURBATIONS,
    Keys,
    change_the_future,
    check_kinds,
)
from tsfm.errors import ConfigError, DataError

# Cutoffs at which it is asked which single perturbation is enough; more would only cost calls.
MOST_EXPLAINED = 3
Observe = Callable[[pl.DataFrame, pl.Series | None], pl.DataFrame]
"""Makes what is watched of a frame: of the given stamps, or all of it; see `canonical`."""


@dataclass(frozen=True)
class Watched:
    """Moves by cutoff.

    Parameters
    ----------
    moves
        One list per cutoff.
    n_rows
        Rows that were compared, over all cutoffs.
    causes
        By column, the perturbations that are enough by themselves.
    n_calls
        Times that something was observed.
    """

    moves: list[list[Move]]
    n_rows: int
    causes: dict[str, list[str]]
    n_calls: int


def watch(
    observe: Observe,
    frame: pl.DataFrame,
    keys: Keys,
    columns: Sequence[str],
    cutoffs: pl.Series,
    *,
    seed: int = 0,
    tolerance: float = 0.0,
    perturbations: Sequence[str] = PERTURBATIONS,
    n_stamps: int | None = None,
    explain: bool = True,
) -> Watched:
    """Do the work of `audit` on polars frames.

    Parameters
    ----------
    n_stamps
        Watch only so many stamps of the frame up to each cutoff, where leaks show first; for what
        is expensive to compute.
    explain
        Ask which single perturbation is enough.
    """
    check_kinds(perturbations)
    if not tolerance >= 0:
        raise ConfigError(f"tolerance must be zero or positive, got {tolerance}")
    # Sums go chunk by chunk: all frames are in one piece, or the same past would round otherwise.
    frame = frame.rechunk()
    asked = _asked(frame[keys.timestamp], cutoffs, n_stamps)
    known = [one for one in asked if one is not None]
    everything = pl.concat(known).unique().sort() if known else None
    before = observe(frame, everything)
    spread = spreads(before, keys)
    _check_repeatable(compare(before, observe(frame, everything), keys, spread))
    watching = _Watching(
        observe, frame, keys, tuple(columns), cutoffs, asked, before, spread, seed, tolerance
    )
    found = [watching.moves(number, perturbations) for number in range(len(cutoffs))]
    moves = [one for one, _ in found]
    explained = _worst(moves) if explain else []
    causes = _causes(watching, explained, perturbations)
    n_calls = 2 + len(cutoffs) + len(explained) * len(perturbations)
    return Watched(moves, sum(n_rows for _, n_rows in found), causes, n_calls)


@dataclass(frozen=True)
class _Watching:
    observe: Observe
    frame: pl.DataFrame
    keys: Keys
    columns: tuple[str, ...]
    cutoffs: pl.Series
    asked: list[pl.Series | None]
    before: pl.DataFrame
    spread: dict[str, float]
    seed: int
    tolerance: float

    def moves(self, number: int, kinds: Sequence[str]) -> tuple[list[Move], int]:
        """Change what follows a cutoff; return what moved up to it, and the rows compared."""
        cutoff, asked = self.cutoffs[number], self.asked[number]
        changed = change_the_future(
            self.frame,
            self.keys,
            self.columns,
            cutoff,
            kinds=kinds,
            turn=number,
            generator=np.random.default_rng([self.seed, number]),
        )
        try:
            after = self.observe(changed, asked)
        except Exception as error:
            raise DataError(
                f"fn must accept any future, got {type(error).__name__}: {error} when everything "
                f"after {cutoff} was changed; name the perturbations that make sense for it, of "
                f"{list(PERTURBATIONS)}"
            ) from error
        past = pl.col(self.keys.timestamp) <= cutoff
        if asked is not None:
            past &= pl.col(self.keys.timestamp).is_in(asked.implode())
        kept = self.before.filter(past)
        found = compare(kept, after.filter(past), self.keys, self.spread, tolerance=self.tolerance)
        return found, len(kept)


def _asked(stamps: pl.Series, cutoffs: pl.Series, n_stamps: int | None) -> list[pl.Series | None]:
    if n_stamps is None:
        return [None] * len(cutoffs)
    known = stamps.unique().sort()
    ends: Any = known.search_sorted(cutoffs, side="right")
    return [known[max(0, end - n_stamps) : end] for end in ends]


def _check_repeatable(moves: list[Move]) -> None:
    if moves:
        raise ConfigError(
            "fn must return the same for the same frame, got other values in "
            f"{[move.column for move in moves]}, first at {moves[0].first}; seed its random numbers"
        )


def _worst(moves: list[list[Move]]) -> list[int]:
    """Return the cutoffs at which some column moved earliest."""
    earliest: dict[str, tuple[Any, int]] = {}
    for number, found in enumerate(moves):
        for move in found:
            if move.column not in earliest or move.first < earliest[move.column][0]:
                earliest[move.column] = (move.first, number)
    return sorted({number for _, number in earliest.values()})[:MOST_EXPLAINED]


def _causes(
    watching: _Watching, numbers: Sequence[int], perturbations: Sequence[str]
) -> dict[str, list[str]]:
    """Say by column which perturbations move it by themselves."""
    causes: dict[str, list[str]] = {}
    for number in numbers:
        for kind in perturbations:
            try:
                found, _ = watching.moves(number, [kind])
            except DataError:  # it takes a future of many fates, but not of this one alone
                continue
            for move in found:
                known = causes.setdefault(move.column, [])
                known += [kind] if kind not in known else []
    return causes
