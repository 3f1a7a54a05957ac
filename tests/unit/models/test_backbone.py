"""A forecast leaves the model in normalised units: what puts it back must be exact."""

import pytest
import torch
from torch import nn

from tsfm.models.backbone import PatchForecast, count_parameters


@pytest.mark.parametrize("is_arcsinh", [False, True])
def test_a_forecast_returns_to_the_units_of_its_token(is_arcsinh: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(2, 1, 3, 1, 4, generator=generator)
    loc, scale = torch.randn(2, 2, 1, 3, generator=generator)
    values = (target - loc[..., None, None]) / scale[..., None, None]
    forecast = PatchForecast(values.asinh() if is_arcsinh else values, loc, scale, is_arcsinh)
    torch.testing.assert_close(forecast.in_input_units(), target)


def test_without_a_scale_the_forecast_is_the_location() -> None:
    values = torch.randn(1, 1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    loc = torch.tensor([[[5.0, -7.0]]])
    found = PatchForecast(values, loc, torch.zeros(1, 1, 2), is_arcsinh=True).in_input_units()
    assert torch.equal(found, loc[..., None, None].expand_as(values))


def test_parameters_are_counted() -> None:
    assert count_parameters(nn.Linear(3, 4)) == 3 * 4 + 4
