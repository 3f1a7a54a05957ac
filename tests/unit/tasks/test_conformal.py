"""Margins decide what people call 90 %: they are checked against ranks counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.errors import ConfigError, DataError
from tsfm.tasks.calibration.conformal import (
    adapted_coverages,
    central_intervals,
    conformal_margins,
    conformity_scores,
    margins_of,
    mean_width,
    with_margins,
)

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)
INTERVALS = central_intervals(LEVELS)
# Widths of a model that is far too sure of itself, in standard deviations of the truth.
NARROW = np.array([-0.5, -0.3, 0.0, 0.3, 0.5])


def by_counting(scores: np.ndarray, blocks: np.ndarray, coverage: float) -> float:
    """Try every score: the smallest whose blocks cover on average, one absent block counted out."""
    numbers = np.unique(blocks)
    for candidate in np.sort(scores):
        covered = sum((scores[blocks == one] <= candidate).mean() for one in numbers)
        if covered / (len(numbers) + 1) >= coverage - 1e-9:
            return float(candidate)
    raise AssertionError


@given(seed=st.integers(0, 10**6), n_blocks=st.integers(9, 40), most=st.sampled_from([1, 2, 7]))
def test_a_margin_is_the_one_found_by_counting(seed, n_blocks, most):
    generator = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(n_blocks), generator.integers(1, most + 1, n_blocks))
    scores = generator.normal(size=len(blocks)).round(1)
    found = conformal_margins(scores.reshape(-1, 1, 1), [0.9], blocks)
    assert found.item() == by_counting(scores, blocks, 0.9)


def test_windows_that_count_by_themselves_have_the_rank_of_split_conformal():
    scores = np.random.default_rng(0).permutation(99) / 1.0
    assert conformal_margins(scores.reshape(-1, 1, 1), [0.9]).item() == 89.0  # the 90th of 99


def test_every_step_has_its_own_margin_and_missing_truths_are_left_out():
    scores = np.stack([np.arange(20.0), 10 * np.arange(20.0)], axis=1)[:, None]
    scores[19, :, 1] = np.nan
    np.testing.assert_array_equal(conformal_margins(scores, [0.5]), [[10.0, 90.0]])


def test_too_few_windows_are_refused_with_the_number_that_is_needed():
    scores = np.zeros((8, 1, 2))
    with pytest.raises(DataError, match=r"90% must be .* at least 9 windows .* got 8 at step 1"):
        conformal_margins(scores, [0.9])
    blocks = np.repeat(np.arange(4), 2)
    assert conformal_margins(scores, [0.8], blocks).shape == (1, 2)
    with pytest.raises(DataError, match=r"95% must be .* at least 19 windows .* got 4 at step 1"):
        conformal_margins(scores, [0.95], blocks)


def drifting(n_cutoffs: int, growth: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of 30 windows per cutoff that grow from cutoff to cutoff."""
    generator = np.random.default_rng(0)
    blocks = np.repeat(np.arange(n_cutoffs), 30)
    scores = np.abs(generator.normal(size=(len(blocks), 1, 2))) * growth ** blocks[:, None, None]
    return scores, blocks


def test_levels_rise_while_errors_grow_and_stay_where_nothing_changes():
    still, cutoffs = drifting(30, 1.0)
    (calm,) = adapted_coverages(still, [0.9], cutoffs)
    assert abs(calm - 0.9) < 0.02
    scores, blocks = drifting(30, 1.05)
    (level,) = adapted_coverages(scores, [0.9], blocks)
    assert level > 0.93
    next_scores = np.abs(np.random.default_rng(1).normal(size=(3000, 2))) * 1.05**30
    covered = {
        method: (next_scores <= margins_of(scores, [0.9], blocks, method)[0]).mean()
        for method in ("split", "adaptive")
    }
    assert covered["split"] < covered["adaptive"] <= 0.93


def test_a_level_never_asks_for_more_than_the_windows_can_show():
    scores, blocks = drifting(3, 9.0)
    (level,) = adapted_coverages(scores, [0.9], blocks, rate=9.0)
    assert level == pytest.approx(90 / 91)
    assert np.isfinite(margins_of(scores, [0.9], blocks, "adaptive")).all()
    with pytest.raises(DataError, match="at least 9 windows"):
        margins_of(scores[:6], [0.9], blocks[:6], "split")


