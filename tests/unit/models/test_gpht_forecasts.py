"""A forecast of GPHT depends on the past alone, however it is read, and follows its units."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from tsfm.errors import ConfigError
from tsfm.models.backbone import PatchForecast
from tsfm.models.gpht import GPHT
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.roll_out import roll_out

Make = Callable[..., GPHT]
Draw = Callable[..., Any]
Mode = Literal["masked", "autoregressive"]
MODES: tuple[Mode, ...] = ("masked", "autoregressive")
PATCH = 4
# Those of `make_gpht`.
VARIANTS = ("ours", "average", "point", "causal, else published", "published")


def wrapped(backbone: GPHT) -> TimeSeriesModel:
    return TimeSeriesModel("gpht", backbone, 64, Provenance())


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("extra", [1, 4, 11])
def test_padding_on_the_left_changes_nothing(
    make_gpht: Make, draw_windows: Draw, name: str, extra: int
) -> None:
    model, windows = make_gpht(name), draw_windows(3, 28, 2, padding=6)
    padded = [F.pad(x, (0, 0, extra, 0)) for x in windows[:2]]
    before = model.forecast_patches(*windows)
    after = model.forecast_patches(*padded, F.pad(windows.inside, (extra, 0)))
    # A row that starts late has padding of its own, whose tokens forecast nothing.
    for row in range(3):
        n_tokens = 7 - int((~windows.inside[row]).sum()) // PATCH
        for old, new in _pairs(before, after):
            torch.testing.assert_close(new[row, :, -n_tokens:], old[row, :, -n_tokens:])
        assert (after.scale[row, :, :-n_tokens] == 0).all()


def _pairs(before: PatchForecast, after: PatchForecast) -> list[tuple[Tensor, Tensor]]:
    return [(before.values, after.values), (before.loc, after.loc), (before.scale, after.scale)]


@pytest.mark.parametrize("name", VARIANTS)
def test_only_whole_window_statistics_leak_the_future(
    make_gpht: Make, draw_windows: Draw, name: str
) -> None:
    """ADR 0008: as released, what a token says depends on values that it is asked to predict."""
    model, windows = make_gpht(name), draw_windows(2, 32, 2, missing=0.0)
    before = model.predict_next(*windows)
    for end in range(PATCH, 32, PATCH):
        later = windows.values.clone()
        later[:, end:] = 50 + 10 * later[:, end:]
        after = model.predict_next(later, windows.observed, windows.inside)
        assert torch.equal(before[:, :end], after[:, :end]) == (name != "published")
        assert not torch.allclose(before[:, end:], after[:, end:])


def test_the_leak_of_the_published_variant_is_in_its_statistics_alone(
    make_gpht: Make, draw_windows: Draw
) -> None:
    """Pooling, residuals and attention are causal: with equal statistics nothing moves."""
    model, windows = make_gpht("published"), draw_windows(2, 32, 1, missing=0.0)
    mirrored = windows.values.clone()
    # The same values in another order, so the window has the same statistics.
    mirrored[:, 20:] = mirrored[:, 20:].flip(1)
    before = model.forecast_patches(*windows).values
    after = model.forecast_patches(mirrored, windows.observed, windows.inside).values
    torch.testing.assert_close(before[:, :, :5], after[:, :, :5])
    assert not torch.allclose(before[:, :, 5:], after[:, :, 5:])


@pytest.mark.parametrize("name", VARIANTS[:-1])
@pytest.mark.parametrize("n_patches", [1, 2])
def test_reading_step_by_step_equals_one_pass(
    make_gpht: Make, draw_windows: Draw, name: str, n_patches: int
) -> None:
    model, windows = make_gpht(name), draw_windows(3, 30, 2, padding=9)
    whole = model.forecast_patches(*windows)
    # The first part takes the incomplete patch.
    ends = range(2 + PATCH * n_patches, 31, PATCH * n_patches)
    start, state = 0, None
    for end in ends:
        forecast, state = model.read(*(x[:, start:end] for x in windows), state)
        token = -(-end // PATCH) - 1
        for part, all_of_it in _pairs(forecast, whole):
            torch.testing.assert_close(part[:, :, 0], all_of_it[:, :, token])
        start = end
    assert start >= 26


def test_a_part_that_ends_within_a_patch_cannot_be_followed(
    make_gpht: Make, draw_windows: Draw
) -> None:
    model, windows = make_gpht(), draw_windows(1, 16, 1)
    _, state = model.read(*(x[:, :8] for x in windows))
    with pytest.raises(
        ConfigError, match=r"must be whole patches of 4 steps .*, got 3 steps; keep"
    ):
        model.read(*(x[:, 8:11] for x in windows), state)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", VARIANTS)
def test_any_horizon_can_be_asked_for_and_longer_ones_begin_alike(
    make_gpht: Make, draw_windows: Draw, name: str, mode: Mode
) -> None:
    backbone = make_gpht(name)
    model, windows = wrapped(backbone), draw_windows(2, 22, 2)
    n_quantiles, reach = max(1, len(model.quantile_levels)), backbone.horizon
    longest = roll_out(model, *windows, prediction_length=31, mode=mode)
    assert longest.shape == (2, n_quantiles, 31, 2)
    assert torch.isfinite(longest).all()
    for length in (1, reach, reach + 2):
        found = roll_out(model, *windows, prediction_length=length, mode=mode)
        assert found.shape == (2, n_quantiles, length, 2)
        torch.testing.assert_close(found, longest[:, :, :length])
    last = backbone.forecast_patches(*windows).in_input_units()[:, :, -1]
    torch.testing.assert_close(longest[:, :, :reach], last.sort(2).values.permute(0, 2, 3, 1))


@pytest.mark.parametrize("name", ["ours", "published"])
def test_autoregressive_steps_are_the_median_read_again(
    make_gpht: Make, draw_windows: Draw, name: str
) -> None:
    """Without a cache: append, and with whole-window statistics drop the oldest steps."""
    backbone, windows = make_gpht(name), draw_windows(2, 24, 1)
    found = roll_out(wrapped(backbone), *windows, prediction_length=29, mode="autoregressive")
    values, observed, inside = windows
    pieces: list[Tensor] = []
    while sum(piece.shape[-1] for piece in pieces) < 29:
        forecast = backbone.forecast_patches(values, observed, inside).in_input_units()[:, 0, -1]
        pieces.append(forecast.sort(1).values)
        median = pieces[-1][:, pieces[-1].shape[1] // 2, :, None]
        values = torch.cat([values, median], 1)
        observed = torch.cat([observed, torch.ones_like(median, dtype=torch.bool)], 1)
        inside = torch.cat([inside, torch.ones_like(median[..., 0], dtype=torch.bool)], 1)
        if name == "published":
            values, observed, inside = (x[:, -24:] for x in (values, observed, inside))
    expected = torch.cat(pieces, -1)[..., :29]
    torch.testing.assert_close(found[..., 0], expected, rtol=1e-4, atol=1e-4)


@given(constant=st.floats(-(2.0**60), 2.0**60, width=32), length=st.integers(1, 40))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["ours", "published"])
def test_the_forecast_of_a_constant_is_that_constant_exactly(
    make_gpht: Make, name: str, constant: float, length: int
) -> None:
    model = make_gpht(name)
    values = torch.full((1, length, 1), constant)
    observed = torch.ones_like(values, dtype=torch.bool)
    forecast = model.forecast_patches(values, observed, observed[..., 0]).in_input_units()
    assert (forecast == constant).all()


@given(factor=st.floats(1e-3, 1e3), level=st.floats(-100, 100), seed=st.integers(0, 99))
@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", VARIANTS)
def test_forecasts_follow_the_units_of_the_values(
    make_gpht: Make, name: str, factor: float, level: float, seed: int
) -> None:
    model = make_gpht(name).double()
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(1, 20, 1, generator=generator, dtype=torch.float64).cumsum(1)
    observed = torch.rand(values.shape, generator=generator) < 0.8
    inside = torch.ones(1, 20, dtype=torch.bool)
    before = model.forecast_patches(values, observed, inside).in_input_units()
    shift = level * factor
    after = model.forecast_patches(factor * values + shift, observed, inside).in_input_units()
    torch.testing.assert_close((after - shift) / factor, before, rtol=1e-5, atol=1e-5)
