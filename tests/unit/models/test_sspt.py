"""SSPT at its published size is the published network, and padding must not leak into it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from tsfm.errors import ConfigError
from tsfm.models.backbone import count_parameters
from tsfm.models.sspt import Sspt, SsptConfig

RELEASED: dict[str, Any] = {"layer_norm": False, "missing": "zero", "position_std": 1.0}


def make(**options: Any) -> Sspt:
    small = {"n_channels": 2, "context_length": 30, "d_model": 8, "d_ff": 12, "n_heads": 2}
    model = Sspt(SsptConfig(**(small | options)))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return model.eval()


def test_the_released_size_has_the_released_number_of_weights() -> None:
    """With 25 features, 32 days and a linear head: 403,073."""
    model = Sspt(SsptConfig(n_channels=25, context_length=32, **RELEASED))
    assert count_parameters(model) + count_parameters(nn.Linear(128, 1)) == 403_073


def test_a_day_of_padding_is_attended_to_by_no_day_inside(
    draw_windows: Callable[..., Any],
) -> None:
    model, windows = make(), draw_windows(padding=12)
    other = windows.values.clone()
    other[:, :12] += 5.0
    before = model.encode(*windows)
    shorter = model.encode(*(x[::2, 12:] for x in windows))
    torch.testing.assert_close(before[::2, :, 12:], shorter)
    assert torch.equal(model.encode(other, windows.observed, windows.inside)[::2], before[::2])


def test_a_missing_day_inside_is_attended_to(draw_windows: Callable[..., Any]) -> None:
    model, windows = make(), draw_windows(missing=0.0)
    observed = windows.observed.clone()
    observed[:, 10] = False
    hidden = model.encode(windows.values, observed, windows.inside)
    inside = windows.inside.clone()
    inside[:, 10] = False
    padded = model.encode(windows.values, observed, inside)
    assert not torch.allclose(hidden[:, :, 20], padded[:, :, 20])


def test_a_short_window_ends_where_a_long_one_does(draw_windows: Callable[..., Any]) -> None:
    model, windows = make(), draw_windows()
    inside = windows.inside.clone()
    inside[:, :20] = False
    padded = model.encode(windows.values, windows.observed & inside[..., None], inside)
    short = model.encode(*(x[:, 20:] for x in windows))
    torch.testing.assert_close(padded[:, :, 20:], short)


@pytest.mark.parametrize(("missing", "is_zero"), [("zero", True), ("learned", False)])
def test_a_missing_value_is_a_zero_only_as_released(
    draw_windows: Callable[..., Any], missing: str, is_zero: bool
) -> None:
    model, windows = make(missing=missing), draw_windows(missing=0.0)
    zeros, observed = windows.values.clone(), windows.observed.clone()
    zeros[:, 5], observed[:, 5] = 0.0, False
    one = model.encode(windows.values, observed, windows.inside)
    other = model.encode(zeros, windows.observed, windows.inside)
    assert torch.equal(one, other) == is_zero


def test_as_released_nothing_is_normalised() -> None:
    assert not [one for one in make(**RELEASED).modules() if isinstance(one, nn.LayerNorm)]
    assert [one for one in make().modules() if isinstance(one, nn.LayerNorm)]


def test_positions_start_as_large_as_told() -> None:
    for size in (0.02, 1.0):
        model = Sspt(SsptConfig(position_std=size))
        model.reset_parameters(torch.Generator().manual_seed(0))
        assert model.positions.std().item() == pytest.approx(size, rel=0.05)


def test_windows_of_another_shape_are_refused(draw_windows: Callable[..., Any]) -> None:
    model = make(context_length=20)
    with pytest.raises(ConfigError, match="context_length=20 days, got 2 channels and 30 days"):
        model.encode(*draw_windows())
    with pytest.raises(ConfigError, match=r"n_channels=2 and at most .* got 3 channels"):
        model.encode(*draw_windows(length=10, channels=3))


def test_heads_must_share_the_width() -> None:
    with pytest.raises(ValueError, match="d_model must be a multiple of n_heads, got d_model=10"):
        SsptConfig(d_model=10, n_heads=4)
