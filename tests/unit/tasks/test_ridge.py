"""The linear rival must find a linear rule when there is one, and choose its penalty unseen."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from tsfm.errors import DataError
from tsfm.tasks.forecasting.ridge import PENALTIES, RidgeForecaster, _solve


def fitted(values: np.ndarray, *, context_length: int = 24, max_windows: int = 5000):
    return RidgeForecaster.fit(
        values,
        train_end=300,
        validation_end=400,
        context_length=context_length,
        prediction_length=12,
        max_windows=max_windows,
        generator=np.random.default_rng(0),
    )


def waves(n_steps: int = 500) -> np.ndarray:
    time = np.arange(n_steps)[:, None]
    return np.sin(2 * np.pi * time / 12 + np.array([0.0, 1.0])) + np.array([3.0, -5.0])


def test_a_wave_is_continued():
    values = waves()
    contexts = np.stack([values[420:444, 0], values[430:454, 1]])
    expected = np.stack([values[444:456, 0], values[454:466, 1]])
    found = fitted(values).forecast_windows(contexts)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_rows_after_validation_are_never_used():
    values = waves()
    changed = values.copy()
    changed[400:] = 1e6
    np.testing.assert_array_equal(fitted(values).weights, fitted(changed).weights)


def test_a_shift_of_the_context_shifts_the_forecast(generator):
    forecaster = fitted(generator.normal(size=(500, 2)))
    contexts = generator.normal(size=(3, 24))
    shifted = forecaster.forecast_windows(contexts + 100.0)
    np.testing.assert_allclose(shifted, forecaster.forecast_windows(contexts) + 100.0)


def test_noise_gets_a_larger_penalty_than_a_wave(generator):
    assert fitted(generator.normal(size=(500, 2))).penalty > fitted(waves()).penalty


def test_fewer_windows_are_drawn_when_asked(generator):
    values = generator.normal(size=(500, 2))
    few, all_windows = fitted(values, max_windows=40), fitted(values)
    assert np.abs(few.weights - all_windows.weights).max() > 0


def test_solutions_equal_scikit_learn(generator):
    inputs, outputs = generator.normal(size=(200, 6)), generator.normal(size=(200, 3))
    size = np.linalg.eigvalsh(np.cov(inputs.T, bias=True)).mean()
    for penalty, found in zip(PENALTIES, _solve(inputs, outputs), strict=True):
        expected = Ridge(alpha=penalty * size * len(inputs)).fit(inputs, outputs)
        np.testing.assert_allclose(found.weights, expected.coef_.T, rtol=1e-8)
        np.testing.assert_allclose(found.bias, expected.intercept_, rtol=1e-6)


def test_rows_that_hold_no_window_are_refused():
    with pytest.raises(DataError, match="context_length=290 and prediction_length=12, got 300"):
        fitted(waves(), context_length=290)
