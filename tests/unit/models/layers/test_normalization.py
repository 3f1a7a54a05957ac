"""The scale of a token decides what a model sees: it may neither drown a value nor leak one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsfm.models.layers.normalization import TOKEN_NORMS, CausalNorm, WindowNorm

FLOATS = st.floats(-(2.0**99), 2.0**99, width=32)


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    observed = torch.rand(2, 3, 6, 5, generator=generator) < 0.7
    observed[0, 0, :2] = False
    patches = 50 + 3 * torch.randn(2, 3, 6, 5, generator=generator)
    return patches * observed, observed


def seen(case: tuple[torch.Tensor, torch.Tensor], index: tuple[int, int], end: int) -> Any:
    """Observed values of one channel, up to a token."""
    patches, observed = (x[index][:end] for x in case)
    return patches[observed].double().numpy()


def test_causal_statistics_are_those_of_all_values_up_to_the_token(case: Any) -> None:
    loc, scale, _ = CausalNorm()(*case)
    for batch, channel, token in np.ndindex(2, 3, 6):
        values = seen(case, (batch, channel), token + 1)
        expected = (values.mean(), values.std()) if len(values) else (0, 0)
        found = loc[batch, channel, token].item(), scale[batch, channel, token].item()
        assert found == pytest.approx(expected, rel=1e-6)


def test_window_statistics_are_those_of_all_values_at_every_token(case: Any) -> None:
    loc, scale, _ = WindowNorm()(*case)
    for batch, channel, token in np.ndindex(2, 3, 6):
        values = seen(case, (batch, channel), 6)
        found = loc[batch, channel, token].item(), scale[batch, channel, token].item()
        assert found == pytest.approx((values.mean(), values.std()), rel=1e-6)


def test_only_window_statistics_move_with_the_future(case: Any) -> None:
    patches, observed = case
    later = patches.clone()
    later[:, :, 4:] += 100 * observed[:, :, 4:]
    for norm, is_moved in ((CausalNorm(), False), (WindowNorm(), True)):
        before, after = norm(patches, observed), norm(later, observed)
        for old, new in ((before.loc, after.loc), (before.scale, after.scale)):
            assert torch.equal(old[:, :, :4], new[:, :, :4]) != is_moved


@pytest.mark.parametrize("split", [1, 3, 5])
def test_causal_statistics_go_on_from_the_sums_of_earlier_tokens(case: Any, split: int) -> None:
    patches, observed = case
    whole = CausalNorm()(patches, observed)
    first = CausalNorm()(patches[:, :, :split], observed[:, :, :split])
    second = CausalNorm()(patches[:, :, split:], observed[:, :, split:], first.sums)
    torch.testing.assert_close(torch.cat([first.loc, second.loc], -1), whole.loc)
    torch.testing.assert_close(torch.cat([first.scale, second.scale], -1), whole.scale)
    torch.testing.assert_close(second.sums, whole.sums)


def test_window_statistics_add_the_sums_of_earlier_tokens(case: Any) -> None:
    patches, observed = case
    whole = WindowNorm()(patches, observed)
    first = WindowNorm()(patches[:, :, :2], observed[:, :, :2])
    second = WindowNorm()(patches[:, :, 2:], observed[:, :, 2:], first.sums)
    torch.testing.assert_close(second.loc, whole.loc[:, :, 2:])
    torch.testing.assert_close(second.scale, whole.scale[:, :, 2:])


@pytest.mark.parametrize("name", TOKEN_NORMS)
@given(constant=FLOATS, n_tokens=st.integers(1, 40))
def test_a_constant_has_itself_as_location_and_no_scale(
    name: str, constant: float, n_tokens: int
) -> None:
    patches = torch.full((1, 1, n_tokens, 7), constant)
    loc, scale, _ = TOKEN_NORMS[name]()(patches, torch.ones_like(patches, dtype=torch.bool))
    assert (loc == constant).all()
    assert (scale == 0).all()


@pytest.mark.parametrize("name", TOKEN_NORMS)
def test_a_level_of_thousands_does_not_drown_a_small_spread(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    patches = 1000 + 0.1 * torch.randn(1, 1, 64, 16, generator=generator)
    found = TOKEN_NORMS[name]()(patches, torch.ones_like(patches, dtype=torch.bool))
    expected = patches.double().std(correction=0).item()
    assert found.scale[0, 0, -1].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", TOKEN_NORMS)
def test_nothing_observed_gives_zeros(name: str) -> None:
    patches = torch.zeros(1, 2, 3, 4)
    loc, scale, sums = TOKEN_NORMS[name]()(patches, torch.zeros_like(patches, dtype=torch.bool))
    assert not loc.any()
    assert not scale.any()
    assert not sums.any()


def test_the_norms_say_whether_they_are_causal() -> None:
    assert {name: norm.is_causal for name, norm in TOKEN_NORMS.items()} == {
        "causal": True,
        "window": False,
    }
