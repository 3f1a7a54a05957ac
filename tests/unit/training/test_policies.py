"""A policy must move exactly the weights it names, and leave a plain model behind."""

from collections.abc import Callable

import pytest
import torch

from tsfm.errors import ConfigError
from tsfm.models.timer import Timer, TimerConfig
from tsfm.training.policies import Mode, apply_policy, keep_share, merge

INPUT = (torch.randn(2, 48, 1), torch.ones(2, 48, 1).bool(), torch.ones(2, 48).bool())


def new_backbone() -> Timer:
    backbone = Timer(TimerConfig(d_model=16, n_heads=2, n_layers=3, d_ff=32, patch_length=8))
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return backbone


def moved(mode: Mode, done: float = 0.0) -> set[str]:
    """Names of the weights that one step moves, after low-rank corrections are folded in."""
    backbone = new_backbone()
    # At the start the projections are zero, which stops the gradient of what lies before them.
    for parameter in backbone.parameters():
        parameter.data += 0.05
    before = {name: one.clone() for name, one in backbone.state_dict().items()}
    thaw: Callable[[float], None] | None = apply_policy(
        backbone, mode, rank=2, generator=torch.Generator().manual_seed(0)
    )
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.1)
    if thaw is not None:
        thaw(done)
    for _ in range(2):
        optimizer.zero_grad()
        backbone.forecast_patches(*INPUT).values.square().sum().backward()
        optimizer.step()
    merge(backbone)
    after = backbone.state_dict()
    assert list(after) == list(before)
    assert all(one.requires_grad for one in backbone.parameters())
    return {name for name in after if not torch.equal(after[name], before[name])}


def test_full_moves_everything() -> None:
    assert moved("full") == set(new_backbone().state_dict())


def test_head_moves_the_head_only() -> None:
    assert {name.split(".")[0] for name in moved("head")} == {"head"}


def test_lora_moves_the_head_and_every_matrix_of_the_blocks() -> None:
    names = new_backbone().state_dict()
    assert moved("lora") == {
        name
        for name in names
        if name.startswith("head.") or (name.startswith("blocks.") and "norm" not in name)
    }


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (0.0, {"head"}),
        (0.21, {"head", "blocks.2"}),
        (0.61, {"head", "blocks.2", "blocks.1", "blocks.0"}),
        (0.81, {"head", "blocks.2", "blocks.1", "blocks.0", "embedding", "norm"}),
    ],
)
def test_gradual_frees_from_the_head_downwards(done: float, expected: set[str]) -> None:
    found = {
        ".".join(name.split(".")[: 2 if name.startswith("blocks") else 1])
        for name in moved("gradual", done)
    }
    assert found == expected


def test_lora_starts_from_the_very_forecasts_and_has_few_weights() -> None:
    backbone = new_backbone()
    with torch.no_grad():
        before = backbone.forecast_patches(*INPUT).values
        apply_policy(backbone, "lora", rank=2, generator=torch.Generator().manual_seed(0))
        assert torch.equal(backbone.forecast_patches(*INPUT).values, before)
    free = sum(one.numel() for one in backbone.parameters() if one.requires_grad)
    head = sum(one.numel() for one in backbone.head.parameters())
    assert free - head == 3 * 2 * (16 + 48 + 16 + 16 + 16 + 32 + 32 + 16)


def test_a_backbone_without_a_head_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"mode='head' needs a backbone .*got Linear"):
        apply_policy(torch.nn.Linear(2, 2), "head", generator=torch.Generator())


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_share_of_the_way_is_taken_back(share: float) -> None:
    backbone = new_backbone()
    before = {name: one.clone() for name, one in backbone.state_dict().items()}
    for parameter in backbone.parameters():
        parameter.data += 0.5
    keep_share(backbone, before, share)
    for name, one in backbone.state_dict().items():
        torch.testing.assert_close(one, before[name] + (1 - share) * 0.5)


def test_a_rank_above_that_of_every_matrix_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    apply_policy(new_backbone(), "lora", rank=16, generator=generator)
    with pytest.raises(ConfigError, match=r"rank must be at most 16, .* got 17; lower it, or pass"):
        apply_policy(new_backbone(), "lora", rank=17, generator=generator)
