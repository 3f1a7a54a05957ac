"""Scores decide which model is called better, so each of them is worked out by hand here."""

import numpy as np
import pytest

from tsfm.metrics.forecasting import (
    coverage,
    geometric_mean,
    mae,
    mase,
    mean_interval_width,
    mse,
    quantile_loss,
    rmse,
    scaled_errors,
    seasonal_error,
    smape,
    weighted_quantile_loss,
)

NAN = float("nan")


def one_item(*values: float) -> np.ndarray:
    return np.array(values)[None, :, None]


def test_errors_of_known_numbers():
    target, forecast = np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0])
    assert mae(target, forecast) == 1.0
    assert mse(target, forecast) == pytest.approx(5 / 3)
    assert rmse(target, forecast) == pytest.approx(np.sqrt(5 / 3))
    assert smape(target, forecast) == pytest.approx((2 / 3 + 0 + 4 / 10) / 3)


@pytest.mark.parametrize("metric", [mae, mse, rmse, smape])
def test_missing_targets_change_nothing(metric):
    target, forecast = np.array([1.0, 2.0, 6.0]), np.array([2.0, 2.0, 4.0])
    with_gap = np.array([1.0, NAN, 2.0, 6.0]), np.array([2.0, 1e9, 2.0, 4.0])
    assert metric(*with_gap) == metric(target, forecast)


@pytest.mark.parametrize("metric", [mae, mse, rmse, smape])
def test_nothing_observed_has_no_score(metric):
    assert np.isnan(metric(np.full(3, NAN), np.ones(3)))


@pytest.mark.parametrize("metric", [mae, mse, rmse, smape])
@pytest.mark.parametrize("broken", [NAN, np.inf, -np.inf])
@pytest.mark.parametrize("target", [0.0, 2.0])
def test_a_broken_forecast_is_never_taken_for_a_missing_target(metric, broken, target):
    assert metric(np.array([1.0, target]), np.array([1.0, broken])) == np.inf


def test_smape_leaves_out_steps_where_both_are_zero():
    assert smape(np.array([0.0, 1.0]), np.array([0.0, 3.0])) == 1.0


def test_float32_is_summed_in_float64():
    target = np.full(2_000_000, 0.1, np.float32)
    exact = abs(np.float64(np.float32(0.1)) - np.float64(np.float32(0.3)))
    assert mae(target, np.full_like(target, 0.3)) == pytest.approx(exact, rel=1e-12)


def test_seasonal_error_of_each_item_is_its_own():
    values = np.array([1.0, 5.0, 2.0, 7.0, 10.0, 10.0, 13.0])[:, None]
    found = seasonal_error(values, np.array([0, 4, 7]), 2)
    np.testing.assert_allclose(found, [[1.5], [3.0]])


def test_seasonal_error_leaves_out_pairs_with_a_missing_value():
    values = np.array([1.0, NAN, 4.0, 5.0])[:, None]
    np.testing.assert_allclose(seasonal_error(values, np.array([0, 4]), 1), [[1.0]])


def test_seasonal_error_of_a_short_series_uses_single_steps():
    values = np.array([1.0, 3.0, 3.0])[:, None]
    for seasonality in (3, 12):
        np.testing.assert_allclose(seasonal_error(values, np.array([0, 3]), seasonality), [[1.0]])


def test_seasonal_error_without_a_pair_is_undefined():
    values = np.array([[1.0], [NAN], [2.0]])
    found = seasonal_error(values, np.array([0, 1, 3, 3]), 1)
    assert np.isnan(found).all()


def test_mase_is_the_mean_over_all_scored_steps():
    target = np.array([[1.0, NAN], [4.0, 8.0]])[..., None]
    scale = np.array([[1.0], [2.0]])
    assert mase(target, np.zeros_like(target), scale) == pytest.approx((1 + 2 + 4) / 3)


def test_items_with_a_flat_context_are_left_out_of_mase():
    target = np.array([[5.0], [4.0], [9.0]])[..., None]
    scale = np.array([[0.0], [2.0], [NAN]])
    assert mase(target, np.zeros_like(target), scale) == 2.0
    assert np.isnan(scaled_errors(target, np.zeros_like(target), scale)[[0, 2]]).all()


def test_quantile_loss_punishes_the_unlikely_side_more():
    quantiles = np.array([0.0, 0.0])[None, :, None, None]
    above = quantile_loss(one_item(1.0), quantiles, (0.1, 0.9))
    below = quantile_loss(one_item(-1.0), quantiles, (0.1, 0.9))
    np.testing.assert_allclose(above.ravel(), [0.2, 1.8])
    np.testing.assert_allclose(below.ravel(), [1.8, 0.2])


def test_quantile_loss_at_the_median_is_the_absolute_error():
    quantiles = np.array([4.0, 1.0])[None, None, :, None]
    found = quantile_loss(one_item(1.0, 3.0), quantiles, (0.5,))
    np.testing.assert_allclose(found.ravel(), [3.0, 2.0])


def test_weighted_quantile_loss_of_equal_quantiles_is_the_normalised_deviation():
    target = one_item(2.0, -4.0, NAN)
    quantiles = np.full((1, 9, 3, 1), 1.0)
    levels = (np.arange(1, 10) / 10).tolist()
    assert weighted_quantile_loss(target, quantiles, levels) == pytest.approx((1 + 5) / 6)


def test_weighted_quantile_loss_of_zeros_is_undefined():
    quantiles = np.ones((1, 1, 2, 1))
    assert np.isnan(weighted_quantile_loss(one_item(0.0, NAN), quantiles, (0.5,)))


@pytest.mark.parametrize("broken", [NAN, np.inf, -np.inf])
def test_a_broken_quantile_makes_the_loss_infinite(broken):
    quantiles = np.array([1.0, broken])[None, None, :, None]
    assert weighted_quantile_loss(one_item(1.0, 1.0), quantiles, (0.5,)) == np.inf


def test_coverage_counts_the_ends():
    target = np.array([0.0, 1.0, 2.0, 3.0, NAN])
    assert coverage(target, np.zeros(5), np.full(5, 2.0)) == 0.75


def test_a_broken_bound_covers_nothing():
    assert coverage(np.array([0.0]), np.array([NAN]), np.array([1.0])) == 0.0


def test_interval_width_is_taken_where_the_target_is_observed():
    target, lower, upper = np.array([1.0, NAN, 1.0]), np.zeros(3), np.array([2.0, 50.0, 4.0])
    assert mean_interval_width(target, lower, upper) == 3.0


def test_geometric_mean_is_symmetric_in_ratios():
    assert geometric_mean(np.array([0.25, 4.0, 1.0])) == pytest.approx(1.0)
    assert np.isnan(geometric_mean(np.array([1.0, NAN])))
    assert np.isnan(geometric_mean(np.array([])))
