"""A model that corrects a line must begin as that line, and must know no units."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tsfm.errors import UnsupportedError
from tsfm.models.backbone import Filled, GapFiller, NextPatchModel
from tsfm.models.layers.gaps import bridge
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer_fill import TimerFill, TimerFillConfig

SEEDS = st.integers(0, 10**6)
Windows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def make(*, drawn: bool = True, **options: Any) -> TimerFill:
    """A small model; `drawn` has a head that is not zero."""
    config = {"patch_length": 4, "d_model": 16, "n_heads": 2, "n_layers": 2, "d_ff": 24}
    model = TimerFill(TimerFillConfig(**config | options)).eval()
    generator = torch.Generator().manual_seed(0)
    model.reset_parameters(generator)
    if drawn:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.2, generator=generator)
    return model


def draw(seed: int, time: int = 30) -> Windows:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(3, time, 2, generator=generator).cumsum(1)
    inside = torch.ones(3, time, dtype=torch.bool)
    inside[1, : time // 4] = False
    observed = (torch.rand(values.shape, generator=generator) < 0.6) & inside[..., None]
    return values, observed, inside


def fill(model: TimerFill, windows: Windows) -> Filled:
    with torch.no_grad():
        return model.fill(*windows)


def test_it_fills_and_does_not_forecast() -> None:
    model = make()
    assert isinstance(model, GapFiller)
    assert not isinstance(model, NextPatchModel)
    wrapped = TimeSeriesModel("timer_fill", model, 30, Provenance())
    with pytest.raises(UnsupportedError, match="to forecast, got 'timer_fill'"):
        _ = wrapped.quantile_levels


@given(seed=SEEDS)
@settings(max_examples=10)
def test_untrained_it_is_linear_interpolation(seed: int) -> None:
    windows = draw(seed)
    filled = fill(make(drawn=False), windows)
    line = bridge(windows[0], windows[1]).values
    assert torch.equal(filled.quantiles, line[:, None].expand_as(filled.quantiles))


@given(seed=SEEDS)
@settings(max_examples=10)
def test_visible_values_come_back_to_the_bit(seed: int) -> None:
    values, observed, inside = draw(seed)
    quantiles = fill(make(), (values, observed, inside)).quantiles
    seen = observed[:, None].expand_as(quantiles)
    assert torch.equal(quantiles[seen], values[:, None].expand_as(quantiles)[seen])


@given(seed=SEEDS)
@settings(max_examples=10)
def test_a_trained_model_moves_every_gap_and_its_quantiles_rise(seed: int) -> None:
    values, observed, inside = draw(seed)
    filled = fill(make(), (values, observed, inside))
    hidden = ~observed & inside[..., None]
    assert (filled.correction.abs().sum(1)[hidden] > 0).all()
    assert (filled.quantiles.diff(dim=1) >= 0).all()


@given(value=st.floats(-1e6, 1e6, width=32))
@settings(max_examples=20)
def test_a_constant_window_stays_constant(value: float) -> None:
    _, observed, inside = draw(0)
    values = torch.full(observed.shape, value)
    quantiles = fill(make(), (values, observed, inside)).quantiles
    inner = inside[:, None, :, None].expand_as(quantiles)
    assert (quantiles[inner] == torch.tensor(value)).all()


@given(seed=SEEDS, shift=st.floats(-50, 50), scale=st.floats(0.01, 100))
@settings(max_examples=20)
def test_shift_and_scale_of_the_values_are_those_of_what_is_filled(
    seed: int, shift: float, scale: float
) -> None:
    values, observed, inside = draw(seed)
    model = make()
    before = fill(model, (values, observed, inside)).quantiles
    after = fill(model, (values * scale + shift, observed, inside)).quantiles
    size = 1 + shift / scale if shift > 0 else 1 - shift / scale
    torch.testing.assert_close((after - shift) / scale, before, rtol=1e-4, atol=2e-4 * size)


def test_values_after_a_gap_count() -> None:
    values, observed, inside = draw(1)
    observed[:, 12:16] = False
    other = values.clone()
    other[:, 20:] += 3
    model = make()
    before, after = (fill(model, (one, observed, inside)).quantiles for one in (values, other))
    assert not torch.allclose(before[:, :, 12:16], after[:, :, 12:16])


@pytest.mark.parametrize("time", [1, 3, 4, 29, 32])
def test_any_length_of_window_is_read(time: int) -> None:
    windows = draw(2, time)
    assert fill(make(), windows).quantiles.shape == (3, 9, time, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"d_model": 10, "n_heads": 2},
            "d_model must be a multiple of 2 \\* n_heads, got d_model=10",
        ),
        ({"quantile_levels": (0.5, 0.1)}, "quantile_levels must rise strictly"),
        ({"quantile_levels": ()}, "quantile_levels must have 0.5 in the middle, got \\(\\)"),
        ({"quantile_levels": (0.1, 0.9)}, "quantile_levels must have 0.5 in the middle"),
    ],
)
def test_a_config_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(TimerFillConfig).validate_python(options)
