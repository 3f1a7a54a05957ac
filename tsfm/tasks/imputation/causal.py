"""Gaps filled from their past alone, by a forecasting model: nothing after a gap has a say."""

import numpy as np

from tsfm.models.model import TimeSeriesModel
from tsfm.shapes import Float64, Int, ndarray
from tsfm.tasks.forecasting.array_forecast import array_forecast
from tsfm.tasks.forecasting.support import within_support
from tsfm.tasks.imputation.gaps import Gaps

CONTEXT_LENGTH = 512
"""Steps read before a gap unless more are asked for: every gap costs a forecast of its own."""
VALUES_PER_CHUNK = 4_000_000


def fill_causal(
    model: TimeSeriesModel,
    values: Float64[ndarray, " total_time"],
    offsets: Int[ndarray, " item_and_end"],
    gaps: Gaps,
    *,
    context_length: int,
    batch_size: int,
) -> Float64[ndarray, "step level"]:
    """Return every trained level at every step of the gaps; NaN for a gap without a past.

    Every gap is forecast from the values before it. Horizons are those of the model times powers of
    two, which a longer horizon agrees with step by step, so that when a gap ends has no say either.
    """
    levels = model.quantile_levels or (0.5,)
    lengths = gaps.lengths
    result = np.empty((int(lengths.sum()), len(levels)))
    before = np.concatenate([[0], np.cumsum(lengths)])
    reach = model.backbone.horizon
    horizons = reach * 2 ** np.ceil(np.log2(np.maximum(lengths / reach, 1))).astype(np.int64)
    start_of_item = offsets[gaps.item]
    for horizon in np.unique(horizons):
        chosen = np.flatnonzero(horizons == horizon)
        per_chunk = max(1, VALUES_PER_CHUNK // (context_length + int(horizon) * len(levels)))
        for chunk in np.split(chosen, np.arange(per_chunk, len(chosen), per_chunk)):
            past, past_offsets = _pasts(
                values, start_of_item[chunk], gaps.first[chunk], context_length
            )
            found = array_forecast(
                model,
                past,
                past_offsets,
                int(horizon),
                levels,
                context_length=context_length,
                batch_size=batch_size,
            )
            found = within_support(found, past, past_offsets, context_length)
            for row, gap in enumerate(chunk):
                filled = found[row, :, : lengths[gap], 0]
                result[before[gap] : before[gap + 1]] = filled.T
    return result


def _pasts(
    values: np.ndarray, start: np.ndarray, end: np.ndarray, context_length: int
) -> tuple[Float64[ndarray, "total_time 1"], Int[ndarray, " item_and_end"]]:
    """Copy the steps before every gap, end to end; a gap at the start of an item has none."""
    start = np.maximum(start, end - context_length)
    lengths = end - start
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths) + np.repeat(start, lengths)
    return values[place][:, None], offsets
