"""Gaps are filled by what was learned from hidden values; what is known must stay as it is."""

from typing import Any

import numpy as np
import pytest
import torch

from tsfm.errors import DataError, UnsupportedError
from tsfm.models.heads import ReconstructionHead
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.tst import Tst, TstConfig
from tsfm.objectives.masked_values import MaskedValues, MaskedValuesConfig, draw_mask
from tsfm.series.windows import WindowBatch
from tsfm.tasks.imputation.reconstruct import fill_series, reconstruct
from tsfm.training.step import TrainingStep

LENGTH, CHANNELS = 32, 2


def sinusoids(n_windows: int, seed: int, length: int = LENGTH) -> np.ndarray:
    """Sums of two waves of changing phase; the second channel is the first, a little later."""
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 2 * np.pi, (2, n_windows, 1))
    step = np.arange(length + 2)
    both = np.sin(2 * np.pi * step / 8 + phase[0]) + np.sin(2 * np.pi * step / 5 + phase[1])
    return np.stack([both[:, 2:], both[:, :-2]], axis=-1)


def wrapped(backbone: Tst, head: ReconstructionHead) -> TimeSeriesModel:
    heads = {"reconstruction": head}
    return TimeSeriesModel("tst", backbone, LENGTH, Provenance(), heads).eval()


def untrained(scaling: str = "window", **options: Any) -> TimeSeriesModel:
    """All weights drawn, those of the head too, so that a leak would show."""
    sizes = {"d_model": 16, "n_heads": 2, "n_layers": 1, "d_ff": 16, **options}
    backbone = Tst(TstConfig(n_channels=CHANNELS, context_length=LENGTH, **sizes))
    head = ReconstructionHead.on(backbone, scaling=scaling)
    generator = torch.Generator().manual_seed(0)
    backbone.reset_parameters(generator)
    with torch.no_grad():
        head.linear.weight.normal_(0.0, 0.3, generator=generator)
    return wrapped(backbone, head)


@pytest.fixture(scope="module")
def trained() -> TimeSeriesModel:
    """A short training on hidden runs of three steps."""
    model = untrained(kernel_length=9, dropout=0.0)
    objective = MaskedValues(MaskedValuesConfig(scaling="window"), model.backbone)
    step = TrainingStep(model.backbone, objective).train()
    n_steps = 150
    optimizer = torch.optim.AdamW(step.parameters(), lr=1.0)
    for number in range(n_steps):
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - number / n_steps)
        values = torch.from_numpy(sinusoids(16, seed=number).astype(np.float32))
        seen = torch.ones_like(values).bool()
        batch = WindowBatch(values, seen, seen[..., 0], torch.arange(16))
        optimizer.zero_grad()
        step(batch, torch.Generator().manual_seed(number)).total.backward()
        torch.nn.utils.clip_grad_norm_(step.parameters(), 1.0)
        optimizer.step()
    return wrapped(model.backbone, objective.head)


def hidden(shape: tuple[int, int, int]) -> np.ndarray:
    config = MaskedValuesConfig(mean_run=3.0)
    return draw_mask(shape, config, torch.Generator().manual_seed(7)).numpy()


