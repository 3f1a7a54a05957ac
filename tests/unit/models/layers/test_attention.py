"""Attention decides who may know what: a key that is hidden must be as if it were not there."""

import pytest
import torch
from torch import nn

from tsfm.models.layers.attention import KeyValue, SelfAttention
from tsfm.models.layers.positions import rotary_angles


@pytest.fixture
def layer() -> SelfAttention:
    layer = SelfAttention(8, 2, bias=True, dropout=0.0)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, 0.0, 0.5, generator=generator)
    return layer.requires_grad_(False)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))


CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril().expand(3, 1, 5, 5)


def test_shapes(layer: SelfAttention, x: torch.Tensor) -> None:
    mixed, present = layer(x, CAUSAL)
    assert mixed.shape == x.shape
    assert present.key.shape == present.value.shape == (3, 2, 5, 4)


def test_a_key_that_may_not_be_attended_to_has_no_influence(
    layer: SelfAttention, x: torch.Tensor
) -> None:
    before, _ = layer(x, CAUSAL)
    changed = x.clone()
    changed[:, 3:] = 100.0
    after, _ = layer(changed, CAUSAL)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_equal_keys_give_the_mean_of_the_values(layer: SelfAttention, x: torch.Tensor) -> None:
    layer.qkv.weight[:16] = 0  # queries and keys
    layer.output.weight.copy_(torch.eye(8))
    layer.output.bias.zero_()
    mixed, _ = layer(x, CAUSAL)
    value = x @ layer.qkv.weight[16:].T + layer.qkv.bias[16:]
    expected = torch.stack([value[:, : end + 1].mean(1) for end in range(5)], 1)
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("is_rotary", [False, True])
def test_keys_of_the_past_stand_before_the_new_ones(
    layer: SelfAttention, x: torch.Tensor, is_rotary: bool
) -> None:
    angles = rotary_angles(torch.arange(5), 4) if is_rotary else None
    early = late = None
    if angles is not None:
        cos, sin = angles
        early, late = (cos[:3], sin[:3]), (cos[3:], sin[3:])
    whole, present = layer(x, CAUSAL, angles)
    first, past = layer(x[:, :3], CAUSAL[:, :, :3, :3], early)
    second, both = layer(x[:, 3:], CAUSAL[:, :, 3:], late, past)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(both, present)
    assert isinstance(both, KeyValue)


def test_weights_are_dropped_in_training_only() -> None:
    layer = SelfAttention(8, 2, bias=False, dropout=0.5)
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(layer(x, CAUSAL)[0], layer(x, CAUSAL)[0])
    layer.eval()
    assert torch.equal(layer(x, CAUSAL)[0], layer(x, CAUSAL)[0])
