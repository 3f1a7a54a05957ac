"""A long horizon is many short ones: the joints between them are where steps get lost."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.roll_out import roll_out
from tsfm.models.timer import Timer

Make = Callable[..., Timer]
Draw = Callable[..., Any]
Mode = Literal["masked", "autoregressive"]
MODES: tuple[Mode, ...] = ("masked", "autoregressive")


def wrapped(backbone: Timer) -> TimeSeriesModel:
    return TimeSeriesModel("timer", backbone, 64, Provenance())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("normalization", ["causal", "window"])
@given(prediction_length=st.integers(1, 40), length=st.integers(1, 25))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_horizon_comes_back_with_quantiles_that_do_not_cross(
    make_timer: Make,
    draw_windows: Draw,
    mode: Mode,
    normalization: str,
    prediction_length: int,
    length: int,
) -> None:
    model = wrapped(make_timer(normalization=normalization))
    windows = draw_windows(2, length, 2)
    found = roll_out(model, *windows, prediction_length=prediction_length, mode=mode)
    assert found.shape == (2, 3, prediction_length, 2)
    assert torch.isfinite(found).all()
    assert (found.diff(dim=1) >= 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_a_point_model_gives_one_quantile(
    make_timer: Make, draw_windows: Draw, mode: Mode, normalization: str
) -> None:
    model = wrapped(make_timer(quantile_levels=(), normalization=normalization))
    found = roll_out(model, *draw_windows(2, 20, 1), prediction_length=19, mode=mode)
    assert found.shape == (2, 1, 19, 1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("normalization", ["causal", "window"])
@pytest.mark.parametrize("n_output_patches", [1, 3])
def test_asking_for_more_steps_does_not_change_the_first_ones(
    make_timer: Make, draw_windows: Draw, mode: Mode, normalization: str, n_output_patches: int
) -> None:
    model = wrapped(make_timer(normalization=normalization, n_output_patches=n_output_patches))
    windows = draw_windows(3, 22, 2)
    few, many = (roll_out(model, *windows, prediction_length=n, mode=mode) for n in (7, 31))
    torch.testing.assert_close(many[:, :, :7], few)


def test_within_the_reach_of_the_head_both_modes_are_the_last_token(
    make_timer: Make, draw_windows: Draw
) -> None:
    backbone, windows = make_timer(), draw_windows(3, 22, 2)
    last = backbone.forecast_patches(*windows).in_input_units()[:, :, -1]
    expected = last.sort(2).values[..., :8].permute(0, 2, 3, 1)
    for mode in MODES:
        found = roll_out(wrapped(backbone), *windows, prediction_length=8, mode=mode)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("n_output_patches", [1, 2, 3])
def test_masked_steps_are_patches_of_which_nothing_is_known(
    make_timer: Make, draw_windows: Draw, n_output_patches: int
) -> None:
    backbone, windows = make_timer(n_output_patches=n_output_patches), draw_windows(2, 22, 1)
    reach = 4 * n_output_patches
    found = roll_out(wrapped(backbone), *windows, prediction_length=3 * reach, mode="masked")
    for block in range(3):
        unknown = torch.zeros(2, block * reach, 1)
        extended = (
            torch.cat([windows.values, unknown], 1),
            torch.cat([windows.observed, unknown.bool()], 1),
            torch.cat([windows.inside, torch.ones(2, block * reach, dtype=torch.bool)], 1),
        )
        forecast = backbone.forecast_patches(*extended).in_input_units()[:, 0, -1]
        place = slice(block * reach, (block + 1) * reach)
        torch.testing.assert_close(found[:, :, place, 0], forecast.sort(1).values)


@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_autoregressive_steps_are_the_median_read_again(
    make_timer: Make, draw_windows: Draw, normalization: str
) -> None:
    """Without a cache: append, and with whole-window statistics drop the oldest steps."""
    backbone, windows = make_timer(normalization=normalization), draw_windows(2, 22, 1)
    found = roll_out(wrapped(backbone), *windows, prediction_length=29, mode="autoregressive")
    values, observed, inside = windows
    pieces = []
    for _ in range(4):
        forecast = backbone.forecast_patches(values, observed, inside).in_input_units()[:, 0, -1]
        pieces.append(forecast.sort(1).values)
        values = torch.cat([values, pieces[-1][:, 1, :, None]], 1)
        observed = torch.cat([observed, torch.ones(2, 8, 1, dtype=torch.bool)], 1)
        inside = torch.cat([inside, torch.ones(2, 8, dtype=torch.bool)], 1)
        if normalization == "window":
            values, observed, inside = (x[:, -22:] for x in (values, observed, inside))
    expected = torch.cat(pieces, -1)[..., :29]
    torch.testing.assert_close(found[..., 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", MODES)
def test_a_constant_goes_on_as_it_is(make_timer: Make, mode: Mode) -> None:
    values = torch.full((1, 13, 1), 7.3)
    observed = torch.ones_like(values, dtype=torch.bool)
    model = wrapped(make_timer())
    found = roll_out(model, values, observed, observed[..., 0], prediction_length=50, mode=mode)
    assert (found == torch.tensor(7.3)).all()


@pytest.mark.parametrize("mode", MODES)
def test_rows_and_channels_are_forecast_by_themselves(
    make_timer: Make, draw_windows: Draw, mode: Mode
) -> None:
    model, windows = wrapped(make_timer()), draw_windows(3, 22, 2)
    together = roll_out(model, *windows, prediction_length=20, mode=mode)
    alone = roll_out(
        model,
        windows.values[1:2, :, 1:],
        windows.observed[1:2, :, 1:],
        windows.inside[1:2],
        prediction_length=20,
        mode=mode,
    )
    torch.testing.assert_close(together[1:2, :, :, 1:], alone, rtol=1e-4, atol=1e-4)
