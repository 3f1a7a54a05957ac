"""A ridge of forecast errors on covariates: its columns, their lags, and the fit."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.with_covariates.table import CovariateTable

# Per row, of standardised covariates; the last one leaves covariates out.
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, np.inf)
HELD_OUT = 0.2
FEWEST_ROWS = 20
ROUNDING = 1e-12
"""A covariate that moves by less than this share of its values is a constant."""


class Design(NamedTuple):
    """Columns of the regression, past and future; NaN where a covariate is missing."""

    past: Float64[ndarray, "total_time column"]
    future: Float64[ndarray, "item horizon column"]


def in_units(table: CovariateTable) -> CovariateTable:
    """Return covariates around 0 and of sizes near 1: their own unit and zero have no say.

    One that is constant says nothing, wherever it goes.
    """
    past, unit = _near_one(table.past)
    level = np.nan_to_num(past).sum(0) / np.maximum(np.isfinite(past).sum(0), 1)
    past = past - level
    spread = np.nanmax(np.abs(past), axis=0, initial=0.0)
    moves = spread > ROUNDING * np.abs(level)
    past, size = _near_one(past * moves)
    known = slice(None, table.n_known)
    future = (np.ldexp(table.future, -unit[known]) - level[known]) * moves[known]
    static = _near_one(table.static)[0]
    return replace(table, past=past, future=np.ldexp(future, -size[known]), static=static)


def _near_one(
    columns: Float64[ndarray, "row column"],
) -> tuple[Float64[ndarray, "row column"], Int[ndarray, " column"]]:
    """Return columns divided by a power of two, which loses nothing, and its exponent."""
    exponent = np.frexp(np.nanmax(np.abs(columns), axis=0, initial=0.0))[1]
    return np.ldexp(columns, -exponent), exponent


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
