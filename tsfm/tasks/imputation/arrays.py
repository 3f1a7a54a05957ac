"""Arrays in, arrays out: which gaps are filled, by which way of reading the model."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from tsfm.arguments import at_least_one
from tsfm.errors import ConfigError, UnsupportedError
from tsfm.models.backbone import GapFiller, NextPatchModel
from tsfm.models.model import TimeSeriesModel
from tsfm.shapes import Bool, Float64, Int, ndarray
from tsfm.tasks.forecasting.quantiles import MEDIAN, at_levels, check_calibrated
from tsfm.tasks.forecasting.support import find_support
from tsfm.tasks.imputation.causal import CONTEXT_LENGTH, fill_causal
from tsfm.tasks.imputation.gaps import Gaps, find_gaps, has_any
from tsfm.tasks.imputation.two_sided import fill_two_sided
from tsfm.tasks.progress import Advance

MODELS: dict[str, str] = {"two_sided": "tsfm-fill", "causal": "tsfm-small"}
"""The bundled model of each mode."""
RECONSTRUCTION = "reconstruction"
WHAT: dict[str, str] = {"two_sided": "fills gaps from both sides", "causal": "forecasts"}


def fill_arrays(
    model: TimeSeriesModel,
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    quantile_levels: Sequence[float] = (MEDIAN,),
    *,
    mode: str | None = None,
    max_gap: int | None = None,
    context_length: int | None = None,
    batch_size: int = 256,
    seasonality: int = 1,
    wanted: Bool[ndarray, " total_time"] | None = None,
    advance: Advance | None = None,
) -> Float64[ndarray, "level total_time channel"]:
    """Fill series that lie end to end, NaN where missing; see `Imputer.impute`.

    Observed steps keep their value at every level; what is not filled stays NaN. A gap without a
    step that is `wanted` is not read, which changes nothing in the others; by default all are.

    Parameters
    ----------
    seasonality
        Steps of a season as the frequency has it, 1 for none: where the values around a long gap
        cannot say what their season is, and speak for this one, the gap is filled with it in mind
        (`tsfm.tasks.imputation.season`). Causal fills and encoders that reconstruct do without.
    """
    mode = _checked(model, mode, quantile_levels, max_gap)
    at_least_one("batch_size", batch_size)
    longest = model.context_length
    if context_length is not None:
        longest = min(at_least_one("context_length", context_length), longest)
    elif mode == "causal":
        longest = min(CONTEXT_LENGTH, longest)
    found = np.repeat(values[None], len(quantile_levels), axis=0)
    if mode == "two_sided" and RECONSTRUCTION in model.heads:
        return _reconstructed(model, found, values, offsets, max_gap, batch_size)
    for channel in range(values.shape[1]):
        series = np.ascontiguousarray(values[:, channel])
        gaps = _to_fill(find_gaps(series, offsets), offsets, mode, max_gap)
        if wanted is not None:
            gaps = gaps.where(has_any(wanted, gaps))
        two_sided = partial(fill_two_sided, seasonality=seasonality)
        trained = (fill_causal if mode == "causal" else two_sided)(
            model,
            series,
            offsets,
            gaps,
            context_length=longest,
            batch_size=batch_size,
        )
        known = model.backbone.quantile_levels
        asked = at_levels(trained[..., None], known, quantile_levels)[..., 0]
        if mode == "two_sided":
            asked = _in_support(asked, series, offsets, gaps)
        found[:, gaps.steps(), channel] = asked.T
        if advance is not None:
            advance(len(offsets) - 1)
    return found


def bundled_for(mode: str) -> str:
    """Return the name of the bundled model of a mode."""
    if mode not in MODELS:
        raise ConfigError(f"mode must be one of {list(MODELS)}, got {mode!r}")
    return MODELS[mode]


def _mode_of(model: TimeSeriesModel) -> str:
    return "causal" if isinstance(model.backbone, NextPatchModel) else "two_sided"


def _checked(
    model: TimeSeriesModel, mode: str | None, quantile_levels: Sequence[float], max_gap: int | None
) -> str:
    """Return the mode, once the model can do what is asked."""
    if max_gap is not None:
        at_least_one("max_gap", max_gap)
    if mode is not None:
        bundled_for(mode)
    backbone, mode = model.backbone, mode or _mode_of(model)
    reconstructs = RECONSTRUCTION in model.heads
    fits = (
        isinstance(backbone, NextPatchModel)
        if mode == "causal"
        else isinstance(backbone, GapFiller) or reconstructs
    )
    if not fits:
        raise UnsupportedError(
            f"mode={mode!r} needs a model that {WHAT[mode]}, got {model.name!r}; pass "
            f"model={MODELS[mode]!r} or another mode"
        )
    points_only = mode == "two_sided" and reconstructs
    trained = () if points_only else tuple(backbone.quantile_levels)
    check_calibrated(trained, quantile_levels)
    return mode


def _reconstructed(
    model: TimeSeriesModel,
    found: Float64[ndarray, "level total_time channel"],
    values: Float64[ndarray, "total_time channel"],
    offsets: Int[ndarray, " item_and_end"],
    max_gap: int | None,
    batch_size: int,
) -> Float64[ndarray, "level total_time channel"]:
    """Fill all channels of an item together, with an encoder that learned to."""
    from tsfm.tasks.imputation.reconstruct import fill_series

    for first, last in pairwise(offsets):
        filled = fill_series(model, values[first:last], batch_size=batch_size)
        for channel in range(values.shape[1]):
            series, bounds = values[first:last, channel], np.array([0, last - first])
            gaps = _to_fill(find_gaps(series, bounds), bounds, "two_sided", max_gap)
            steps = gaps.steps()
            found[:, first + steps, channel] = filled[steps, channel]
    return found


def _to_fill(gaps: Gaps, offsets: np.ndarray, mode: str, max_gap: int | None) -> Gaps:
    """Return the gaps that can and may be filled."""
    size = np.diff(offsets)[gaps.item]
    if mode == "causal":
        gaps = gaps.where(gaps.first > offsets[gaps.item])
        if max_gap is not None:
            gaps = gaps._replace(last=np.minimum(gaps.last, gaps.first + max_gap))
        return gaps
    keep = gaps.lengths < size
    if max_gap is not None:
        keep &= gaps.lengths <= max_gap
    return gaps.where(keep)


def _in_support(
    quantiles: Float64[ndarray, "step level"],
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    gaps: Gaps,
) -> Float64[ndarray, "step level"]:
    """Keep to a floor of zero and to whole counts, where the values of an item do."""
    floor, count = find_support(values[:, None], offsets, len(values))
    item = np.repeat(gaps.item, gaps.lengths)
    lifted = np.where(floor[item], np.maximum(quantiles, 0.0), quantiles)
    result: ndarray = np.where(count[item], np.round(lifted), lifted)
    return result
