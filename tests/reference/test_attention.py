"""The fused attention against ten obvious lines: masks, rotations and the cache of keys."""

import cmath
import math

import numpy as np
import pytest
import torch

from tsfm.models.layers.attention import SelfAttention
from tsfm.models.layers.positions import rotary_angles

BATCH, TOKENS, HEADS, D_HEAD = 2, 6, 3, 4


def reference(
    layer: SelfAttention, x: np.ndarray, attend: np.ndarray, *, is_rotary: bool
) -> np.ndarray:
    """Attention token by token; a rotation multiplies pairs, read as complex numbers."""
    weight, bias = (p.detach().double().numpy() for p in (layer.qkv.weight, layer.qkv.bias))
    query, key, value = (
        (x @ weight.T + bias).reshape(BATCH, TOKENS, 3, HEADS, D_HEAD).transpose(2, 0, 3, 1, 4)
    )
    if is_rotary:
        query, key = rotated(query), rotated(key)
    mixed = np.zeros((BATCH, TOKENS, HEADS, D_HEAD))
    for row, head, token in np.ndindex(BATCH, HEADS, TOKENS):
        keys = np.flatnonzero(attend[row, token])
        scores = key[row, head, keys] @ query[row, head, token] / math.sqrt(D_HEAD)
        share = np.exp(scores - scores.max())
        mixed[row, token, head] = share / share.sum() @ value[row, head, keys]
    weight, bias = (p.detach().double().numpy() for p in (layer.output.weight, layer.output.bias))
    return mixed.reshape(BATCH, TOKENS, HEADS * D_HEAD) @ weight.T + bias


def rotated(x: np.ndarray) -> np.ndarray:
    half = D_HEAD // 2
    pairs = x[..., :half] + 1j * x[..., half:]
    turn = [[cmath.exp(1j * t / 10_000 ** (i / half)) for i in range(half)] for t in range(TOKENS)]
    pairs = pairs * np.array(turn)
    return np.concatenate([pairs.real, pairs.imag], -1)


@pytest.fixture
def layer() -> SelfAttention:
    layer = SelfAttention(HEADS * D_HEAD, HEADS, bias=True, dropout=0.0)
    generator = torch.Generator().manual_seed(0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5, generator=generator)
    return layer


@pytest.mark.parametrize("is_rotary", [False, True])
@pytest.mark.parametrize("mask", ["all", "causal", "random"])
@torch.no_grad()
def test_fused_attention_equals_ten_obvious_lines(
    layer: SelfAttention, mask: str, is_rotary: bool
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(BATCH, TOKENS, HEADS * D_HEAD, generator=generator)
    attend = torch.ones(BATCH, TOKENS, TOKENS, dtype=torch.bool)
    if mask == "causal":
        attend = attend.tril()
    elif mask == "random":
        attend = (torch.rand(attend.shape, generator=generator) < 0.5) | torch.eye(TOKENS).bool()
    angles = rotary_angles(torch.arange(TOKENS), D_HEAD) if is_rotary else None
    found, _ = layer(x, attend[:, None], angles)
    expected = reference(layer, x.double().numpy(), attend.numpy(), is_rotary=is_rotary)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)
