"""Windows, tiny Timers and tiny GPHTs that the tests of models share."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from tsfm.models.gpht import GPHT, GPHTConfig
from tsfm.models.timer import Timer, TimerConfig

# Timer and GPHT as published, in small: see the departures in their docstrings.
PUBLISHED: dict[str, Any] = {
    "embedding": "linear",
    "positions": "sinusoidal",
    "norm_first": False,
    "normalization": "window",
    "bias": True,
    "arcsinh": False,
    "n_output_patches": 1,
    "quantile_levels": (),
}
GPHT_VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "average": {"pooling": "average"},
    "point": {"quantile_levels": (), "arcsinh": False},
    "causal, else published": {**PUBLISHED, "normalization": "causal"},
    "published": PUBLISHED,
}


class Windows(NamedTuple):
    """What a backbone reads."""

    values: Tensor
    observed: Tensor
    inside: Tensor


@pytest.fixture
def draw_windows() -> Callable[..., Windows]:
    """Random walks; a share of the values is missing, and every other row starts late."""

    def draw(
        batch: int = 3,
        length: int = 30,
        channels: int = 2,
        *,
        missing: float = 0.2,
        padding: int = 0,
    ) -> Windows:
        generator = torch.Generator().manual_seed(batch + 7 * length)
        values = torch.randn(batch, length, channels, generator=generator).cumsum(1)
        observed = torch.rand(batch, length, channels, generator=generator) >= missing
        inside = torch.ones(batch, length, dtype=torch.bool)
        inside[::2, :padding] = False
        observed &= inside[..., None]
        return Windows(values * observed, observed, inside)

    return draw


@pytest.fixture
def make_timer() -> Callable[..., Timer]:
    """A Timer of patches of four steps, none of whose weights is zero, in evaluation mode."""

    def make(**options: Any) -> Timer:
        small: dict[str, Any] = {
            "patch_length": 4,
            "d_model": 16,
            "n_heads": 2,
            "n_layers": 2,
            "d_ff": 24,
            "n_output_patches": 2,
            "quantile_levels": (0.1, 0.5, 0.9),
        }
        return _without_zeros(Timer(TimerConfig(**(small | options))))

    return make


@pytest.fixture
def published() -> dict[str, Any]:
    """Options of a Timer or a GPHT as published."""
    return dict(PUBLISHED)


@pytest.fixture
def make_gpht() -> Callable[..., GPHT]:
    """A GPHT of patches of four steps, none of whose weights is zero, in evaluation mode."""

    def make(variant: str = "ours", **options: Any) -> GPHT:
        small: dict[str, Any] = {
            "patch_length": 4,
            "pools": (4, 2, 1),
            "d_model": 16,
            "n_heads": 2,
            "d_ff": 24,
            "n_output_patches": 2,
            "quantile_levels": (0.1, 0.5, 0.9),
        }
        return _without_zeros(GPHT(GPHTConfig(**(small | GPHT_VARIANTS[variant] | options))))

    return make


def _without_zeros(model: Any) -> Any:
    """Draw every weight, since fresh projections are zero and would hide what they carry."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return model.eval()
