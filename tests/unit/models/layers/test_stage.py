"""A stage reads one resolution: what its pooling discards must be gone, and padding unseen."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tsfm.models.layers.places import Places, causal_places
from tsfm.models.layers.pooling import Pooling
from tsfm.models.layers.stage import Stage

PATCH, TOKENS, WIDTH, HEADS = 8, 5, 12, 2
STILL = torch.zeros(1, 1, TOKENS, 2)


def places() -> Places:
    return causal_places(
        torch.ones(1, TOKENS, dtype=torch.bool), TOKENS, WIDTH, HEADS, is_rotary=True
    )


def make_stage(pool: int, pooling: Pooling = "max", **options: Any) -> Stage:
    config = {"n_layers": 2, "is_linear": True, "norm_first": False, "bias": True, "dropout": 0.0}
    stage = Stage(PATCH, pool, WIDTH, HEADS, 20, pooling=pooling, **(config | options))
    generator = torch.Generator().manual_seed(0)
    for parameter in stage.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5, generator=generator)
    return stage.eval()


@pytest.fixture
def patches() -> Tensor:
    return torch.randn(1, 1, TOKENS, PATCH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("pool", "pooling", "is_same"), [(8, "max", True), (8, "average", False), (1, "max", False)]
)
def test_a_coarse_stage_sees_peaks_only(
    patches: Tensor, pool: int, pooling: Pooling, is_same: bool
) -> None:
    """Patches with other troughs and the same peaks make the same tokens, as published."""
    lower = torch.where(patches < patches.amax(-1, keepdim=True), patches - 5, patches)
    observed = torch.ones_like(patches, dtype=torch.bool)
    stage = make_stage(pool, pooling)
    one, other = (stage(x, observed, STILL, places())[0] for x in (patches, lower))
    assert torch.equal(one, other) == is_same


@pytest.mark.parametrize("is_linear", [True, False])
def test_only_the_plain_embedding_takes_a_missing_point_for_a_zero(
    patches: Tensor, is_linear: bool
) -> None:
    observed = torch.ones_like(patches, dtype=torch.bool)
    gone = observed.clone()
    gone[..., 2, 4:] = False
    zero = torch.where(gone, patches, 0.0)
    stage = make_stage(4, is_linear=is_linear)
    missing, there = (stage(zero, seen, STILL, places())[0] for seen in (gone, observed))
    assert torch.equal(missing, there) == is_linear


def test_only_the_plain_embedding_does_not_see_how_the_units_moved(patches: Tensor) -> None:
    observed = torch.ones_like(patches, dtype=torch.bool)
    for is_linear in (True, False):
        stage = make_stage(1, is_linear=is_linear)
        one, other = (stage(patches, observed, STILL + x, places())[0] for x in (0.0, 0.3))
        assert torch.equal(one, other) == is_linear
