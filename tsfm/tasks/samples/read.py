"""Samples and labels as users have them: arrays of any shape, lists, long frames."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import column_or_1d

from tsfm.arguments import at_least_one, one_of
from tsfm.errors import DataError
from tsfm.models.heads import SeriesHeadConfig
from tsfm.series.sample_form import SampleForm
from tsfm.series.samples import SampleSet
from tsfm.series.scaling import SeriesScaler
from tsfm.shapes import ndarray

COLUMNS = ("id_column", "timestamp_column", "target", "freq")
MOST = 1e15
"""Largest distance from what was trained on, in its scale, whose square layers can still add up."""


def read_samples(samples: Any, columns: Mapping[str, Any]) -> SampleSet:
    """Return samples without labels; see `SampleSet.from_arrays` and `SampleSet.from_frame`.

    Parameters
    ----------
    columns
        Keywords for a frame.
    """
    if _is_frame(samples):
        return SampleSet.from_frame(samples, **columns)
    is_ready = isinstance(samples, list | tuple | np.ndarray) or hasattr(samples, "toarray")
    return SampleSet.from_arrays(samples if is_ready else np.asarray(samples))


def sample_form(scaling: Any, stretched_to: Any) -> SampleForm:
    """Return the form that samples are to have.

    Raises
    ------
    ConfigError
        When an option is wrong.
    """
    one_of("scaling", scaling, ("set", "sample"))
    n_steps = None if stretched_to is None else at_least_one("stretched_to", stretched_to)
    return SampleForm(scaling=scaling, stretched_to=n_steps)


def read_for(config: SeriesHeadConfig, samples: Any, columns: Mapping[str, Any]) -> SampleSet:
    """Return samples as a head of this config was trained on them: in its form and scale.

    Raises
    ------
    DataError
        When they have other channels.
    """
    found = read_samples(samples, columns)
    n_channels = config.form.n_channels(found.n_channels)
    if n_channels != len(config.loc):
        appended = config.form.n_channels(0)
        per_channel = config.form.n_channels(1) - appended
        raise DataError(
            f"samples must have {(len(config.loc) - appended) // per_channel} channels as in fit, "
            f"got {found.n_channels}"
        )
    scaler = SeriesScaler(np.array(config.loc), np.array(config.scale))
    scaled = config.form.of(found).scaled(scaler)
    return replace(scaled, values=np.clip(scaled.values, -MOST, MOST))


def read_labelled(samples: Any, labels: Any, columns: Mapping[str, Any], *, who: str) -> SampleSet:
    """Return samples with one label each.

    Parameters
    ----------
    labels
        One per sample, in the order of their first appearance; or the name of a frame's column.
    who
        The estimator, for messages.

    Raises
    ------
    DataError
        When labels are missing or not as many as samples, or there is only one sample.
    """
    if labels is None:
        raise DataError(
            f"{who} requires y to be passed, but the target y is None; pass one label per sample"
        )
    if isinstance(labels, str):
        if not _is_frame(samples):
            raise DataError(
                f"y must be an array unless samples are a frame, got the name {labels!r} and "
                f"samples in a {type(samples).__name__}"
            )
        found = SampleSet.from_frame(samples, label_column=labels, **columns)
    else:
        found = replace(read_samples(samples, columns), labels=_one_dimension(labels))
    if len(found.labels) != len(found):
        raise DataError(
            f"y must have one label per sample, got {len(found.labels)} for {len(found)} samples"
        )
    if len(found) < 2:
        raise DataError(f"{who} must be fitted on at least 2 samples, got 1 sample")
    return found


def _one_dimension(labels: Any) -> ndarray:
    """Return labels as an array of their own type, of objects where they are a mixture.

    scikit-learn alone would make numbers of nullable columns, and the text ``nan`` of what is
    missing between texts. What is missing between objects becomes None.
    """
    values = labels.to_list() if hasattr(labels, "to_list") else labels
    is_list = isinstance(values, list | tuple) and not any(
        isinstance(one, list | tuple | np.ndarray) for one in values
    )
    if is_list:
        array = np.asarray(values)
        is_text = all(isinstance(one, str | bytes) for one in values)
        labels = array if is_text or array.dtype.kind not in "US" else np.array(values, object)
    found: ndarray = column_or_1d(labels, warn=True)
    if found.dtype == object:
        found = np.array([None if _is_missing(one) else one for one in found], object)
    return found


def _is_missing(label: Any) -> bool:
    """Say whether it is None, NaN, or pandas' own, which cannot even be compared with itself."""
    try:
        return label is None or bool(label != label)
    except TypeError:
        return True


def _is_frame(samples: Any) -> bool:
    """Say whether it has columns: pandas, polars, pyarrow; a lazy frame warns when asked."""
    return hasattr(samples, "collect_schema") or hasattr(samples, "columns")
