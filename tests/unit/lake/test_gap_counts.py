"""Counts of gaps, against a count by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsfm.lake.gap_counts import GapCounts, count_gaps, length_range

VALUES = st.lists(st.sampled_from([1.0, float("nan")]), min_size=1, max_size=30)


@given(VALUES, VALUES)
def test_every_missing_step_is_counted_once(first, second):
    values = np.array([*first, *second])
    offsets = np.array([0, len(first), len(values)])
    everywhere = np.ones(len(values), bool)
    filled = np.where(np.isnan(values) & (np.arange(len(values)) % 3 > 0), 5.0, values)
    found = count_gaps(
        values, filled, offsets, everywhere, max_gap=None, mode="two_sided", own=everywhere
    )
    missing = np.isnan(values)
    assert found.missing == missing.sum()
    assert found.filled == (missing & np.isfinite(filled)).sum()
    assert sum(one["steps"] for one in found.by_length.values()) == found.missing
    assert sum(found.refused.values()) == found.missing - found.filled
    lengths = []
    for item in (first, second):
        runs = "".join("x" if np.isnan(value) else " " for value in item).split()
        lengths += [length_range(len(run)) for run in runs]
    assert {name: one["gaps"] for name, one in found.by_length.items()} == {
        name: lengths.count(name) for name in lengths
    }


@given(VALUES)
def test_counts_of_parts_add_up(values):
    values = np.array(values)
    side = np.arange(len(values)) % 2 == 0
    arguments = (values, np.nan_to_num(values), np.array([0, len(values)]), np.ones_like(side))
    whole, one, other = (
        count_gaps(*arguments, max_gap=3, mode="causal", own=own)
        for own in (np.ones_like(side), side, ~side)
    )
    assert one.plus(other) == GapCounts().plus(whole)
    assert GapCounts.from_json(whole.to_json()) == whole
