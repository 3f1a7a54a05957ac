"""GPHT subtracts forecasts from inputs: one wrong shift or unit and a stage sees its own target."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tsfm.models.backbone import PatchForecast, count_parameters
from tsfm.models.gpht import GPHT, GPHTConfig
from tsfm.models.layers.patching import to_patches
from tsfm.objectives.next_patch import normalized
from tsfm.training.policies import apply_policy

Make = Callable[..., GPHT]
Draw = Callable[..., Any]
PATCH = 4
# Those of `make_gpht`.
VARIANTS = ("ours", "average", "point", "causal, else published", "published")
# The settings of the released scripts.
PUBLISHED_SIZE: dict[str, Any] = {
    "patch_length": 48,
    "pools": (8, 4, 2, 1),
    "d_model": 512,
    "n_heads": 8,
    "n_layers": 3,
    "d_ff": 2048,
    "dropout": 0.1,
}


def stage_inputs(model: GPHT, windows: Any) -> list[Tensor]:
    """What every stage reads of `windows`."""
    read: list[Tensor] = []
    hooks = [
        stage.register_forward_pre_hook(lambda _, arguments: read.append(arguments[0]))
        for stage in model.stages
    ]
    model.forecast_patches(*windows)
    for hook in hooks:
        hook.remove()
    return read


@pytest.mark.parametrize("n_output_patches", [1, 2, 8])
@pytest.mark.parametrize("levels", [(), (0.5,), (0.1, 0.5, 0.9)])
def test_every_token_forecasts_the_patches_after_it(
    make_gpht: Make, draw_windows: Draw, n_output_patches: int, levels: tuple[float, ...]
) -> None:
    model = make_gpht(n_output_patches=n_output_patches, quantile_levels=levels)
    windows = draw_windows(3, 30, 2)
    forecast = model.forecast_patches(*windows)
    assert forecast.values.shape == (3, 2, 8, max(1, len(levels)), PATCH * n_output_patches)
    assert forecast.loc.shape == forecast.scale.shape == (3, 2, 8)
    assert model.horizon == PATCH * n_output_patches
    assert model.encode(*windows).shape == (3, 2, 8, 16)
    assert model.predict_next(*windows).shape == windows.values.shape


@pytest.mark.parametrize("length", [12, 10])
def test_the_next_patch_is_the_median_of_the_first_patch_ahead(
    make_gpht: Make, draw_windows: Draw, length: int
) -> None:
    model, windows = make_gpht(), draw_windows(2, length, 2)
    forecast = model.forecast_patches(*windows).in_input_units()
    found = model.predict_next(*windows)
    for end in range(length, 0, -PATCH):
        token = -(-end // PATCH) - 1
        place = found[:, max(0, end - PATCH) : end].transpose(1, 2)
        # The first place may be shorter than a patch: it has the end of one.
        median = forecast[:, :, token, 1, :PATCH][..., -place.shape[2] :]
        torch.testing.assert_close(place, median)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_forecast_is_the_sum_over_the_stages(
    make_gpht: Make, draw_windows: Draw, name: str
) -> None:
    model, windows = make_gpht(name), draw_windows(2, 20, 2)
    parts = model.forecast_by_stage(*windows)
    assert len(parts) == 3
    assert all(part.abs().max() > 0.1 for part in parts)
    torch.testing.assert_close(parts.sum(0), model.forecast_patches(*windows).values)


def test_a_token_is_the_sum_over_the_stages_too(make_gpht: Make, draw_windows: Draw) -> None:
    model, windows = make_gpht(), draw_windows(2, 20, 2)
    made: list[Tensor] = []
    for stage in model.stages:
        stage.register_forward_hook(lambda _, __, output: made.append(output[0]))
    found = model.encode(*windows)
    torch.testing.assert_close(found, made[0] + made[1] + made[2])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_stage_reads_what_those_before_it_left_of_the_target(
    make_gpht: Make, draw_windows: Draw, name: str
) -> None:
    """The target is that of the training loss, in the units of the token that forecasts it."""
    model, windows = make_gpht(name), draw_windows(3, 28, 2, padding=9)
    forecast = model.forecast_patches(*windows)
    window = to_patches(*windows, PATCH)
    earlier = PatchForecast(
        forecast.values[:, :, :-1],
        forecast.loc[:, :, :-1],
        forecast.scale[:, :, :-1],
        forecast.is_arcsinh,
    )
    target = normalized(window.values[:, :, 1:], earlier)
    counted = (earlier.scale > 0)[..., None] & window.observed[:, :, 1:]
    assert counted[1].any()
    said = torch.zeros_like(target)
    first, *later = stage_inputs(model, windows)
    for part, residual in zip(model.forecast_by_stage(*windows), later, strict=False):
        said = said + part[:, :, :-1, part.shape[3] // 2, :PATCH]
        found = residual[:, :, 1:]
        torch.testing.assert_close(found[counted], (target - said)[counted])
        # What nobody could forecast is read as it is, and what is missing is zero.
        assert torch.equal(found[~counted], first[:, :, 1:][~counted])
        assert torch.equal(residual[:, :, 0], first[:, :, 0])
        assert (residual[~window.observed] == 0).all()


@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_a_perfect_first_stage_leaves_nothing_but_the_first_patch(
    make_gpht: Make, normalization: str
) -> None:
    model = make_gpht("published", normalization=normalization)
    pattern = torch.tensor([1.0, -2.0, 0.5, 4.0])
    values = pattern.repeat(6)[None, :, None]
    everything = torch.ones_like(values, dtype=torch.bool)
    head = model.heads[0]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.copy_((pattern - pattern.mean()) / pattern.std(correction=0))
    first, second, _ = stage_inputs(model, (values, everything, everything[..., 0]))
    assert second[:, :, 1:].abs().max() < 1e-5
    assert torch.equal(second[:, :, 0], first[:, :, 0])
    assert first.abs().min() > 0.01


@pytest.mark.parametrize("name", VARIANTS)
def test_without_heads_the_forecast_is_the_mean_of_what_was_seen(
    make_gpht: Make, draw_windows: Draw, name: str
) -> None:
    model, windows = make_gpht(name), draw_windows(2, 24, 2)
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.zero_()
    forecast = model.forecast_patches(*windows).in_input_units()
    for row in range(2):
        for channel in range(2):
            seen = windows.values[row, :, channel][windows.observed[row, :, channel]]
            assert forecast[row, channel, -1].flatten().tolist() == pytest.approx(
                [seen.mean().item()] * forecast[row, channel, -1].numel(), abs=1e-5
            )


def test_a_jump_after_a_constant_is_in_no_unit_that_could_blow_up(make_gpht: Make) -> None:
    """The token before has no scale, so nothing may be divided by it."""
    model = make_gpht(quantile_levels=(), arcsinh=False)
    values = torch.full((1, 16, 1), 3.0)
    values[:, 9:] = 1e6
    everything = torch.ones_like(values, dtype=torch.bool)
    for residual in stage_inputs(model, (values, everything, everything[..., 0])):
        assert residual[:, :, 2].abs().max() < 10


def test_the_published_configuration_has_the_published_size(published: dict[str, Any]) -> None:
    config = GPHTConfig(**published, **PUBLISHED_SIZE)
    with torch.device("meta"):
        model = GPHT(config)
    assert count_parameters(model) == 37_977_280
    assert count_parameters(model) == pytest.approx(38e6, rel=0.01)
    d_model, d_ff = config.d_model, config.d_ff
    attention, norms = 4 * (d_model**2 + d_model), 4 * d_model
    network = 2 * d_model * d_ff + d_model + d_ff
    points = sum(48 // pool for pool in config.pools)
    head = 48 * d_model + 48
    stage = 3 * (attention + norms + network) + 2 * d_model
    assert count_parameters(model) == 4 * (stage + head) + points * d_model


def test_head_tuning_moves_the_heads_of_all_stages_and_nothing_else(
    published: dict[str, Any],
) -> None:
    with torch.device("meta"):
        model = GPHT(GPHTConfig(**published, **PUBLISHED_SIZE))
    apply_policy(model, "head", generator=torch.Generator())
    free = {name: one for name, one in model.named_parameters() if one.requires_grad}
    assert {name.rsplit(".", 1)[0] for name in free} == {f"heads.{stage}" for stage in range(4)}
    # 0.26 % of the weights, as in the released scripts.
    assert sum(one.numel() for one in free.values()) == 98_496


def test_weights_come_from_the_generator_alone() -> None:
    config = GPHTConfig(d_model=16, n_heads=2, d_ff=16)
    first, second = GPHT(config), GPHT(config)
    for model in (first, second):
        model.reset_parameters(torch.Generator().manual_seed(3))
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name))
    second.reset_parameters(torch.Generator().manual_seed(4))
    pairs = zip(first.heads.parameters(), second.heads.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)


def test_fresh_pre_norm_blocks_add_nothing(draw_windows: Draw) -> None:
    config = GPHTConfig(patch_length=8, d_model=16, n_heads=2, n_layers=2, d_ff=16)
    model, windows = GPHT(config), draw_windows(2, 32, 1)
    model.reset_parameters(torch.Generator().manual_seed(0))
    with_blocks = model.forecast_patches(*windows).values
    for stage in model.stages:
        stage.blocks = stage.blocks[:0]
    assert torch.equal(model.forecast_patches(*windows).values, with_blocks)


def test_dropout_acts_in_training_only(make_gpht: Make, draw_windows: Draw) -> None:
    model, windows = make_gpht(dropout=0.5), draw_windows()
    assert torch.equal(model.encode(*windows), model.encode(*windows))
    model.train()
    assert not torch.equal(model.encode(*windows), model.encode(*windows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pools": (3,)}, r"divisors of patch_length, .* got pools=\(3,\) and patch_length=16"),
        ({"pools": ()}, r"at least one, got pools=\(\)"),
        ({"pools": (0,)}, "pools.0\n.*greater than 0"),
        ({"pooling": "min"}, "pooling\n.*'max' or 'average'"),
        (
            {"d_model": 30, "n_heads": 4},
            r"d_model must be a multiple of 2 \* n_heads, got d_model=30 and n_heads=4",
        ),
        ({"n_output_patches": 9}, "n_output_patches must be 1 to 8, got 9"),
        ({"quantile_levels": (0.5, 0.1)}, r"must rise strictly between 0 and 1, got \(0.5, 0.1\)"),
        ({"quantile_levels": (0.1, 0.9)}, r"must have 0.5 in the middle, got \(0.1, 0.9\)"),
        ({"normalization": "none"}, "normalization\n.*'causal' or 'window'"),
        ({"depth": 3}, "depth\n.*[Uu]nexpected"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        GPHTConfig(**options)
