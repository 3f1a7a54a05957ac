"""One question of an audit: what is watched, after which cutoffs, and what moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from tsfm.audits.look_ahead import leak_table
from tsfm.audits.perturbation import PERTURBATIONS, Keys
from tsfm.audits.watching import Observe, watch


@dataclass(frozen=True)
class Worth:
    """Mean information coefficients over the test days, as recorded and with the future hidden."""

    seen: float
    hidden: float

    @property
    def of_the_future(self) -> float:
        """What of the size of the coefficient is owed to the future."""
        return (self.seen - self.hidden) * (1 if self.seen >= 0 else -1)


@dataclass(frozen=True)
class Check:
    """What was asked and found.

    Parameters
    ----------
    name
        What was watched.
    where
        In which data.
    leaks
        See `AuditReport`.
    worth
        By leaking column, where it is defined.
    """

    name: str
    where: str
    leaks: pl.DataFrame
    n_cutoffs: int
    worth: Mapping[str, Worth] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing moved."""
        return self.leaks.is_empty()


def ask(
    name: str,
    where: str,
    observe: Observe,
    frame: pl.DataFrame,
    keys: Keys,
    columns: Sequence[str],
    cutoffs: pl.Series,
    *,
    perturbations: Sequence[str] = PERTURBATIONS,
    n_stamps: int | None = None,
    tolerance: float = 0.0,
) -> Check:
    """Change the future after every cutoff and say what moved; see `watch`."""
    found = watch(
        observe,
        frame,
        keys,
        columns,
        cutoffs,
        perturbations=perturbations,
        n_stamps=n_stamps,
        tolerance=tolerance,
    )
    return Check(name, where, leak_table(found, cutoffs), len(cutoffs))
