"""A gap that is found at the wrong place would be filled at the wrong place."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tsfm.tasks.imputation.gaps import find_gaps, lines
from tsfm.tasks.imputation.two_sided import place_windows


def draw(seed: int, longest: int = 40) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest, generator.integers(1, 5))
    values = generator.normal(size=lengths.sum())
    step = np.arange(len(values))
    start = generator.integers(0, len(values), 4)
    for first, size in zip(start, generator.integers(1, longest, 4), strict=True):
        values[(step >= first) & (step < first + size)] = np.nan
    return values, np.concatenate([[0], np.cumsum(lengths)])


@given(seed=st.integers(0, 10**6))
def test_gaps_are_the_missing_steps_and_end_with_their_item(seed: int) -> None:
    values, offsets = draw(seed)
    gaps = find_gaps(values, offsets)
    np.testing.assert_array_equal(gaps.steps(), np.flatnonzero(np.isnan(values)))
    assert (gaps.first >= offsets[gaps.item]).all()
    assert (gaps.last <= offsets[gaps.item + 1]).all()
    for item, first, last in zip(*gaps, strict=True):
        assert first == offsets[item] or np.isfinite(values[first - 1])
        assert last == offsets[item + 1] or np.isfinite(values[last])


@given(seed=st.integers(0, 10**6))
def test_lines_are_those_of_numpy_item_by_item(seed: int) -> None:
    values, offsets = draw(seed)
    expected = values.copy()
    for first, last in pairwise(offsets):
        part = expected[first:last]
        known = np.flatnonzero(np.isfinite(part))
        if len(known):
            part[:] = np.interp(np.arange(last - first), known, part[known])
    gaps = find_gaps(values, offsets)
    np.testing.assert_allclose(lines(values, offsets, gaps), expected[gaps.steps()])


def test_a_line_between_equal_or_huge_values_is_exact() -> None:
    values = np.array([0.1, np.nan, np.nan, 0.1, np.nan, 1e308, np.nan, -1e308])
    offsets = np.array([0, 4, 8])
    found = lines(values, offsets, find_gaps(values, offsets))
    assert found[:2].tolist() == [0.1, 0.1]
    assert found[2:].tolist() == [1e308, 0.0]


@given(seed=st.integers(0, 10**6), context_length=st.sampled_from([8, 16, 50]))
def test_every_gap_lies_within_its_window_with_room_on_both_sides(
    seed: int, context_length: int
) -> None:
    values, offsets = draw(seed, longest=300)
    gaps = find_gaps(values, offsets)
    windows = place_windows(offsets, gaps, context_length)
    first, last = windows.first[windows.of_gap], windows.last[windows.of_gap]
    start, end = offsets[gaps.item], offsets[gaps.item + 1]
    assert (first >= start).all()
    assert (last <= end).all()
    assert (last - first >= np.minimum(context_length, end - start)).all()
    room = context_length // 8 - 1
    assert (gaps.first - first >= np.minimum(room, gaps.first - start)).all()
    assert (last - gaps.last >= np.minimum(room, end - gaps.last)).all()
    assert len(np.unique(np.stack([windows.first, windows.last]), axis=1).T) == len(windows.first)
