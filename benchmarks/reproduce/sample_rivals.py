"""Cheap models of whole samples, which every other must beat, and samples as arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsfm.series.samples import SampleSet

# Points to which rivals see every channel stretched, since they need samples of one length.
N_POINTS = 64


def rivals(is_regression: bool) -> dict[str, Callable[[], Any]]:  # noqa: FBT001, RUF100
    """Return the cheap models, by name."""
    if is_regression:
        return {
            "mean": DummyRegressor,
            "ridge": lambda: make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 5, 15))),
            "1-NN": lambda: make_pipeline(StandardScaler(), KNeighborsRegressor(1)),
        }
    return {
        "majority": DummyClassifier,
        "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        "1-NN": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(1)),
    }


def arrays(samples: SampleSet) -> list[np.ndarray]:
    """Return every sample as (channel, time)."""
    bounds = zip(samples.offsets[:-1], samples.offsets[1:], strict=True)
    return [samples.values[first:last].T for first, last in bounds]


def features(samples: SampleSet) -> np.ndarray:
    """Return every sample stretched to `N_POINTS` steps, missing values filled in between."""
    rows = []
    for sample in arrays(samples):
        place = np.linspace(0, sample.shape[1] - 1, N_POINTS)
        row = []
        for channel in sample:
            known = np.flatnonzero(np.isfinite(channel))
            row.append(np.interp(place, known, channel[known]) if len(known) else 0 * place)
        rows.append(np.concatenate(row))
    return np.stack(rows)
