"""Timer is what users forecast with: no padding, batch, cache or unit may change what it says."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn import functional as F

from tsfm.errors import ConfigError
from tsfm.models.backbone import count_parameters
from tsfm.models.timer import Timer, TimerConfig

Make = Callable[..., Timer]
Draw = Callable[..., Any]

VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "sinusoidal": {"positions": "sinusoidal"},
    "linear": {"embedding": "linear"},
    "normalised last": {"norm_first": False, "bias": True},
    "without arcsinh": {"arcsinh": False},
    "point": {"quantile_levels": ()},
    "seasons": {"seasons": True},
    "window": {"normalization": "window"},
}
CAUSAL = {name: options for name, options in VARIANTS.items() if name != "window"}
# Timer's own sizes; the counts were read off the released checkpoints' shapes.
PUBLISHED_SIZES = {
    "forecasting": (96, 1024, 2048, 8, 67_397_728),
    "imputation": (24, 256, 512, 4, 2_121_240),
    "anomaly": (96, 256, 512, 4, 2_158_176),
}


@pytest.mark.parametrize("n_output_patches", range(1, 9))
@pytest.mark.parametrize("levels", [(), (0.5,), (0.1, 0.5, 0.9)])
def test_every_token_forecasts_the_patches_after_it(
    make_timer: Make, draw_windows: Draw, n_output_patches: int, levels: tuple[float, ...]
) -> None:
    model = make_timer(n_output_patches=n_output_patches, quantile_levels=levels)
    windows = draw_windows(3, 30, 2)
    forecast = model.forecast_patches(*windows)
    assert forecast.values.shape == (3, 2, 8, max(1, len(levels)), 4 * n_output_patches)
    assert forecast.loc.shape == forecast.scale.shape == (3, 2, 8)
    assert model.horizon == 4 * n_output_patches
    assert model.encode(*windows).shape == (3, 2, 8, 16)
    assert model.predict_next(*windows).shape == windows.values.shape


@pytest.mark.parametrize("length", [12, 10])
def test_the_next_patch_is_the_median_of_the_first_patch_ahead(
    make_timer: Make, draw_windows: Draw, length: int
) -> None:
    model, windows = make_timer(), draw_windows(2, length, 2)
    forecast = model.forecast_patches(*windows).in_input_units()
    found = model.predict_next(*windows)
    for end in range(length, 0, -4):
        token = -(-end // 4) - 1
        place = found[:, max(0, end - 4) : end].transpose(1, 2)
        # The first place may be shorter than a patch: it has the end of one.
        median = forecast[:, :, token, 1, :4][..., -place.shape[2] :]
        torch.testing.assert_close(place, median)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("extra", [1, 4, 11])
def test_padding_on_the_left_changes_nothing(
    make_timer: Make, draw_windows: Draw, name: str, extra: int
) -> None:
    model, windows = make_timer(**VARIANTS[name]), draw_windows(3, 28, 2, padding=6)
    padded = [F.pad(x, (0, 0, extra, 0)) for x in windows[:2]]
    before = model.forecast_patches(*windows)
    after = model.forecast_patches(*padded, F.pad(windows.inside, (extra, 0)))
    # A row that starts late has padding of its own, whose tokens forecast nothing.
    for row in range(3):
        n_tokens = 7 - int((~windows.inside[row]).sum()) // 4
        for old, new in _pairs(before, after):
            torch.testing.assert_close(new[row, :, -n_tokens:], old[row, :, -n_tokens:])


def _pairs(before: Any, after: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(before.values, after.values), (before.loc, after.loc), (before.scale, after.scale)]


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("n_patches", [1, 2])
def test_reading_step_by_step_equals_one_pass(
    make_timer: Make, draw_windows: Draw, name: str, n_patches: int
) -> None:
    model, windows = make_timer(**CAUSAL[name]), draw_windows(3, 30, 2, padding=9)
    whole = model.forecast_patches(*windows)
    # The first part takes the incomplete patch.
    ends = range(2 + 4 * n_patches, 31, 4 * n_patches)
    start, state = 0, None
    for end in ends:
        forecast, state = model.read(*(x[:, start:end] for x in windows), state)
        token = -(-end // 4) - 1
        for part, all_of_it in _pairs(forecast, whole):
            torch.testing.assert_close(part[:, :, 0], all_of_it[:, :, token])
        start = end
    assert start >= 26


def test_a_part_that_ends_within_a_patch_cannot_be_followed(
    make_timer: Make, draw_windows: Draw
) -> None:
    model, windows = make_timer(), draw_windows(1, 16, 1)
    _, state = model.read(*(x[:, :8] for x in windows))
    with pytest.raises(
        ConfigError, match=r"must be whole patches of 4 steps .*, got 3 steps; keep"
    ):
        model.read(*(x[:, 8:11] for x in windows), state)


@pytest.mark.parametrize("name", VARIANTS)
def test_only_whole_window_statistics_leak_the_future(
    make_timer: Make, draw_windows: Draw, name: str
) -> None:
    """ADR 0008: as released, what a token says depends on values that it is asked to predict."""
    model, windows = make_timer(**VARIANTS[name]), draw_windows(2, 32, 2, missing=0.0)
    before = model.predict_next(*windows)
    later = windows.values.clone()
    later[:, 20:] = 50 + 10 * later[:, 20:]
    after = model.predict_next(later, windows.observed, windows.inside)
    assert torch.equal(before[:, :20], after[:, :20]) == (name != "window")
    assert not torch.allclose(before[:, 20:], after[:, 20:])


@given(constant=st.floats(-(2.0**60), 2.0**60, width=32), length=st.integers(1, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_the_forecast_of_a_constant_is_that_constant_exactly(
    make_timer: Make, normalization: str, constant: float, length: int
) -> None:
    model = make_timer(normalization=normalization)
    values = torch.full((1, length, 1), constant)
    observed = torch.ones_like(values, dtype=torch.bool)
    forecast = model.forecast_patches(values, observed, observed[..., 0]).in_input_units()
    assert (forecast == constant).all()


@given(factor=st.floats(1e-3, 1e3), level=st.floats(-100, 100), seed=st.integers(0, 99))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", VARIANTS)
def test_forecasts_follow_the_units_of_the_values(
    make_timer: Make, name: str, factor: float, level: float, seed: int
) -> None:
    model = make_timer(**VARIANTS[name]).double()
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, 20, 1, generator=generator, dtype=torch.float64).cumsum(1)
    observed = torch.rand(values.shape, generator=generator) < 0.8
    inside = torch.ones(1, 20, dtype=torch.bool)
    before = model.forecast_patches(values, observed, inside).in_input_units()
    shift = level * factor
    after = model.forecast_patches(factor * values + shift, observed, inside).in_input_units()
    torch.testing.assert_close((after - shift) / factor, before, rtol=1e-5, atol=1e-5)


def test_in_single_precision_a_shift_costs_no_more_than_its_own_rounding(
    make_timer: Make, draw_windows: Draw
) -> None:
    model, windows = make_timer(), draw_windows(3, 40, 1)
    before = model.forecast_patches(*windows).in_input_units()
    shifted = (windows.values + 1000) * windows.observed
    after = model.forecast_patches(shifted, *windows[1:]).in_input_units()
    torch.testing.assert_close(after - 1000, before, rtol=1e-3, atol=1e-2)


def test_timer_as_published_works(
    make_timer: Make, draw_windows: Draw, published: dict[str, Any]
) -> None:
    model, windows = make_timer(**published), draw_windows(2, 24, 1, missing=0.0)
    forecast = model.forecast_patches(*windows)
    mean, spread = windows.values.mean(1), windows.values.std(1, correction=0)
    torch.testing.assert_close(forecast.loc, mean[..., None].expand(2, 1, 6))
    torch.testing.assert_close(forecast.scale, spread[..., None].expand(2, 1, 6))
    assert not forecast.is_arcsinh
    assert forecast.values.shape == (2, 1, 6, 1, 4)
    names = {name for name, _ in model.named_parameters()}
    assert {"embedding.weight", "head.weight", "head.bias"} <= names
    assert "embedding.bias" not in names


@pytest.mark.parametrize("use", PUBLISHED_SIZES)
def test_the_published_configurations_have_the_published_sizes(
    published: dict[str, Any], use: str
) -> None:
    patch, d_model, d_ff, n_layers, size = PUBLISHED_SIZES[use]
    config = TimerConfig(
        **published | {"patch_length": patch, "d_model": d_model, "d_ff": d_ff},
        n_layers=n_layers,
        n_heads=8,
    )
    with torch.device("meta"):
        model = Timer(config)
    assert count_parameters(model) == size
    attention, norms = 4 * (d_model**2 + d_model), 4 * d_model
    network = 2 * d_model * d_ff + d_model + d_ff
    ends = 2 * patch * d_model + patch + 2 * d_model
    assert size == n_layers * (attention + norms + network) + ends


def test_weights_come_from_the_generator_alone() -> None:
    config = TimerConfig(d_model=16, n_heads=2, n_layers=1, d_ff=16)
    first, second = Timer(config), Timer(config)
    for model in (first, second):
        model.reset_parameters(torch.Generator().manual_seed(3))
    for name, parameter in first.named_parameters():
        assert torch.equal(parameter, second.get_parameter(name))
    second.reset_parameters(torch.Generator().manual_seed(4))
    assert not torch.equal(first.head.skip.weight, second.head.skip.weight)


def test_a_fresh_pre_norm_model_starts_with_blocks_that_add_nothing(draw_windows: Draw) -> None:
    model = Timer(TimerConfig(patch_length=4, d_model=16, n_heads=2, n_layers=3, d_ff=16))
    model.reset_parameters(torch.Generator().manual_seed(0))
    windows = draw_windows(2, 16, 1)
    with_blocks = model.encode(*windows)
    model.blocks = model.blocks[:0]
    assert torch.equal(model.encode(*windows), with_blocks)


def test_dropout_acts_in_training_only(make_timer: Make, draw_windows: Draw) -> None:
    model, windows = make_timer(dropout=0.5), draw_windows()
    assert torch.equal(model.encode(*windows), model.encode(*windows))
    model.train()
    assert not torch.equal(model.encode(*windows), model.encode(*windows))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"d_model": 30, "n_heads": 4},
            r"d_model must be a multiple of 2 \* n_heads, got d_model=30 and n_heads=4",
        ),
        ({"n_output_patches": 0}, "n_output_patches must be 1 to 8, got 0"),
        ({"n_output_patches": 9}, "n_output_patches must be 1 to 8, got 9"),
        ({"quantile_levels": (0.5, 0.1)}, r"must rise strictly between 0 and 1, got \(0.5, 0.1\)"),
        ({"quantile_levels": (0.5, 0.5)}, "must rise strictly between 0 and 1"),
        ({"quantile_levels": (0.0, 0.5)}, "must rise strictly between 0 and 1"),
        ({"quantile_levels": (0.5, 1.0)}, "must rise strictly between 0 and 1"),
        ({"quantile_levels": (0.1, 0.9)}, r"must have 0.5 in the middle, got \(0.1, 0.9\)"),
        ({"patch_length": 0}, "patch_length\n.*greater than 0"),
        ({"n_heads": 0}, "n_heads\n.*greater than 0"),
        ({"dropout": 1.0}, "dropout\n.*less than 1"),
        ({"normalization": "none"}, "normalization\n.*'causal' or 'window'"),
        ({"positions": "learned"}, "positions\n.*'rotary' or 'sinusoidal'"),
        ({"depth": 3}, "depth\n.*[Uu]nexpected"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TimerConfig(**options)
