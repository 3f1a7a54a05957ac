"""Tiny models that the tests of tasks share."""

from collections.abc import Callable

import pytest
import torch

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tasks.forecast import Forecaster


@pytest.fixture
def make_forecaster() -> Callable[..., Forecaster]:
    """A forecaster of patches of four steps with fresh weights; a point model unless asked."""

    def make(normalization="causal", quantile_levels=(), context_length=64) -> Forecaster:
        config = TimerConfig(
            patch_length=4,
            d_model=8,
            n_heads=2,
            n_layers=1,
            d_ff=16,
            normalization=normalization,
            quantile_levels=quantile_levels,
        )
        backbone = Timer(config)
        backbone.reset_parameters(torch.Generator().manual_seed(0))
        return Forecaster(
            TimeSeriesModel("timer", backbone, context_length, Provenance()), device="cpu"
        )

    return make
