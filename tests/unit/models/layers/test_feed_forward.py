"""Every token passes here by itself: a mixed axis would let tokens talk past the causal mask."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tsfm.models.layers.feed_forward import FeedForward, ResidualMLP

LAYERS = {
    "feed_forward": lambda: FeedForward(6, 10, bias=True, dropout=0.0),
    "residual": lambda: ResidualMLP(6, 10, 6),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_token_is_mapped_by_itself(name: str) -> None:
    layer = LAYERS[name]()
    x = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    together = layer(x)
    assert together.shape == x.shape
    alone = layer(x[1, 2, 3])
    torch.testing.assert_close(together[1, 2, 3], alone)


def test_the_feed_forward_is_two_maps_with_a_gelu_between() -> None:
    layer = FeedForward(6, 10, bias=True, dropout=0.0)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    hidden = F.gelu(x @ layer.expand.weight.T + layer.expand.bias)
    torch.testing.assert_close(layer(x), hidden @ layer.contract.weight.T + layer.contract.bias)


def test_the_feed_forward_has_biases_only_when_asked() -> None:
    names = {name for name, _ in FeedForward(6, 10, bias=False, dropout=0.0).named_parameters()}
    assert names == {"expand.weight", "contract.weight"}


def test_the_feed_forward_drops_in_training_only() -> None:
    layer = FeedForward(6, 1000, bias=False, dropout=0.5)
    x = torch.ones(1, 6)
    assert not torch.allclose(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


def test_the_residual_network_is_its_skip_when_the_correction_is_zero() -> None:
    layer = ResidualMLP(6, 10, 3)
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    correction = F.silu(layer.hidden(x)) @ layer.correction.weight.T
    torch.testing.assert_close(layer(x), layer.skip(x) + correction)
    nn.init.zeros_(layer.correction.weight)
    assert torch.equal(layer(x), layer.skip(x))
