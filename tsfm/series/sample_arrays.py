"""Samples as users have them in arrays: lists, matrices, cubes."""

from typing import Any

import numpy as np

from tsfm.errors import DataError
from tsfm.shapes import Float64, ndarray


def as_matrices(samples: Any) -> list[Float64[ndarray, "channel time"]]:
    """Return one matrix per sample, NaN where missing.

    Parameters
    ----------
    samples
        An array (sample, time) or (sample, channel, time), or a sequence of arrays (time,) or
        (channel, time) that may differ in length; what a masked array hides is missing.

    Raises
    ------
    DataError
        When a sample is empty, no numbers, or has other channels than the first.
    """
    if hasattr(samples, "toarray"):
        raise DataError(
            f"samples must be dense arrays, got a sparse {type(samples).__name__}; call .toarray()"
        )
    whole = samples if isinstance(samples, np.ndarray) and samples.dtype != object else None
    if whole is not None and whole.ndim not in (2, 3):
        raise DataError(
            "samples must be an array (sample, time) or (sample, channel, time), got shape "
            f"{whole.shape}; Reshape your data"
        )
    if isinstance(samples, np.ndarray) and samples.ndim == 0:
        got = type(samples.item()).__name__
        raise DataError(
            f"samples must be an array (sample, time) or (sample, channel, time), got {got}"
        )
    matrices = [_as_matrix(number, sample) for number, sample in enumerate(samples)]
    if not matrices:
        raise DataError("samples must be at least one, got 0")
    for number, matrix in enumerate(matrices):
        if len(matrix) != len(matrices[0]) or not matrix.shape[1]:
            raise DataError(
                f"sample {number} must have at least one step and {len(matrices[0])} channels like "
                f"the first, got {matrix.shape[1]} steps and {len(matrix)} channels"
            )
    return matrices


def _as_matrix(number: int, sample: Any) -> Float64[ndarray, "channel time"]:
    if hasattr(sample, "columns"):
        raise DataError(
            f"sample {number} must be an array (time,) or (channel, time), got a "
            f"{type(sample).__name__}; pass .to_numpy().T"
        )
    try:
        if isinstance(sample, np.ma.MaskedArray):
            sample = np.ma.filled(sample.astype(np.float64), np.nan)
        array = np.asarray(sample)
        if array.dtype.kind in "mM":
            raise DataError(f"sample {number} must hold numbers, got stamps; cast them")
        if np.iscomplexobj(array):
            raise DataError(f"Complex data not supported, got it in sample {number}; split it")
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"sample {number} must hold numbers, got: {error}") from None
    if array.ndim not in (1, 2):
        raise DataError(
            f"sample {number} must be (time,) or (channel, time), got shape {array.shape}"
        )
    return array[None] if array.ndim == 1 else array
