"""Where the normalisation stands decides whether a deep stack trains; both ways are published."""

import pytest
import torch
from torch import nn

from tsfm.models.layers.block import Block

CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril().expand(2, 1, 5, 5)


@pytest.fixture
def x() -> torch.Tensor:
    return 10 * torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))


def make(*, norm_first: bool) -> Block:
    return Block(8, 2, 16, norm_first=norm_first, bias=True, dropout=0.0)


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_block_keeps_the_shape_and_the_order_in_time(x: torch.Tensor, norm_first: bool) -> None:
    block = make(norm_first=norm_first)
    tokens, present = block(x, CAUSAL)
    assert tokens.shape == x.shape
    assert present.key.shape == (2, 2, 5, 4)
    changed = x.clone()
    changed[:, 4] = 0.0
    assert torch.equal(block(changed, CAUSAL)[0][:, :4], tokens[:, :4])


def test_normalised_first_a_block_without_output_is_the_identity(x: torch.Tensor) -> None:
    block = make(norm_first=True)
    for layer in (block.attention.output, block.feed_forward.contract):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    assert torch.equal(block(x, CAUSAL)[0], x)


def test_normalised_last_the_tokens_leave_with_mean_zero_and_variance_one(x: torch.Tensor) -> None:
    tokens, _ = make(norm_first=False)(x, CAUSAL)
    torch.testing.assert_close(tokens.mean(-1), torch.zeros(2, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(tokens.var(-1, correction=0), torch.ones(2, 5), atol=1e-3, rtol=0)


@pytest.mark.parametrize("norm_first", [True, False])
def test_a_block_is_attention_then_feed_forward_with_residuals(
    x: torch.Tensor, norm_first: bool
) -> None:
    block = make(norm_first=norm_first)
    norms = block.attention_norm, block.feed_forward_norm
    nn.init.constant_(norms[0].weight, 2.0)  # so that they cannot change places
    if norm_first:
        middle = x + block.attention(norms[0](x), CAUSAL)[0]
        expected = middle + block.feed_forward(norms[1](middle))
    else:
        middle = norms[0](x + block.attention(x, CAUSAL)[0])
        expected = norms[1](middle + block.feed_forward(middle))
    torch.testing.assert_close(block(x, CAUSAL)[0], expected)
