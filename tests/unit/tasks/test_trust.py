"""Where held-out rows ask for less than a model forecasts, it forecasts less from then on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsfm.models.model import TRUST, Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.series.windows import WindowBatch
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.trust import least_squares_share, with_trust
from tsfm.training.stream import DataInput

CONTEXT, HORIZON = 32, 8
LEVELS = (0.1, 0.5, 0.9)
moves = arrays(float, 12, elements=st.floats(-1e3, 1e3))


def model(trust: float | None = None, levels: tuple[float, ...] = LEVELS) -> TimeSeriesModel:
    config = TimerConfig(
        patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=16, quantile_levels=levels
    )
    backbone = Timer(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    details = {} if trust is None else {TRUST: trust}
    return TimeSeriesModel("timer", backbone.eval(), 64, Provenance(details=details))


def walks(n_windows: int, generator: np.random.Generator) -> np.ndarray:
    return generator.normal(size=(n_windows, CONTEXT)).cumsum(1) + 100


def forecast(
    model: TimeSeriesModel, contexts: np.ndarray, levels: tuple[float, ...] = LEVELS
) -> np.ndarray:
    forecaster = Forecaster(model, device="cpu", views=False)
    offsets = np.arange(len(contexts) + 1) * contexts.shape[1]
    values = contexts.reshape(-1, 1)
    return forecaster.forecast_arrays(values, offsets, HORIZON, levels)[..., 0]


class Stream:
    """Held-out windows whose future goes a share of the way that the model forecasts."""

    trained_on: tuple[str, ...] = ()
    synthetic_share, context_length = 0.0, CONTEXT
    inputs: tuple[DataInput, ...] = ()

    def __init__(self, model: TimeSeriesModel, share: float, spoiled: bool = False) -> None:
        self.model, self.share, self.spoiled = model, share, spoiled

    def __call__(self, number: int) -> WindowBatch:
        raise AssertionError("nothing is trained here")

    def validation(self, number: int) -> WindowBatch:
        contexts = walks(6, np.random.default_rng(number))
        last = contexts[:, -1:]
        future = last + self.share * (forecast(self.model, contexts, (0.5,))[:, 0] - last)
        supervised = np.ones((6, CONTEXT + HORIZON), bool)
        supervised[:, :CONTEXT] = False
        if self.spoiled:
            future[:, 5:] = 1e6
            supervised[:, CONTEXT + 5 :] = False
        values = torch.from_numpy(np.concatenate([contexts, future], 1)[..., None])
        observed = torch.ones_like(values).bool()
        asked = torch.from_numpy(supervised[..., None])
        return WindowBatch(values, observed, observed[..., 0], torch.arange(6), supervised=asked)


@given(moves, moves)
def test_the_share_is_that_of_least_squares(moved: np.ndarray, asked: np.ndarray) -> None:
    found = least_squares_share(moved, asked)
    if not moved.any():
        assert found == 1
        return
    shares = np.linspace(0, 1, 201)
    errors = ((asked - shares[:, None] * moved) ** 2).sum(1)
    least = ((asked - found * moved) ** 2).sum()
    assert 0 <= found <= 1
    assert least <= errors.min() * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("missing", [(np.nan, 1.0), (1.0, np.nan)])
def test_what_is_missing_has_no_say(missing: tuple[float, float]) -> None:
    moved, asked = np.array([4.0, missing[0]]), np.array([1.0, missing[1]])
    assert least_squares_share(moved, asked) == 0.25


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("spoiled", [False, True], ids=["all", "where supervised"])
def test_held_out_windows_say_how_far_to_go(share: float, spoiled: bool) -> None:
    made = model()
    stream = Stream(made, share, spoiled)
    found = with_trust(made, stream, context_length=CONTEXT, batches=3).trust
    assert found == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("trust", [0.0, 0.3])
def test_the_median_is_drawn_to_the_last_value_and_quantiles_move_with_it(
    trust: float, generator: np.random.Generator
) -> None:
    contexts = walks(5, generator)
    contexts[0, -3:] = np.nan
    last = np.append(contexts[0, -4], contexts[1:, -1])[:, None]
    whole, held = forecast(model(), contexts), forecast(model(trust), contexts)
    median = last + trust * (whole[:, 1] - last)
    np.testing.assert_allclose(held[:, 1], median, rtol=1e-9)
    np.testing.assert_allclose(held - held[:, [1]], whole - whole[:, [1]], atol=1e-9)


def test_a_point_model_is_held_too(generator: np.random.Generator) -> None:
    contexts = walks(3, generator)
    held = forecast(model(0.0, levels=()), contexts, (0.5,))
    np.testing.assert_allclose(held[:, 0], np.repeat(contexts[:, -1:], HORIZON, 1), rtol=1e-9)


def test_trust_travels_with_the_weights_until_they_are_trained_further(tmp_path: Path) -> None:
    save_pretrained(model(0.0), tmp_path)
    loaded = Forecaster.from_pretrained(tmp_path, device="cpu")
    assert loaded.model.trust == 0
    frame = pl.DataFrame({"timestamp": range(60), "target": np.sin(np.arange(60.0))})
    assert loaded.finetune(frame, steps=2).model.trust == 1


def test_without_being_asked_for_less_a_model_is_trusted_whole(
    generator: np.random.Generator,
) -> None:
    plain = model()
    assert plain.trust == 1
    details = {**plain.provenance.details, TRUST: 1.0}
    contexts = walks(4, generator)
    told = model()
    told.provenance = replace(told.provenance, details=details)
    np.testing.assert_array_equal(forecast(plain, contexts), forecast(told, contexts))
