"""A ridge of forecast errors on covariates: its columns, their lags, and the fit."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.covariate_table import CovariateTable

# Per row, of standardised covariates; the last one leaves covariates out.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, np.inf)
HELD_OUT = 0.2
FEWEST_ROWS = 20


class Design(NamedTuple):
    """Columns of the regression, past and future; NaN where a covariate is missing."""

    past: Float64[ndarray, "total_time column"]
    future: Float64[ndarray, "item horizon column"]


def design(
    table: CovariateTable, offsets: Int[ndarray, " item_and_end"], prediction_length: int
) -> Design:
    """Return the columns: known covariates, lagged ones of the past, and both times every fact."""
    known = table.n_known
    lagged, newest = lag(table.past[:, known:], offsets, prediction_length)
    past = np.concatenate([table.past[:, :known], lagged], axis=1)
    future = np.concatenate([table.future, newest], axis=2)
    static = table.static
    if static.shape[1]:
        if len(static) > 1:
            static = (static - static.mean(0)) / np.maximum(static.std(0), 1e-9)
        of_row = np.repeat(static, np.diff(offsets), axis=0)
        products = [past, of_row]
        products += [past * of_row[:, [fact]] for fact in range(static.shape[1])]
        wide = np.repeat(static[:, None], future.shape[1], axis=1)
        ahead = [future, wide]
        ahead += [future * wide[:, :, [fact]] for fact in range(static.shape[1])]
        past, future = np.concatenate(products, axis=1), np.concatenate(ahead, axis=2)
    return Design(past, future)


def lag(
    values: Float64[ndarray, "total_time covariate"],
    offsets: Int[ndarray, " item_and_end"],
    n_steps: int,
) -> tuple[Float64[ndarray, "total_time covariate"], Float64[ndarray, "item horizon covariate"]]:
    """Return the values `n_steps` earlier at every step, and at the `n_steps` steps that follow."""
    lagged = np.full(values.shape, np.nan)
    newest = np.full((len(offsets) - 1, n_steps, values.shape[1]), np.nan)
    for item, (start, end) in enumerate(pairwise(offsets)):
        lagged[start + n_steps : end] = values[start : max(start, end - n_steps)]
        kept = min(n_steps, end - start)
        newest[item, n_steps - kept :] = values[end - kept : end]
    return lagged, newest


def fit_ridge(
    columns: Float64[ndarray, "row column"],
    error: Float64[ndarray, " row"],
    late: Bool[ndarray, " row"],
) -> tuple[Float64[ndarray, " column"], Float64[ndarray, " column"]]:
    """Return weights and the centre of the columns; rows with anything missing are left out.

    The penalty, or none of the covariates at all, is what does best on the late rows after a fit
    to the others; the weights are then fitted to all rows.
    """
    known = np.isfinite(error) & np.isfinite(columns).all(1)
    fitted, held = known & ~late, known & late
    if min(fitted.sum(), held.sum()) < FEWEST_ROWS:
        return np.zeros(columns.shape[1]), np.zeros(columns.shape[1])
    losses = []
    for penalty in PENALTIES:
        weights, centre = _solve(columns[fitted], error[fitted], penalty)
        centred = (columns[held] - centre) @ weights
        losses.append(np.abs(error[held] - error[fitted].mean() - centred).mean())
    return _solve(columns[known], error[known], PENALTIES[int(np.argmin(losses))])


def _solve(
    columns: Float64[ndarray, "row column"], error: Float64[ndarray, " row"], penalty: float
) -> tuple[Float64[ndarray, " column"], Float64[ndarray, " column"]]:
    centre = columns.mean(0)
    centred = columns - centre
    spread = np.where(centred.std(0) > 1e-12, centred.std(0), np.inf)
    scaled = centred / spread
    if not np.isfinite(penalty):
        return np.zeros(columns.shape[1]), centre
    gram = scaled.T @ scaled + penalty * len(scaled) * np.eye(scaled.shape[1])
    weights: ndarray = np.linalg.solve(gram, scaled.T @ (error - error.mean())) / spread
    return weights, centre


def late_rows(offsets: Int[ndarray, " item_and_end"]) -> Bool[ndarray, " row"]:
    """Say which rows are in the last part of their item."""
    lengths = np.diff(offsets)
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    late: ndarray = step >= np.repeat(np.ceil(lengths * (1 - HELD_OUT)), lengths)
    return late
