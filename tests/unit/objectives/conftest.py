"""Tiny Timers and windows that the tests of the next patch share."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tsfm.models.timer import Timer, TimerConfig
from tsfm.series.windows import WindowBatch


@pytest.fixture
def make_timer() -> Callable[..., Timer]:
    """A Timer of patches of four steps, none of whose weights is zero."""

    def make(**options: Any) -> Timer:
        config = TimerConfig(
            patch_length=4,
            d_model=8,
            n_heads=2,
            n_layers=1,
            d_ff=8,
            **{"n_output_patches": 2, "quantile_levels": (0.1, 0.5, 0.8)} | options,
        )
        model = Timer(config)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.3, generator=generator)
        return model

    return make


@pytest.fixture
def make_batch() -> Callable[..., WindowBatch]:
    """Windows of random walks with gaps; the first rows start late."""

    def make(batch: int = 4, length: int = 26, missing: float = 0.2) -> WindowBatch:
        generator = torch.Generator().manual_seed(length)
        values = torch.randn(batch, length, 1, generator=generator).cumsum(1)
        inside = torch.arange(length) >= torch.tensor([9, 5, *[0] * (batch - 2)])[:, None]
        observed = torch.rand(values.shape, generator=generator) >= missing
        observed &= inside[..., None]
        return WindowBatch(values * observed, observed, inside, torch.arange(batch))

    return make
