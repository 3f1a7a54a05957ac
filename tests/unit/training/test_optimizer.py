"""Which weights decay, how fast they move, and that Muon is the optimizer it says it is."""

from itertools import pairwise

import pytest
import torch

from tsfm.models.timer import Timer, TimerConfig
from tsfm.training.muon import Muon, orthogonalised
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer, rate_at


def new_backbone() -> Timer:
    return Timer(TimerConfig(d_model=16, n_heads=2, n_layers=2, d_ff=32, patch_length=8))


@pytest.mark.parametrize("shape", [(2, 24, 8), (1, 8, 24), (3, 12, 12)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalised(matrices)
    left, singular, right = torch.linalg.svd(matrices, full_matrices=False)
    assert torch.linalg.svdvals(found).min() > 0.4
    assert torch.linalg.svdvals(found).max() < 1.5
    polar = left @ right
    assert torch.nn.functional.cosine_similarity(found.flatten(1), polar.flatten(1)).min() > 0.95
    assert singular.max() > 2  # which is what had to be removed


def test_one_step_of_muon_is_the_orthogonal_gradient_of_the_stated_size() -> None:
    weight = torch.nn.Parameter(torch.zeros(8, 32))
    gradient = torch.randn(8, 32, generator=torch.Generator().manual_seed(1))
    weight.grad = gradient
    Muon([weight], lr=0.1).step()
    expected = -0.1 * 0.2 * 32**0.5 * orthogonalised(gradient[None])[0]
    torch.testing.assert_close(weight.data, expected, rtol=1e-4, atol=1e-6)
    assert weight.data.square().mean().sqrt() == pytest.approx(0.1 * 0.2, rel=0.2)


def test_matrices_decay_and_vectors_do_not() -> None:
    backbone = new_backbone()
    for group in make_optimizer(backbone, OptimizerConfig(weight_decay=0.1)).param_groups:
        assert all((one.ndim > 1) == (group["weight_decay"] > 0) for one in group["params"])


def test_muon_takes_the_matrices_of_the_layers_and_adamw_the_rest() -> None:
    backbone = new_backbone()
    adamw, vectors, muon = make_optimizer(backbone, OptimizerConfig(name="muon")).param_groups
    hidden = {id(one) for one in backbone.blocks.parameters() if one.ndim == 2}
    assert {id(one) for one in muon["params"]} == hidden
    n_all = len(list(backbone.parameters()))
    assert len(adamw["params"]) + len(vectors["params"]) + len(hidden) == n_all


def test_frozen_weights_are_left_out() -> None:
    backbone = new_backbone()
    backbone.requires_grad_(False)
    backbone.head.requires_grad_(True)
    groups = make_optimizer(backbone, OptimizerConfig()).param_groups
    found = {id(one) for group in groups for one in group["params"]}
    assert found == {id(one) for one in backbone.head.parameters()}


def test_the_rate_rises_stays_and_falls() -> None:
    schedule = ScheduleConfig(warmup_steps=10, decay_share=0.4, final_share=0.1)
    rates = [rate_at(step, 100, 2.0, schedule) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[9:60] == [2.0] * 51
    assert all(later < earlier for earlier, later in pairwise(rates[60:96]))
    assert rates[-1] == pytest.approx(0.2)
