"""SAITS as a rival of gap fillers, trained on a set's own rows for as many minutes as asked.

Needs PyPOTS (extra `pypots`). It is trained as PyPOTS trains it: a fifth of the values of every
window are hidden at random, all channels are read together, and the weights with the lowest error
on validation windows are kept. Sizes are those of its authors for electricity transformers.

References
----------
Du, Côté and Liu (2023), "SAITS: Self-attention-based imputation for time series".
"""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from einops import rearrange

from tsfm.errors import DataError, UnsupportedError
from tsfm.evaluation.imputation_fillers import Filler
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.imputation.interpolation import Interpolation, Windows

SIZES: dict[str, Any] = {
    "n_layers": 2,
    "d_model": 256,
    "n_heads": 4,
    "d_k": 64,
    "d_v": 64,
    "d_ffn": 128,
    "dropout": 0.1,
    "batch_size": 32,
}
STEPS_OF_FILE = 192
VALIDATION_SHARE = 0.1


def train_saits(
    training: Float64[ndarray, "window time channel"],
    validation: Float64[ndarray, "held time channel"],
    gaps: Float64[ndarray, "held time channel"],
    *,
    minutes: float,
    seed: int,
) -> Filler:
    """Train SAITS and return it as a filler of windows of that length and those channels.

    Parameters
    ----------
    training, validation
        Standardised, NaN where missing.
    gaps
        The windows of `validation` with more values missing, on which the weights are chosen.
    minutes
        How many epochs that is, is measured on the first one, which counts.

    Raises
    ------
    UnsupportedError
        When PyPOTS is not installed.
    """
    try:
        from pypots.imputation import SAITS
        from pypots.utils.random import set_random_seed
    except ImportError as error:
        raise UnsupportedError(
            f"SAITS needs PyPOTS, got none ({error}); pip install 'tsfm-kit[pypots]'"
        ) from error
    n_steps, n_channels = training.shape[1:]
    shape = {"n_steps": n_steps, "n_features": n_channels, "device": "cpu", "verbose": False}
    sets = {"train_set": {"X": training}, "val_set": {"X": gaps, "X_ori": validation}}

    def trained(epochs: int) -> tuple[Any, float]:
        set_random_seed(seed)
        model = SAITS(**SIZES, **shape, epochs=epochs)
        started = time.perf_counter()
        model.fit(**sets)
        return model, time.perf_counter() - started

    model, seconds = trained(1)
    n_epochs = int((60 * minutes - seconds) / max(seconds, 1e-9))
    if n_epochs > 1:
        model, _ = trained(n_epochs)
    size = sum(one.numel() for one in model.model.parameters())

    def impute(windows: ndarray) -> ndarray:
        filled: ndarray = model.impute({"X": windows})
        return filled

    fill = in_tiles(impute, n_steps, n_channels)
    return Filler(f"SAITS, {minutes:g} minutes", "trained", fill, size)


def in_tiles(impute: Callable[[ndarray], ndarray], n_steps: int, n_channels: int) -> Interpolation:
    """Fill rows of any length with what fills windows of `n_steps` and `n_channels`.

    Rows are window by window, channel by channel. Windows are counted from the end; the first one
    overlaps the second where the length is no multiple, and is padded where it is too short.
    """

    def fill(rows: Windows) -> Windows:
        pattern = "(window channel) time -> window time channel"
        whole = rearrange(rows, pattern, channel=n_channels)
        padded = np.pad(
            whole, ((0, 0), (max(0, n_steps - whole.shape[1]), 0), (0, 0)), constant_values=np.nan
        )
        filled = padded.copy()
        for end in range(padded.shape[1], 0, -n_steps):
            last = max(end, n_steps)
            part = padded[:, last - n_steps : last]
            some = np.isfinite(part).any((1, 2))
            if some.any():
                filled[some, last - n_steps : last] = impute(part[some])
        filled = np.where(np.isfinite(padded), padded, filled)[:, -whole.shape[1] :]
        return rearrange(filled, "window time channel -> (window channel) time")

    return fill


def cut_windows(
    values: Float64[ndarray, "step channel"], length: int, stride: int
) -> Float64[ndarray, "window time channel"]:
    """Return windows of `length` steps that start at every `stride`-th."""
    views = np.lib.stride_tricks.sliding_window_view(values, length, axis=0)[::stride]
    return np.ascontiguousarray(rearrange(views, "window channel time -> window time channel"))


def saits_of_file(
    shown: Float64[ndarray, "step channel"],
    offsets: Int[ndarray, " item_and_end"],
    *,
    minutes: float,
    seed: int,
) -> Filler:
    """Train on what is shown of a file, every column by itself as it will be filled.

    Raises
    ------
    DataError
        When there are fewer than two windows with a value.
    """
    length = min(STEPS_OF_FILE, int(np.diff(offsets).max()))
    windows = np.concatenate(list(_columns(shown, offsets, length)))
    windows = windows[np.isfinite(windows).any((1, 2))]
    if len(windows) < 2:
        raise DataError(
            f"SAITS must have two windows of {length} steps with a value, got {len(windows)}; "
            "leave evaluate.saits_minutes out"
        )
    generator = np.random.default_rng(seed)
    windows = windows[generator.permutation(len(windows))]
    n_held = max(1, round(VALIDATION_SHARE * len(windows)))
    held = windows[:n_held]
    gaps = np.where(generator.random(held.shape) < 0.2, np.nan, held)
    return train_saits(windows[n_held:], held, gaps, minutes=minutes, seed=seed)


def _columns(
    shown: ndarray, offsets: ndarray, length: int
) -> Iterator[Float64[ndarray, "window time 1"]]:
    for start, end in pairwise(offsets):
        if end - start >= length:
            for column in shown[start:end].T:
                yield cut_windows(column[:, None], length, max(1, length // 4))
