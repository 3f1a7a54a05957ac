"""Tiny models and labelled samples that the tests of tasks share."""

from collections.abc import Callable, Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.models.timer_fill import TimerFill, TimerFillConfig
from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.impute import Imputer

SMALL: dict[str, Any] = {
    "d_model": 16,
    "n_heads": 2,
    "n_layers": 1,
    "d_ff": 16,
    "max_epochs": 15,
    "learning_rate": 0.01,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
Problem = tuple[list[np.ndarray], np.ndarray]


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


@pytest.fixture
def filler() -> Callable[..., Imputer]:
    """A tiny two-sided model; `drawn` moves its fills away from the straight line."""

    def make(*, drawn: bool = True, context_length: int = 64) -> Imputer:
        backbone = TimerFill(
            TimerFillConfig(patch_length=4, d_model=16, n_heads=2, n_layers=1, d_ff=16)
        )
        generator = torch.Generator().manual_seed(0)
        backbone.reset_parameters(generator)
        if drawn:
            with torch.no_grad():
                for parameter in backbone.parameters():
                    parameter.normal_(0.0, 0.2, generator=generator)
        return Imputer(TimeSeriesModel("timer_fill", backbone, context_length, Provenance()))

    return make


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    """A bump early or late in the first of two channels, in noise; some values are missing, and
    lengths differ."""

    def draw(n_samples: int = 60, seed: int = 0) -> Problem:
        generator = np.random.default_rng(seed)
        samples, labels = [], []
        for number in range(n_samples):
            length = int(generator.integers(18, 25))
            sample = 0.3 * generator.standard_normal((2, length))
            place = length - 15 if number % 2 else length - 6
            sample[0, place : place + 4] += 2
            sample[generator.random(sample.shape) < 0.05] = np.nan
            samples.append(5 + 10 * sample)
            labels.append("early" if number % 2 else "late")
        return samples, np.array(labels)

    return draw


@pytest.fixture(scope="session")
def heights() -> Callable[..., Problem]:
    """The target is the height of a wave, in units of its own."""

    def draw(n_samples: int = 60, seed: int = 0) -> Problem:
        generator = np.random.default_rng(seed)
        height = generator.uniform(0, 3, n_samples)
        noise = 0.2 * generator.standard_normal((n_samples, 20))
        return list(height[:, None] * np.sin(np.arange(20) / 2) + noise), 1000 + 50 * height

    return draw


@pytest.fixture(scope="session")
def small_estimator() -> dict[str, Any]:
    """Options of estimators that are quick to fit."""
    return dict(SMALL)


@pytest.fixture(scope="session")
def classifier() -> Callable[..., SeriesClassifier]:
    """A small classifier, but for what is asked."""
    return lambda **options: SeriesClassifier(**(SMALL | options))


@pytest.fixture(scope="session")
def regressor() -> Callable[..., SeriesRegressor]:
    """A small regressor, but for what is asked."""
    return lambda **options: SeriesRegressor(**(SMALL | options))


@pytest.fixture
def as_users_call() -> Iterator[None]:
    """Leave out the checks of types that only tests have, for what a user's wrong type meets."""
    was_off = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", was_off)
