"""The hierarchy against plain loops: pooled tokens, and the released model from window to forecast.

The loops follow the paper step by step, in float64, with the weights of the model.
"""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tsfm.models.gpht import GPHT, GPHTConfig
from tsfm.models.layers.pooling import Pooling, pool_patches

PATCH, TOKENS, POOLS, WIDTH, HEADS = 8, 5, (8, 4, 2, 1), 12, 2
Weights = dict[str, np.ndarray]


def pooled(values: np.ndarray, observed: np.ndarray, size: int, pooling: str) -> np.ndarray:
    """Point by point; NaN where nothing was observed."""
    points = np.full((len(values), values.shape[1] // size), np.nan)
    for token, point in np.ndindex(*points.shape):
        steps = range(point * size, (point + 1) * size)
        seen = [values[token, step] for step in steps if observed[token, step]]
        if seen:
            points[token, point] = max(seen) if pooling == "max" else sum(seen) / len(seen)
    return points


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("size", POOLS)
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_pooled_patches_equal_a_plain_loop(pooling: Pooling, size: int, missing: float) -> None:
    generator = torch.Generator().manual_seed(size)
    # Mostly negative, so that a missing zero would win every maximum.
    patches = torch.randn(2, 3, TOKENS, PATCH, generator=generator).double() - 2
    observed = torch.rand(patches.shape, generator=generator) >= missing
    found, seen = pool_patches(patches, observed, size, pooling)
    for row, channel in np.ndindex(2, 3):
        expected = pooled(
            patches[row, channel].numpy(), observed[row, channel].numpy(), size, pooling
        )
        assert (seen[row, channel].numpy() == ~np.isnan(expected)).all()
        np.testing.assert_allclose(found[row, channel].numpy(), np.nan_to_num(expected), rtol=1e-12)


@pytest.mark.parametrize("size", POOLS)
def test_pooling_within_patches_is_pooling_over_the_whole_window(size: int) -> None:
    """As released: the window is pooled first, then cut into tokens."""
    window = torch.randn(3, 1, TOKENS * PATCH, generator=torch.Generator().manual_seed(0))
    expected = F.max_pool1d(window, size).reshape(3, 1, TOKENS, PATCH // size)
    patches = window.reshape(3, 1, TOKENS, PATCH)
    found, _ = pool_patches(patches, torch.ones_like(patches, dtype=torch.bool), size, "max")
    assert torch.equal(found, expected)


def forecast_by_hand(weights: Weights, window: np.ndarray, n_layers: int) -> np.ndarray:
    """What every token of one window says of the patch after it, in the units of the window."""
    mean, spread = window.mean(), window.std()
    first = (window - mean) / spread
    residual, total = first.reshape(TOKENS, PATCH), np.zeros((TOKENS, PATCH))
    for stage, pool in enumerate(POOLS):
        own = {
            key.removeprefix(f"stages.{stage}."): value
            for key, value in weights.items()
            if key.startswith(f"stages.{stage}.")
        }
        everything = np.ones(residual.shape, bool)
        x = pooled(residual, everything, pool, "max") @ own["embedding.weight"].T
        x = x + position_code()
        for layer in range(n_layers):
            x = block(own, f"blocks.{layer}.", x)
        x = normalised(own, "norm", x)
        output = x @ weights[f"heads.{stage}.weight"].T + weights[f"heads.{stage}.bias"]
        total = total + output
        moved = np.zeros_like(output)
        for token in range(1, TOKENS):
            moved[token] = output[token - 1]
        residual = residual - moved
    return total * spread + mean


def position_code() -> np.ndarray:
    code = np.zeros((TOKENS, WIDTH))
    for token, place in np.ndindex(TOKENS, WIDTH // 2):
        angle = token / 10_000 ** (2 * place / WIDTH)
        code[token, 2 * place : 2 * place + 2] = math.sin(angle), math.cos(angle)
    return code


def block(own: Weights, name: str, x: np.ndarray) -> np.ndarray:
    def linear(part: str, x: np.ndarray) -> np.ndarray:
        return x @ own[f"{name}{part}.weight"].T + own[f"{name}{part}.bias"]

    query, key, value = np.split(linear("attention.qkv", x), 3, axis=1)
    mixed = np.zeros_like(x)
    width = WIDTH // HEADS
    for head, token in np.ndindex(HEADS, TOKENS):
        part = slice(head * width, (head + 1) * width)
        scores = key[: token + 1, part] @ query[token, part] / math.sqrt(width)
        share = np.exp(scores - scores.max())
        mixed[token, part] = share / share.sum() @ value[: token + 1, part]
    x = normalised(own, f"{name}attention_norm", x + linear("attention.output", mixed))
    hidden = linear("feed_forward.expand", x)
    hidden = hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2))) / 2
    return normalised(own, f"{name}feed_forward_norm", x + linear("feed_forward.contract", hidden))


def normalised(own: Weights, name: str, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(1, keepdims=True)
    scaled = centred / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    return scaled * own[f"{name}.weight"] + own[f"{name}.bias"]


@torch.no_grad()
def test_the_published_model_equals_the_paper_step_by_step() -> None:
    config = GPHTConfig(
        patch_length=PATCH,
        pools=POOLS,
        d_model=WIDTH,
        n_heads=HEADS,
        n_layers=2,
        d_ff=20,
        quantile_levels=(),
        normalization="window",
        positions="sinusoidal",
        embedding="linear",
        norm_first=False,
        bias=True,
        arcsinh=False,
    )
    model = GPHT(config).double().eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.normal_(0.0, 0.4, generator=generator)
    weights = {name: one.numpy() for name, one in model.state_dict().items()}
    values = torch.randn(2, PATCH * TOKENS, 2, generator=generator).double().cumsum(1)
    observed = torch.ones_like(values, dtype=torch.bool)
    found = model.forecast_patches(values, observed, observed[..., 0]).in_input_units()
    for row, channel in np.ndindex(2, 2):
        expected = forecast_by_hand(weights, values[row, :, channel].numpy(), config.n_layers)
        # The fixed code of positions is float32.
        np.testing.assert_allclose(
            found[row, channel, :, 0].numpy(), expected, rtol=1e-5, atol=1e-5
        )