def linear(values: np.ndarray) -> np.ndarray:
    """Straight lines through the gaps of every channel, level beyond the ends."""
    step = np.arange(len(values))
    known = np.isfinite(values)
    columns = [
        np.interp(step, step[seen], column[seen])
        for column, seen in zip(values.T, known.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def test_waves_are_filled_better_than_by_lines(trained: TimeSeriesModel) -> None:
    truth = sinusoids(40, seed=10**6)
    gone = hidden(truth.shape)
    shown = np.where(gone, np.nan, truth)
    ours = reconstruct(trained, shown) - truth
    lines = np.stack([linear(window) for window in shown]) - truth
    assert (ours[gone] ** 2).mean() < 0.5 * (lines[gone] ** 2).mean()


def test_a_long_series_in_other_units_is_filled_as_well(trained: TimeSeriesModel) -> None:
    truth = 1e6 + 500 * sinusoids(1, seed=5, length=333)[0]
    gone = hidden((1, *truth.shape))[0]
    shown = np.where(gone, np.nan, truth)
    ours, lines = fill_series(trained, shown), linear(shown)
    assert ((ours - truth)[gone] ** 2).mean() < 0.5 * ((lines - truth)[gone] ** 2).mean()
    assert (ours[~gone] == truth[~gone]).all()
    assert np.isfinite(ours).all()


@pytest.mark.parametrize("scaling", ["none", "window"])
def test_known_values_come_back_bit_by_bit_and_missing_ones_have_no_influence(scaling: str) -> None:
    model = untrained(scaling)
    generator = np.random.default_rng(0)
    values = generator.normal(size=(5, 30, CHANNELS))
    observed = generator.random(values.shape) < 0.7
    by_nan = reconstruct(model, np.where(observed, values, np.nan), batch_size=2)
    by_mask = reconstruct(model, np.where(observed, values, 1e30), observed=observed)
    assert (by_nan[observed] == values[observed]).all()
    np.testing.assert_allclose(by_mask[~observed], by_nan[~observed], rtol=1e-4)
    assert np.isfinite(by_nan).all()
    assert not np.allclose(by_nan[~observed], values[~observed], atol=0.01)


@pytest.mark.parametrize("level", [0.0, -3.25, 1e5])
def test_a_constant_channel_is_filled_with_its_constant(level: float) -> None:
    values = np.full((1, 30, CHANNELS), level)
    values[0, :, 1] = np.arange(30)
    values[0, 10:20, 0] = np.nan
    model = untrained()
    assert (reconstruct(model, values)[0, :, 0] == level).all()
    assert (fill_series(model, values[0])[:, 0] == level).all()


def test_a_channel_without_a_value_is_filled_all_the_same() -> None:
    values = np.random.default_rng(0).normal(size=(60, CHANNELS))
    values[:, 1] = np.nan
    filled = fill_series(untrained(), values)
    assert np.isfinite(filled).all()
    assert (filled[:, 0] == values[:, 0]).all()


def test_padding_is_left_alone_and_changes_nothing() -> None:
    model = untrained()
    short = np.random.default_rng(0).normal(size=(3, 20, CHANNELS))
    short[:, 4:9, 0] = np.nan
    long = np.concatenate([np.full((3, 10, CHANNELS), np.nan), short], axis=1)
    inside = np.tile(np.arange(30) >= 10, (3, 1))
    found = reconstruct(model, long, inside=inside)
    np.testing.assert_allclose(found[:, 10:], reconstruct(model, short), rtol=1e-4, atol=1e-5)
    assert np.isnan(found[:, :10]).all()


def test_a_missing_tail_is_a_forecast_that_sees_no_future() -> None:
    model = untrained()
    first, second = np.random.default_rng(0).normal(size=(2, 1, 32, CHANNELS))
    second[:, :22] = first[:, :22]
    observed = np.ones(first.shape, bool)
    observed[:, 22:] = False
    one, other = (reconstruct(model, x, observed=observed) for x in (first, second))
    assert (one == other).all()


def test_what_cannot_fill_says_so() -> None:
    model = untrained()
    with pytest.raises(DataError, match=r"must have 2 channels and at most 32 steps.*got 3 chan"):
        reconstruct(model, np.zeros((1, 20, 3)))
    with pytest.raises(DataError, match="got 2 channels and 33 steps; choose another"):
        reconstruct(model, np.zeros((1, 33, 2)))
    headless = TimeSeriesModel("tst", model.backbone, LENGTH, Provenance())
    with pytest.raises(
        UnsupportedError, match=r"must have an encoder and a 'reconstruction' head.*heads ..; train"
    ):
        fill_series(headless, np.zeros((20, 2)))
