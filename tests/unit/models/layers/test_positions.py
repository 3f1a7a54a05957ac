"""A wrong position code still trains; it only forecasts worse, and nobody knows why."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsfm.models.layers.positions import rotary_angles, rotate, sinusoidal_code


@pytest.mark.parametrize("d_model", [8, 7])
def test_the_fixed_code_is_that_of_the_paper(d_model: int) -> None:
    """Section 3.5: sin(pos / 10000^(2i/d)) at even places, cosine at odd ones."""
    code = sinusoidal_code(torch.arange(50), d_model)
    assert code.shape == (50, d_model)
    for position in (0, 1, 17, 49):
        for place in range(d_model):
            angle = position / 10_000 ** (2 * (place // 2) / d_model)
            expected = math.cos(angle) if place % 2 else math.sin(angle)
            assert code[position, place].item() == pytest.approx(expected, abs=2e-6)


def test_the_fixed_code_takes_positions_per_row() -> None:
    positions = torch.tensor([[0, 1, 2], [5, 0, 1]])
    code = sinusoidal_code(positions, 6)
    assert torch.equal(code[0], sinusoidal_code(positions[0], 6))
    assert torch.equal(code[1], sinusoidal_code(positions[1], 6))


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 1000))
def test_rotated_products_depend_on_the_distance_only(first: int, second: int, shift: int) -> None:
    query, key = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)).double()

    def product(shift: int) -> float:
        cos, sin = rotary_angles(torch.tensor([first + shift, second + shift]), 8)
        pair = torch.stack([query, key])[None, None]
        left, right = rotate(pair, (cos.double(), sin.double()))[0, 0]
        return (left @ right).item()

    assert product(shift) == pytest.approx(product(0), abs=1e-3)


def test_rotations_keep_lengths_and_leave_the_first_token_alone() -> None:
    x = torch.randn(2, 3, 5, 8, generator=torch.Generator().manual_seed(0))
    turned = rotate(x, rotary_angles(torch.arange(5), 8))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])
    assert not torch.allclose(turned[:, :, 1], x[:, :, 1])
