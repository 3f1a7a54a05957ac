"""The line through the gaps is what a two-sided model corrects: numpy draws the same one."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsfm.models.layers.gaps import FAR, bridge, roughness

SEEDS = st.integers(0, 10**6)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=generator.integers(1, 40)).astype(np.float32)
    return values, generator.random(len(values)) < generator.random()


def as_batch(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)[None, :, None]


@given(seed=SEEDS)
def test_the_line_is_that_of_numpy_with_the_nearest_value_at_the_ends(seed: int) -> None:
    values, visible = draw(seed)
    found = bridge(as_batch(values), as_batch(visible))
    place, step = np.flatnonzero(visible), np.arange(len(values))
    expected = np.interp(step, place, values[place]) if len(place) else np.zeros(len(values))
    np.testing.assert_allclose(found.values[0, :, 0].numpy(), expected, atol=1e-5)
    for number in step:
        before, after = place[place <= number], place[place >= number]
        assert found.before[0, number, 0] == (number - before[-1] if len(before) else FAR)
        assert found.after[0, number, 0] == (after[0] - number if len(after) else FAR)


@given(seed=SEEDS)
def test_what_is_not_visible_has_no_say(seed: int) -> None:
    values, visible = draw(seed)
    other = np.where(visible, values, np.float32(np.nan))
    line, moved = (bridge(as_batch(one), as_batch(visible)).values for one in (values, other))
    assert torch.equal(line, moved)
    first, second = (roughness(as_batch(one), as_batch(visible)) for one in (values, other))
    assert torch.equal(first, second)


@given(seed=SEEDS)
def test_visible_values_are_kept_to_the_bit(seed: int) -> None:
    values, visible = draw(seed)
    line = bridge(as_batch(values), as_batch(visible)).values[0, :, 0].numpy()
    assert np.array_equal(line[visible], values[visible])


@given(seed=SEEDS)
def test_roughness_is_the_mean_step_between_visible_neighbours(seed: int) -> None:
    values, visible = draw(seed)
    place = np.flatnonzero(visible)
    expected = 0.0
    if len(place) > 1:
        expected = np.mean(np.abs(np.diff(values[place])) / np.sqrt(np.diff(place)))
    found = roughness(as_batch(values), as_batch(visible)).item()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
