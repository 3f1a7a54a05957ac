"""A changed sample must stay a sample of its class: the same shape, a little bent and scaled."""

from typing import Any

import pytest
import torch

from tsfm.series.windows import WindowBatch
from tsfm.tasks.samples import augmentation
from tsfm.tasks.samples.augmentation import augmented

TIME = 40


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramps(n_samples: int = 50, padding: int = 0, missing: float = 0.0) -> WindowBatch:
    """Every value is the share of its sample's steps that are over, so it tells its place."""
    length = TIME - padding
    through = torch.cat([torch.zeros(padding), torch.arange(length) / max(1, length - 1)])
    inside = (torch.arange(TIME) >= padding).expand(n_samples, TIME)
    values = through[:, None].expand(n_samples, TIME, 2)
    observed = (torch.rand(values.shape, generator=seeded(9)) >= missing) & inside[..., None]
    return WindowBatch(values * observed, observed, inside, torch.arange(n_samples))


@pytest.fixture
def _only_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "SCALING", 0.0)
    monkeypatch.setattr(augmentation, "JITTER", 0.0)


@pytest.mark.parametrize("padding", [0, 15])
def test_no_strength_changes_nothing(padding: int) -> None:
    batch = ramps(padding=padding, missing=0.2)
    found = augmented(batch, 0.0, seeded())
    torch.testing.assert_close(found.values, batch.values, rtol=0, atol=1e-5)
    assert torch.equal(found.observed, batch.observed)


@pytest.mark.usefixtures("_only_stretched")
@pytest.mark.parametrize("padding", [0, 15])
def test_time_never_runs_backwards_and_most_of_a_sample_is_kept(padding: int) -> None:
    batch = ramps(padding=padding)
    found = augmented(batch, 1.0, seeded())
    places = found.values[:, padding:, 0].double()
    assert (places.diff(dim=1) >= -1e-6).all()
    assert (places.diff(dim=1).max(1).values > 1.2 / (TIME - padding - 1)).any()
    assert (places[:, -1] - places[:, 0] >= 1 - augmentation.CROPPING - 1e-5).all()
    assert places.min() >= 0
    assert places.max() <= 1
    assert not found.values[:, :padding].any()
    torch.testing.assert_close(found.values[..., 0], found.values[..., 1])
    assert found.observed.equal(batch.observed)
    assert found.inside.equal(batch.inside)


@pytest.mark.usefixtures("_only_stretched")
def test_a_value_beside_a_missing_one_is_missing() -> None:
    """Otherwise the zero in its place would be mixed in, and lie below the ramp."""
    batch = ramps(missing=0.3)
    found = augmented(batch, 1.0, seeded())
    whole = augmented(ramps(), 1.0, seeded())
    torch.testing.assert_close(found.values[found.observed], whole.values[found.observed])
    assert not found.values[~found.observed].any()
    assert 0.3 < found.observed.float().mean() < 0.7


def test_scaling_and_noise_grow_with_the_strength() -> None:
    ones = ramps(200)
    ones = WindowBatch(torch.ones_like(ones.values), ones.observed, ones.inside, ones.item)
    spreads = [augmented(ones, strength, seeded()).values.std() for strength in (0.1, 0.5, 1.0)]
    assert spreads[0] < spreads[1] < spreads[2]
    expected = (augmentation.SCALING**2 + augmentation.JITTER**2) ** 0.5
    assert spreads[2].item() == pytest.approx(expected, rel=0.15)


def test_a_sample_of_one_step_and_the_same_generator() -> None:
    batch: Any = ramps(padding=TIME - 1)
    assert augmented(batch, 1.0, seeded()).values.isfinite().all()
    first, again = (augmented(ramps(), 1.0, seeded(3)).values for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
