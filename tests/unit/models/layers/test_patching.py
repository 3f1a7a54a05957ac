"""A cut at the wrong place would shift every target by some steps and still train."""

import numpy as np
import pytest
import torch
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from tsfm.models.layers.patching import following_patches, to_patches


def whole(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values that are all there."""
    observed = torch.ones_like(values, dtype=torch.bool)
    return values, observed, observed[..., 0]


def test_patches_end_with_the_window_and_are_padded_on_the_left() -> None:
    values = torch.arange(1.0, 8.0)[None, :, None]
    window = to_patches(*whole(values), 3)
    assert window.values[0, 0].tolist() == [[0, 0, 1], [2, 3, 4], [5, 6, 7]]
    assert window.observed[0, 0, 0].tolist() == [False, False, True]
    assert window.observed[0, 0, 1:].all()
    assert window.inside.all()


@given(st.integers(1, 4), st.integers(1, 40), st.integers(1, 3), st.integers(1, 9))
def test_patches_laid_end_to_end_are_the_window(
    batch: int, length: int, channels: int, patch_length: int
) -> None:
    values = torch.arange(1.0, batch * length * channels + 1).reshape(batch, length, channels)
    window = to_patches(*whole(values), patch_length)
    joined = rearrange(window.values, "batch channel token patch -> batch (token patch) channel")
    assert torch.equal(joined[:, -length:], values)
    assert not joined[:, :-length].any()


@pytest.mark.parametrize("number", [5.0, float("nan"), float("inf"), -float("inf")])
def test_what_is_not_observed_becomes_zero_whatever_number_is_there(number: float) -> None:
    values, observed, inside = whole(torch.ones(1, 4, 1))
    values[0, 1], observed[0, 1] = number, False
    assert to_patches(values, observed, inside, 2).values.flatten().tolist() == [1, 0, 1, 1]


def test_nothing_is_observed_outside_the_series() -> None:
    values, observed, inside = whole(torch.ones(1, 4, 2))
    inside = torch.tensor([[False, True, True, True]])
    window = to_patches(values, observed, inside, 2)
    assert window.observed[0, :, 0].tolist() == [[False, True]] * 2
    assert window.values[0, :, 0].tolist() == [[0, 1]] * 2


def test_a_token_is_inside_when_one_of_its_steps_is() -> None:
    values, observed, _ = whole(torch.ones(1, 6, 2))
    inside = torch.tensor([[False, False, False, True, True, True]])
    tokens = to_patches(values, observed, inside, 2).inside
    assert tokens.tolist() == [[[False, True, True]] * 2]


@pytest.mark.parametrize("n_patches", [1, 2, 5])
def test_following_patches_are_those_after_each_token_and_zero_past_the_end(n_patches: int) -> None:
    patches = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = following_patches(patches, n_patches).numpy()
    expected = np.zeros((2, 3, 4, n_patches * 5), np.float32)
    for token in range(4):
        for ahead in range(n_patches):
            if token + 1 + ahead < 4:
                place = slice(ahead * 5, ahead * 5 + 5)
                expected[:, :, token, place] = patches[:, :, token + 1 + ahead]
    np.testing.assert_array_equal(found, expected)


def test_a_wrong_shape_is_refused_while_tests_run() -> None:
    """The shape checks themselves: without them every annotation of this package is a comment."""
    values, observed, inside = whole(torch.ones(1, 4, 1))
    with pytest.raises(TypeCheckError, match="inside"):
        to_patches(values, observed, inside[:, :3], 2)
