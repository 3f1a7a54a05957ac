"""A linear map from context to horizon, fitted in closed form: the rival that is hard to beat."""

from dataclasses import dataclass

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Float, Int, ndarray

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates, as multiples of the mean variance of the inputs."""


@dataclass(frozen=True)
class RidgeForecaster:
    """One linear map for all channels, on contexts from which the last value is subtracted.

    It is NLinear with a ridge penalty instead of early stopping, so it needs no training loop.

    References
    ----------
    Zeng et al. (2023), "Are Transformers Effective for Time Series Forecasting?".
    """

    weights: Float[ndarray, "context horizon"]
    bias: Float[ndarray, " horizon"]
    penalty: float

    @classmethod
    def fit(
        cls,
        values: Float[ndarray, "time channel"],
        *,
        train_end: int,
        validation_end: int,
        context_length: int,
        prediction_length: int,
        max_windows: int,
        generator: np.random.Generator,
    ) -> "RidgeForecaster":
        """Fit on random windows of the training rows; choose the penalty on validation rows.

        Parameters
        ----------
        values
            Standardised, nothing missing.
        max_windows
            At most so many windows, counted per channel, for fitting; a quarter for choosing.

        Raises
        ------
        DataError
            When the training or the validation rows do not hold a single window.
        """
        first = train_end - prediction_length - context_length + 1
        last = validation_end - prediction_length - train_end + 1
        if first < 1 or last < 1:
            raise DataError(
                f"training and validation rows must hold context_length={context_length} and "
                f"prediction_length={prediction_length}, got {train_end} and "
                f"{validation_end - train_end} rows; shorten them"
            )
        n_windows = max(1, max_windows // values.shape[1])
        starts = _draw(first, n_windows, generator)
        inputs, outputs = _windows(values, starts, context_length, prediction_length)
        candidates = _solve(inputs, outputs)
        starts = train_end - context_length + _draw(last, max(1, n_windows // 4), generator)
        inputs, outputs = _windows(values, starts, context_length, prediction_length)
        losses = [np.mean((inputs @ one.weights + one.bias - outputs) ** 2) for one in candidates]
        return candidates[int(np.argmin(losses))]

    def forecast_windows(
        self, contexts: Float[ndarray, "window context"]
    ) -> Float[ndarray, "window horizon"]:
        """Forecast the steps after every context; a missing value makes its forecast missing."""
        last = contexts[:, -1:]
        return (contexts - last) @ self.weights + self.bias + last


def _draw(n_starts: int, n_windows: int, generator: np.random.Generator) -> Int[ndarray, " window"]:
    if n_windows >= n_starts:
        return np.arange(n_starts)
    return np.sort(generator.choice(n_starts, n_windows, replace=False))


def _windows(
    values: Float[ndarray, "time channel"],
    starts: Int[ndarray, " window"],
    context_length: int,
    prediction_length: int,
) -> tuple[Float[ndarray, "row context"], Float[ndarray, "row horizon"]]:
    """Return contexts and what follows them, less the last value of the context."""
    length = context_length + prediction_length
    blocks = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)[starts]
    rows = blocks.reshape(-1, length)
    rows = rows - rows[:, context_length - 1 : context_length]
    return rows[:, :context_length], rows[:, context_length:]


def _solve(
    inputs: Float[ndarray, "row context"], outputs: Float[ndarray, "row horizon"]
) -> list[RidgeForecaster]:
    """Return one solution per penalty, from one eigendecomposition."""
    input_mean, output_mean = inputs.mean(axis=0), outputs.mean(axis=0)
    centred = inputs - input_mean
    eigenvalues, vectors = np.linalg.eigh(centred.T @ centred / len(inputs))
    projected = vectors.T @ (centred.T @ (outputs - output_mean) / len(inputs))
    size = max(float(eigenvalues.mean()), np.finfo(np.float64).tiny)
    solutions = []
    for penalty in PENALTIES:
        shrunk = projected / (np.maximum(eigenvalues, 0.0) + penalty * size)[:, None]
        weights = vectors @ shrunk
        solutions.append(RidgeForecaster(weights, output_mean - input_mean @ weights, penalty))
    return solutions
