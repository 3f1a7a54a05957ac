"""What must hold of every score: it looks back only, and knows no units and no neighbours."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tasks.detect import Detector
from tsfm.tasks.detection.score_rule import ScoreRule

CONTEXT = 32
TOLERANCE = {"rtol": 2e-2, "atol": 1e-3}


@pytest.fixture(scope="module")
def detector() -> Detector:
    config = TimerConfig(
        patch_length=8, d_model=16, n_heads=2, n_layers=1, d_ff=32, n_output_patches=3
    )
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    with torch.no_grad():  # what starts at zero would leave the past unread
        for parameter in backbone.parameters():
            parameter += 0.1 * torch.randn(
                parameter.shape, generator=torch.Generator().manual_seed(1)
            )
    rule = ScoreRule(
        smoothing=8,
        long_smoothing=40,
        past_length=60,
        range_length=90,
        habit_level=0.9,
        habit_length=110,
    )
    return Detector(TimeSeriesModel("timer", backbone, 64, Provenance()), rule=rule)


@st.composite
def series(draw: st.DrawFn) -> np.ndarray:
    """Seasons, noise, level shifts, flat parts and gaps, in any proportion."""
    n_rows = draw(st.integers(1, 200))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step = np.arange(n_rows)
    values = draw(st.sampled_from([0.0, 1.0, 5.0])) * np.sin(step / draw(st.integers(1, 20)))
    values = values + draw(st.sampled_from([0.0, 0.1, 2.0])) * generator.normal(size=n_rows)
    values += 10.0 * (step > draw(st.integers(0, 150)))
    flat = draw(st.integers(0, 150))
    values[flat : flat + draw(st.integers(0, 50))] = 3.0
    gap = draw(st.integers(0, 150))
    values[gap : gap + draw(st.integers(0, 50))] = np.nan
    values[generator.random(n_rows) < draw(st.sampled_from([0.0, 0.1]))] = np.nan
    return values


def scores_of(detector: Detector, *parts: np.ndarray) -> list[np.ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    found = detector.score_arrays(np.concatenate(parts)[:, None], offsets, context_length=CONTEXT)
    return np.split(found, offsets[1:-1])


@settings(max_examples=15, deadline=None)
@given(values=series(), later=series(), size=st.sampled_from([1.0, 1e9]))
def test_later_rows_never_move_a_score(detector, values, later, size):
    (alone,) = scores_of(detector, values)
    (longer,) = scores_of(detector, np.append(values, size * later))
    np.testing.assert_allclose(longer[: len(values)], alone, **TOLERANCE)


@settings(max_examples=10, deadline=None)
@given(values=series(), scale=st.sampled_from([1e-3, 7.0, 1e4]), shift=st.sampled_from([0.0, 50.0]))
def test_units_do_not_matter(detector, values, scale, shift):
    (before,) = scores_of(detector, values)
    (after,) = scores_of(detector, scale * (values + shift))
    np.testing.assert_allclose(after, before, **TOLERANCE)


@settings(max_examples=8, deadline=None)
@given(first=series(), second=series(), third=series())
def test_items_in_another_order_have_their_scores_in_that_order(detector, first, second, third):
    one, two, three = scores_of(detector, first, second, third)
    again = scores_of(detector, third, first, second)
    for found, expected in zip(again, (three, one, two), strict=True):
        np.testing.assert_allclose(found, expected, **TOLERANCE)


@settings(max_examples=5, deadline=None)
@given(values=series())
def test_rows_one_by_one_get_the_scores_of_the_whole(detector, values):
    (whole,) = scores_of(detector, values)
    stream = detector.stream(context_length=CONTEXT)
    streamed = [stream.update(value).anomaly_score for value in values]
    np.testing.assert_allclose(streamed, whole, **TOLERANCE)


@settings(max_examples=8, deadline=None)
@given(values=series(), row=st.integers(0, 149), factor=st.sampled_from([2.0, 100.0]))
def test_a_row_farther_away_has_a_higher_score(detector, values, row, factor):
    row %= len(values)
    if np.isnan(values[row]):
        return
    (before,) = scores_of(detector, values)
    farther = values.copy()
    farther[row] = 100.0 * factor
    farther_still = values.copy()
    farther_still[row] = 1000.0 * factor
    (near,), (far,) = scores_of(detector, farther), scores_of(detector, farther_still)
    assert np.isnan(before[row]) == np.isnan(near[row])
    assert np.isnan(before[row]) or far[row] >= near[row]