def test_later_cutoffs_do_not_move_the_level_of_earlier_ones():
    scores, blocks = drifting(20, 1.1)
    expected = adapted_coverages(scores[:300], [0.9], blocks[:300])
    changed = scores.copy()
    changed[300:] *= 1000
    assert adapted_coverages(changed[:300], [0.9], blocks[:300]) == expected
    assert adapted_coverages(changed, [0.9], blocks) != adapted_coverages(scores, [0.9], blocks)


@pytest.mark.parametrize("levels", [[0.1, 0.5], [0.5], [0.1, 0.8]])
def test_levels_without_a_partner_are_refused(levels):
    with pytest.raises(ConfigError, match=r"must lie in pairs around 0.5 to be calibrated, got"):
        central_intervals(levels)


def draw(n_windows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return quantiles that are too narrow, of series of any size, and what then happened."""
    size = 10.0 ** generator.uniform(-3, 3, n_windows)
    truth = size[:, None] * (generator.normal(size=(n_windows, 3)) * [1, 2, 3])
    quantiles = np.repeat((size[:, None] * NARROW)[..., None], 3, axis=2)
    return quantiles, truth


def covered(quantiles: np.ndarray, truth: np.ndarray, low: int, high: int) -> np.ndarray:
    return ((quantiles[:, low] <= truth) & (truth <= quantiles[:, high])).mean(0)


def test_a_model_that_is_too_sure_covers_what_it_claims_afterwards_at_every_step():
    generator = np.random.default_rng(0)
    past, truth = draw(2000, generator)
    scores = conformity_scores(past, truth, mean_width(past, INTERVALS), INTERVALS)
    margins = conformal_margins(scores, [one.coverage for one in INTERVALS])
    new, later = draw(4000, generator)
    moved = with_margins(new, mean_width(new, INTERVALS), INTERVALS, margins)
    for low, high, nominal in INTERVALS:
        assert (covered(new, later, low, high) < 0.5).all()
        np.testing.assert_allclose(covered(moved, later, low, high), nominal, atol=0.02)


def test_a_forecast_without_width_counts_where_it_is_the_truth():
    quantiles = np.full((3, 5, 1), 2.0)
    truth = np.array([[2.0], [3.0], [np.nan]])
    found = conformity_scores(quantiles, truth, mean_width(quantiles, INTERVALS), INTERVALS)
    np.testing.assert_array_equal(found[..., 0], [[0, 0], [np.nan] * 2, [np.nan] * 2])


def test_the_unit_of_a_series_does_not_matter():
    past, truth = draw(50, np.random.default_rng(1))
    factor = 2.0 ** np.arange(50)[:, None] / 2**25
    found = []
    for unit in (np.ones((50, 1)), factor):
        quantiles = past * unit[..., None]
        scale = mean_width(quantiles, INTERVALS)
        scores = conformity_scores(quantiles, truth * unit, scale, INTERVALS)
        found.append(conformal_margins(scores, [0.8, 0.9]))
    np.testing.assert_array_equal(*found)


@given(seed=st.integers(0, 10**6), has_median=st.booleans())
@settings(max_examples=20)
def test_the_median_stays_and_intervals_stay_nested(seed, has_median):
    generator = np.random.default_rng(seed)
    levels = LEVELS if has_median else (0.05, 0.1, 0.9, 0.95)
    intervals = central_intervals(levels)
    quantiles = np.sort(generator.normal(size=(6, len(levels), 4)), axis=1)
    margins = generator.normal(size=(2, 5))
    moved = with_margins(quantiles, mean_width(quantiles, intervals), intervals, margins)
    assert (np.diff(moved, axis=1) >= 0).all()
    if has_median:
        np.testing.assert_array_equal(moved[:, 2], quantiles[:, 2])
    still = with_margins(quantiles, np.zeros(6), intervals, margins)
    np.testing.assert_array_equal(still, quantiles)
