"""Gaps counted: by length, how many were filled, and why the others were not."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.imputation.gaps import find_gaps, has_any

NO_VALUE = "the series has no value at all"
NO_PAST = "nothing before the gap"
TOO_LONG = "gap longer than max_gap"
OTHER = "the model gave no value"


@dataclass(frozen=True)
class GapCounts:
    """Counts of one target.

    Parameters
    ----------
    missing, filled
        Rows without a value before, and those that got one; with rows added, these too.
    by_length
        Name of a range of lengths, in steps -> gaps, steps, and steps filled.
    refused
        Reason -> steps that were asked for and stay missing.
    """

    missing: int = 0
    filled: int = 0
    by_length: dict[str, dict[str, int]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)

    def plus(self, other: "GapCounts") -> "GapCounts":
        """Return the sum.

        Examples
        --------
        >>> GapCounts(2, 1, {}, {"no": 1}).plus(GapCounts(3, 1, {}, {"no": 2})).refused
        {'no': 3}
        """
        names = sorted({*self.by_length, *other.by_length}, key=_first)
        keys = ("gaps", "steps", "filled")
        by_length = {
            name: {
                key: self.by_length.get(name, {}).get(key, 0)
                + other.by_length.get(name, {}).get(key, 0)
                for key in keys
            }
            for name in names
        }
        refused = {
            name: self.refused.get(name, 0) + other.refused.get(name, 0)
            for name in sorted({*self.refused, *other.refused})
        }
        missing, filled = self.missing + other.missing, self.filled + other.filled
        return GapCounts(missing, filled, by_length, refused)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> "GapCounts":
        """Read what `to_json` returned."""
        return GapCounts(**content)


def length_range(length: int) -> str:
    """Name the range, between powers of two, of a gap's length in steps.

    Examples
    --------
    >>> [length_range(length) for length in (1, 2, 3, 4, 100)]
    ['1', '2-3', '2-3', '4-7', '64-127']
    """
    low = 1 << (length.bit_length() - 1)
    return str(low) if low == 1 else f"{low}-{2 * low - 1}"


def count_gaps(
    values: Float64[ndarray, " step"],
    filled: Float64[ndarray, " step"],
    offsets: Int[ndarray, " item_and_end"],
    wanted: Bool[ndarray, " step"],
    *,
    max_gap: int | None,
    mode: str,
    own: Bool[ndarray, " step"],
) -> GapCounts:
    """Count the gaps that hold a wanted step; each where its first step is `own`."""
    gaps = find_gaps(values, offsets)
    gaps = gaps.where(has_any(wanted, gaps))
    missing = ~np.isfinite(values) & wanted
    got = missing & np.isfinite(filled)
    got_until = np.concatenate([[0], np.cumsum(got)])
    missing_until = np.concatenate([[0], np.cumsum(missing)])
    gaps = gaps.where(own[gaps.first])
    n_missing = missing_until[gaps.last] - missing_until[gaps.first]
    n_filled = got_until[gaps.last] - got_until[gaps.first]
    lengths = gaps.lengths
    by_length = {}
    power = np.frexp(lengths)[1]
    for one in np.unique(power):
        chosen = power == one
        by_length[length_range(1 << (int(one) - 1))] = {
            "gaps": int(chosen.sum()),
            "steps": int(n_missing[chosen].sum()),
            "filled": int(n_filled[chosen].sum()),
        }
    left = n_missing - n_filled
    is_whole = lengths == np.diff(offsets)[gaps.item]
    is_first = (gaps.first == offsets[gaps.item]) & (mode == "causal")
    is_long = np.zeros_like(is_whole) if max_gap is None else lengths > max_gap
    reasons = np.select([is_whole, is_first, is_long], [0, 1, 2], 3)
    totals = np.bincount(reasons, weights=left, minlength=4).astype(int)
    names = (NO_VALUE, NO_PAST, TOO_LONG, OTHER)
    refused = {name: int(n) for name, n in zip(names, totals, strict=True) if n}
    return GapCounts(int(n_missing.sum()), int(n_filled.sum()), by_length, refused)


def _first(name: str) -> int:
    return int(name.partition("-")[0])
