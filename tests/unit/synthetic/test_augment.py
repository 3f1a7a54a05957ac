"""Augmentations run on every batch, real or synthetic: each must do what it says, and no more."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.synthetic import augment
from tsfm.synthetic.draws import Rows

CHANGES = [
    augment.amplitude_modulated,
    augment.time_warped,
    augment.spikes,
    augment.level_shifted,
    augment.censored,
    augment.quantised,
    augment.rounded,
]


@pytest.fixture
def rows(generator: np.random.Generator) -> Rows:
    return np.cumsum(generator.standard_normal((60, 200)), 1)


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_keeps_shape_and_argument_and_stays_finite(
    change: Callable[[np.random.Generator, Rows], Rows], generator: np.random.Generator, rows: Rows
) -> None:
    before = rows.copy()
    changed = change(generator, rows)
    np.testing.assert_array_equal(rows, before)
    assert changed.shape == rows.shape
    assert np.isfinite(changed).all()
    assert np.abs(changed - rows).max() > 0


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_constant_rows_stays_finite(
    change: Callable[[np.random.Generator, Rows], Rows], generator: np.random.Generator
) -> None:
    assert np.isfinite(change(generator, np.full((5, 40), 3.0))).all()


def test_sign_flip_turns_about_the_share_asked_for(
    generator: np.random.Generator, rows: Rows
) -> None:
    flipped = augment.sign_flipped(generator, rows, 0.5)
    turned = (flipped == -rows).all(1)
    kept = (flipped == rows).all(1)
    assert (turned ^ kept).all()
    assert 15 < turned.sum() < 45


def test_time_reversal_of_all_rows_twice_gives_them_back(
    generator: np.random.Generator, rows: Rows
) -> None:
    once = augment.time_reversed(generator, rows, 1.0)
    np.testing.assert_array_equal(once[:, 0], rows[:, -1])
    np.testing.assert_array_equal(augment.time_reversed(generator, once, 1.0), rows)


def test_mix_up_replaces_only_the_share_asked_for(
    generator: np.random.Generator, rows: Rows
) -> None:
    assert augment.mixed_up(generator, rows, 0.0) is rows
    mixed = augment.mixed_up(generator, rows, 0.5)
    replaced = (mixed != rows).any(1)
    assert 15 < replaced.sum() < 45


def test_mix_up_of_equal_rows_gives_that_row_standardised(
    generator: np.random.Generator, rows: Rows
) -> None:
    equal = np.repeat(rows[:1], 8, 0)
    mixed = augment.mixed_up(generator, equal, 1.0)
    expected = (equal - equal.mean()) / equal[0].std()
    np.testing.assert_allclose(mixed, expected, rtol=1e-9, atol=1e-9)


def test_modulation_multiplies_by_a_slow_factor_between_its_bounds(
    generator: np.random.Generator,
) -> None:
    factor = augment.amplitude_modulated(generator, np.ones((50, 300)))
    assert factor.min() >= 0.3
    assert factor.max() <= 2.0
    assert np.abs(np.diff(factor)).max() < 1.7 / 70


def test_warping_keeps_the_order_and_the_range_of_a_rising_line(
    generator: np.random.Generator,
) -> None:
    line = np.tile(np.arange(100.0), (50, 1))
    warped = augment.time_warped(generator, line)
    assert (np.diff(warped) > 0).all()
    assert (warped[:, 0] == 0).all()
    assert warped.max() <= 99 + 1e-9


def test_spikes_leave_most_values_alone(generator: np.random.Generator, rows: Rows) -> None:
    changed = augment.spikes(generator, rows) != rows
    assert 0 < changed.mean() < 0.1


def test_a_level_shift_adds_one_constant_to_one_stretch(
    generator: np.random.Generator, rows: Rows
) -> None:
    added = augment.level_shifted(generator, rows) - rows
    for row in added.round(9):
        assert len(np.unique(row[row != 0])) <= 1
        assert (np.diff(row) != 0).sum() <= 2


def test_censored_values_stay_or_move_to_a_bound(
    generator: np.random.Generator, rows: Rows
) -> None:
    censored = augment.censored(generator, rows)
    low, high = censored.min(1, keepdims=True), censored.max(1, keepdims=True)
    assert ((censored == rows) | (censored == low) | (censored == high)).all()
    assert (censored == low).sum(1).max() > 20


def test_quantised_rows_have_few_values(generator: np.random.Generator, rows: Rows) -> None:
    quantised = augment.quantised(generator, rows)
    assert min(len(np.unique(row)) for row in quantised) < 20
    assert (np.abs(quantised - rows) <= 0.5 * rows.std(1, keepdims=True) + 1e-9).all()


def test_rounded_rows_are_whole_numbers(generator: np.random.Generator, rows: Rows) -> None:
    whole = augment.rounded(generator, rows)
    np.testing.assert_array_equal(whole, np.round(whole))


def test_missing_stretches_are_short_and_leave_the_rest(
    generator: np.random.Generator, rows: Rows
) -> None:
    missing = augment.missing_stretches(generator, rows)
    hidden = np.isnan(missing)
    assert (hidden.sum(1) >= 1).all()
    assert (hidden.mean(1) <= 0.33).all()
    np.testing.assert_array_equal(missing[~hidden], rows[~hidden])
