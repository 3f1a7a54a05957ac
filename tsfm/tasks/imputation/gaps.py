"""Gaps: where series that lie end to end have no value, and the straight lines through them."""

from typing import NamedTuple

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray


class Gaps(NamedTuple):
    """Runs of missing steps, in the order of the steps; ``first`` to ``last``, the latter outside.

    A gap never reaches from one item into the next.
    """

    item: Int[ndarray, " gap"]
    first: Int[ndarray, " gap"]
    last: Int[ndarray, " gap"]

    @property
    def lengths(self) -> Int[ndarray, " gap"]:
        """Steps of every gap."""
        return self.last - self.first

    def where(self, keep: Bool[ndarray, " gap"]) -> "Gaps":
        """Return some of the gaps."""
        return Gaps(self.item[keep], self.first[keep], self.last[keep])

    def steps(self) -> Int[ndarray, " step"]:
        """Return all steps of all gaps."""
        lengths = self.lengths
        before = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        within = np.arange(lengths.sum()) - np.repeat(before, lengths)
        steps: ndarray = np.repeat(self.first, lengths) + within
        return steps


def find_gaps(
    values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"]
) -> Gaps:
    """Find every run of missing values; that of an item without a value is one as well.

    Examples
    --------
    >>> gaps = find_gaps(np.array([np.nan, 1.0, np.nan, np.nan, 2.0]), np.array([0, 3, 5]))
    >>> gaps.item.tolist(), gaps.first.tolist(), gaps.last.tolist()
    ([0, 0, 1], [0, 2, 3], [1, 3, 4])
    """
    missing = ~np.isfinite(values)
    is_start = np.zeros(len(values) + 1, bool)
    is_start[offsets] = True
    before = np.concatenate([[False], missing[:-1]])
    after = np.concatenate([missing[1:], [False]])
    first = np.flatnonzero(missing & (~before | is_start[:-1]))
    last = np.flatnonzero(missing & (~after | is_start[1:])) + 1
    item = np.searchsorted(offsets, first, "right") - 1
    return Gaps(item, first, last)


def has_any(steps: Bool[ndarray, " total_time"], gaps: Gaps) -> Bool[ndarray, " gap"]:
    """Say which gaps hold one of these steps.

    Examples
    --------
    >>> gaps = Gaps(np.array([0, 0]), np.array([0, 3]), np.array([2, 4]))
    >>> has_any(np.array([False, True, False, False, True]), gaps)
    array([ True, False])
    """
    until = np.concatenate([[0], np.cumsum(steps)])
    found: ndarray = until[gaps.last] > until[gaps.first]
    return found


def lines(
    values: Float64[ndarray, " total_time"], offsets: Int[ndarray, " item_and_end"], gaps: Gaps
) -> Float64[ndarray, " step"]:
    """Return the line through every gap, between its neighbours; a lone neighbour is repeated.

    A gap without any neighbour is NaN. Between equal neighbours the line is their value to the bit.
    """
    has_left = gaps.first > offsets[gaps.item]
    has_right = gaps.last < offsets[gaps.item + 1]
    left = np.where(has_left, values[np.maximum(gaps.first - 1, 0)], np.nan)
    right = np.where(has_right, values[np.minimum(gaps.last, len(values) - 1)], np.nan)
    left, right = np.where(has_left, left, right), np.where(has_right, right, left)
    lengths = gaps.lengths
    share = (gaps.steps() - np.repeat(gaps.first, lengths) + 1) / np.repeat(lengths + 1, lengths)
    # Halves, since the difference of two huge values may be beyond the largest one.
    half = np.repeat(right / 2 - left / 2, lengths)
    line: ndarray = np.repeat(left, lengths) + 2 * share * half
    return line
