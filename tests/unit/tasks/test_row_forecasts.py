"""Forecasts of rows that are there: from rows before them alone, and for every one of them."""

import numpy as np
import pytest
import torch

from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.row_forecasts import (
    in_reading_units,
    next_patch_quantiles,
    reads_at_once,
    row_quantiles,
    tiling,
)

NAN = float("nan")


def timer(**changes) -> TimeSeriesModel:
    settings = {"patch_length": 4, "d_model": 16, "n_heads": 2, "n_layers": 1, "d_ff": 32}
    backbone = Timer(TimerConfig(**{**settings, **changes}))
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return TimeSeriesModel("timer", backbone, 64, Provenance()).eval()


def forecast(model: TimeSeriesModel, values: np.ndarray, context_length: int = 16) -> np.ndarray:
    offsets = np.array([0, len(values)])
    return row_quantiles(model, values, offsets, context_length=context_length)


def test_windows_of_two_blocks_tile_every_row_after_the_first_patch():
    for n_rows in range(60):
        windows = tiling(np.array([[3, 3 + n_rows]]), 8, 4)
        rows = [
            row
            for begin, end, length, n_read in zip(*windows, strict=True)
            for row in range(begin + n_read, min(begin + length, end))
        ]
        assert rows == list(range(3 + 4, 3 + n_rows))
        assert (windows.length <= 16).all()


def test_one_patch_ahead_is_what_the_forecaster_says():
    values = np.random.default_rng(0).normal(size=23).cumsum()
    model = timer()
    found = forecast(model, values)
    expected = Forecaster(model).forecast_arrays(
        values[:20, None], np.array([0, 20]), 3, model.quantile_levels
    )
    np.testing.assert_allclose(found[20:], expected[0, :, :, 0].T, rtol=1e-4, atol=1e-4)


def test_several_patches_ahead_are_averaged():
    values = np.random.default_rng(0).normal(size=12).cumsum()
    model = timer(n_output_patches=2)
    found = forecast(model, values)
    near, far = (
        Forecaster(model)
        .forecast_arrays(values[:n_rows, None], np.array([0, n_rows]), 8, model.quantile_levels)[
            0, :, :, 0
        ]
        .T
        for n_rows in (8, 4)
    )
    np.testing.assert_allclose(found[8:], (near[:4] + far[4:]) / 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_every_row_after_the_first_patch_has_a_forecast(normalization):
    model = timer(normalization=normalization)
    assert reads_at_once(model) == (normalization == "causal")
    for n_rows in (1, 4, 5, 17, 40, 63):
        found = forecast(model, np.arange(float(n_rows)))
        assert np.isnan(found[:4]).all()
        assert np.isfinite(found[4:]).all()


@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_missing_values_before_the_first_one_are_not_read(normalization):
    model, values = timer(normalization=normalization), np.random.default_rng(0).normal(size=30)
    late = np.append(np.full(7, NAN), values)
    np.testing.assert_allclose(forecast(model, late)[7:], forecast(model, values), rtol=1e-5)


def test_items_that_lie_end_to_end_do_not_see_each_other():
    model, generator = timer(), np.random.default_rng(0)
    parts = [generator.normal(size=length) for length in (3, 0, 40, 18)]
    parts.append(np.full(20, NAN))
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    together = row_quantiles(model, np.concatenate(parts), offsets, context_length=16)
    for part, start, end in zip(parts, offsets[:-1], offsets[1:], strict=True):
        np.testing.assert_allclose(together[start:end], forecast(model, part), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalization", ["causal", "window"])
@pytest.mark.parametrize("n_rows", [4, 16, 20, 32, 36, 48, 60])
def test_the_next_patch_is_that_of_the_whole_series(normalization, n_rows):
    model = timer(normalization=normalization, n_output_patches=2)
    values = np.random.default_rng(1).normal(size=n_rows + 4)
    values[40:44] = NAN
    whole = forecast(model, values)[n_rows:]
    found = next_patch_quantiles(model, values[:n_rows], context_length=16)
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5)


def test_a_block_without_any_value_forecasts_nothing():
    model, values = timer(), np.ones(60)
    values[4:44] = NAN
    found = forecast(model, values)
    # The window of rows 16 to 47 begins with a block of missing values, and has none before 44.
    assert np.isnan(found[32:44]).all()
    assert np.isfinite(found[[8, 20, 56]]).all()


def test_reading_units_come_from_the_first_patch():
    windows = np.array([[1.0, 3.0, 2.0, 2.0, 1e9, NAN]])
    scaled, units = in_reading_units(windows, 4)
    assert units.tolist() == [[2.0, 1.0]]
    np.testing.assert_array_equal(scaled[0, :4], [-1, 1, 0, 0])


def test_a_constant_first_patch_takes_its_unit_from_the_first_row_that_differs():
    scaled, units = in_reading_units(np.array([[5.0, 5.0, 5.0, 5.0, 5.0, 7.0, 1e9, 5.0]]), 4)
    assert units.tolist() == [[5.0, 2.0]]
    np.testing.assert_array_equal(scaled[0, :6], [0, 0, 0, 0, 0, 1])


def test_reading_units_of_nothing_and_of_a_constant_are_finite():
    scaled, units = in_reading_units(np.array([[NAN] * 4, [3.0] * 4]), 4)
    assert units.tolist() == [[0.0, 1.0], [3.0, 1.0]]
    np.testing.assert_array_equal(scaled, [[NAN] * 4, [0.0] * 4])


@pytest.mark.parametrize("far", [1e20, 9.96921e36, -1.7e308])
def test_a_value_beyond_all_others_leaves_every_row_its_forecast(far):
    model = timer(seasons=True)
    values = np.sin(np.arange(60) / 3)
    usual = forecast(model, values)
    values[41] = far
    found = forecast(model, values)
    np.testing.assert_allclose(found[4:44], usual[4:44], rtol=1e-4, atol=1e-5)
    assert np.isfinite(found[44:]).all()
