"""A season that is not there would be worse than none; one that is there is half of the answer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsfm.models.layers.gaps import bridge
from tsfm.models.layers.season import SHORTEST_PERIOD, Season, seasonal_bridge


def find(values: torch.Tensor, visible: torch.Tensor) -> Season:
    return seasonal_bridge(values, visible, bridge(values, visible).values)


def wave(period: int, time: int = 120, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = np.random.default_rng(seed)
    profile = generator.normal(size=period).cumsum()
    profile -= profile.mean()
    values = torch.from_numpy(profile[np.arange(time) % period].astype(np.float32))[None, :, None]
    visible = torch.from_numpy(generator.random(time) < 0.8)[None, :, None]
    return values, visible


@pytest.mark.parametrize("period", [4, 7, 12, 24, 30])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_clean_season_is_found_and_fills_every_phase_that_was_seen(
    period: int, seed: int
) -> None:
    values, visible = wave(period, seed=seed)
    found = find(values, visible)
    assert found.period.item() % period == 0
    assert found.strength.item() > 0.95
    seen = {int(step) % found.period.item() for step in visible[0, :, 0].nonzero()}
    there = torch.tensor([step % found.period.item() in seen for step in range(120)])
    torch.testing.assert_close(found.values[0, there], values[0, there], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("period", [10, 11])
def test_the_strength_is_what_the_other_values_of_a_phase_foretell(period: int) -> None:
    values, visible = wave(period, seed=3)
    values = values + torch.randn(values.shape, generator=torch.Generator().manual_seed(0))
    found = find(values, visible)
    lag = found.period.item()
    seen = visible[0, :, 0].numpy()
    centred = values[0, :, 0].numpy() - values[0, :, 0].numpy()[seen].mean()
    error = 0.0
    for step in np.flatnonzero(seen):
        others = [n for n in np.flatnonzero(seen) if n % lag == step % lag and n != step]
        error += (centred[step] - (centred[others].mean() if others else 0.0)) ** 2
    assert found.strength.item() == pytest.approx(1 - error / (centred[seen] ** 2).sum(), abs=1e-4)


def test_noise_alone_has_hardly_a_season() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(20, 400, 1, generator=generator)
    found = find(values, torch.rand(20, 400, 1, generator=generator) < 0.8)
    assert found.strength.max() < 0.1


def test_a_period_that_is_not_common_is_found_where_it_repeats_well() -> None:
    values, visible = wave(17, time=200)
    assert find(values, visible).period.item() == 17


@pytest.mark.parametrize("kind", ["constant", "line", "nothing", "short"])
def test_without_a_season_the_line_is_what_is_left(kind: str) -> None:
    time = SHORTEST_PERIOD if kind == "short" else 40
    values = torch.arange(time).float()[None, :, None]
    if kind == "constant":
        values = torch.full_like(values, 3.0)
    visible = torch.ones_like(values, dtype=torch.bool)
    visible[:, 3] = False
    if kind == "nothing":
        visible[:] = False
    found = find(values, visible)
    assert found.strength.item() == 0
    assert torch.equal(found.values, bridge(values, visible).values)


@given(seed=st.integers(0, 10**6), shift=st.floats(-10, 10), scale=st.floats(0.1, 10))
def test_hidden_values_and_units_have_no_say(seed: int, shift: float, scale: float) -> None:
    values, visible = wave(9, seed=seed)
    before = find(values, visible)
    other = torch.where(visible, values * scale + shift, float("nan"))
    after = find(other, visible)
    torch.testing.assert_close((after.values - shift) / scale, before.values, atol=1e-2, rtol=1e-3)
    assert torch.equal(after.values[visible], other[visible])
