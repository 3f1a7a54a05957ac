"""Cheap detectors beside the models: each looks back only, or is fitted on the training rows."""

from collections.abc import Callable, Mapping

import numpy as np

from tsfm.evaluation.detection_sets import LabelledSeries
from tsfm.shapes import Float64, ndarray
from tsfm.tasks.detection.score_rule import ScoreRule
from tsfm.tasks.detection.scores import LARGEST_SCORE, channel_mean, own_scores, past_errors

Scores = Float64[ndarray, " time"]
ScoreSeries = Callable[[LabelledSeries, np.random.Generator], Scores]
PAST = 100
"""Steps of the rolling statistics."""
PATCH = 16
FOREST_WINDOW = 16
PROFILE_WINDOW = 64
SHORTEST_SEASON = 4
RESIDUALS = ScoreRule(past_weight=1.0, smoothing_weight=0.0)


def residual_scores(series: LabelledSeries, lag: int) -> Scores:
    """Return the distance to the value `lag` steps before, in units of the median past distance."""
    return _by_channel(series, lambda values: _in_past_units(_differences(values, lag)))


def season_of(values: Float64[ndarray, " time"]) -> int:
    """Return the lag of the highest autocorrelation, at most a third of the rows; 1 for none.

    Long lags have fewer pairs and lower sums, so a season wins over its multiples.

    Examples
    --------
    >>> season_of(np.sin(np.arange(300) * 2 * np.pi / 24))
    24
    """
    centred = np.nan_to_num(values - np.nanmean(values))
    n_lags = len(values) // 3
    if n_lags <= SHORTEST_SEASON or not centred.any():
        return 1
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(values))) ** 2
    correlation = np.fft.irfft(spectrum)[:n_lags]
    # A slowly falling correlation is highest at the shortest lag; a season is a peak.
    peaks = (
        np.flatnonzero(
            (correlation[1:-1] > correlation[:-2]) & (correlation[1:-1] >= correlation[2:])
        )
        + 1
    )
    peaks = peaks[peaks >= SHORTEST_SEASON]
    return int(peaks[correlation[peaks].argmax()]) if len(peaks) else 1


def rolling_scores(series: LabelledSeries, *, is_robust: bool) -> Scores:
    """Return the distance to the mean of the last steps over their deviation.

    Parameters
    ----------
    is_robust
        Median and median absolute deviation in place of mean and standard deviation.
    """

    def scored(values: Float64[ndarray, " time"]) -> Scores:
        padded = np.append(np.full(PAST, np.nan), values)[:-1]
        past = np.lib.stride_tricks.sliding_window_view(padded, PAST)
        centre, spread = np.full((2, len(values)), np.nan)
        used = (~np.isnan(past)).sum(1) > 1
        if is_robust:
            centre[used] = np.nanmedian(past[used], axis=1)
            spread[used] = np.nanmedian(np.abs(past[used] - centre[used, None]), axis=1)
        else:
            centre[used], spread[used] = np.nanmean(past[used], 1), np.nanstd(past[used], 1)
        distance = np.abs(values - centre)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.minimum(distance / spread, LARGEST_SCORE)
        return np.where(distance == 0, 0.0, found)

    return _by_channel(series, scored)


def forest_scores(series: LabelledSeries, generator: np.random.Generator) -> Scores:
    """Return scores of an isolation forest on windows of all channels, fitted on training rows."""
    from sklearn.ensemble import IsolationForest

    if len(series.values) < FOREST_WINDOW:
        return np.full(len(series.values), np.nan)
    train = series.values[: series.n_train]
    scale = np.nanstd(train, axis=0)
    scaled = (series.values - np.nanmean(train, axis=0)) / np.where(scale > 0, scale, 1.0)
    windows = np.lib.stride_tricks.sliding_window_view(np.nan_to_num(scaled), FOREST_WINDOW, axis=0)
    windows = windows.reshape(len(windows), -1)
    forest = IsolationForest(n_estimators=50, random_state=int(generator.integers(2**31)))
    forest.fit(windows[: max(2, series.n_train - FOREST_WINDOW + 1)])
    first = np.full(FOREST_WINDOW - 1, np.nan)
    return np.append(first, -forest.score_samples(windows))


def profile_scores(series: LabelledSeries) -> Scores:
    """Return the distance of the window that ends at a row to the nearest one before it.

    This is the left matrix profile, of windows in their own units. Needs stumpy (extra `eval`),
    which compiles for the better part of a minute.
    """
    import stumpy

    def scored(values: Float64[ndarray, " time"]) -> Scores:
        found = np.full(len(values), np.nan)
        if len(values) < 2 * PROFILE_WINDOW:
            return found
        filled = np.nan_to_num(values, nan=float(np.nanmean(values)))
        nearest = stumpy.stump(filled, PROFILE_WINDOW)[:, 2].astype(np.int64)
        windows = np.lib.stride_tricks.sliding_window_view(filled, PROFILE_WINDOW)
        centred = windows - windows.mean(1, keepdims=True)
        deviation = centred.std(1, keepdims=True)
        units = centred / np.where(deviation > 1e-12, deviation, 1.0)
        distance = np.sqrt(((units - units[nearest]) ** 2).sum(1))
        found[PROFILE_WINDOW - 1 :] = np.where(nearest >= 0, distance, np.nan)
        return found

    return _by_channel(series, scored)


RIVALS: Mapping[str, ScoreSeries] = {
    "naive residual": lambda series, _: residual_scores(series, 1),
    "seasonal naive residual": lambda series, _: _by_channel(
        series,
        lambda values: _in_past_units(_differences(values, season_of(values[: series.n_train]))),
    ),
    "rolling z-score": lambda series, _: rolling_scores(series, is_robust=False),
    "rolling MAD": lambda series, _: rolling_scores(series, is_robust=True),
    "isolation forest": forest_scores,
    "matrix profile": lambda series, _: profile_scores(series),
    "random": lambda series, generator: generator.random(len(series.labels)),
}


def _by_channel(
    series: LabelledSeries, scored: Callable[[Float64[ndarray, " time"]], Scores]
) -> Scores:
    return channel_mean(np.stack([scored(values) for values in series.values.T], axis=1))


def _differences(values: Float64[ndarray, " time"], lag: int) -> Float64[ndarray, " time"]:
    return np.abs(np.append(np.full(lag, np.nan), values[lag:] - values[:-lag]))


def _in_past_units(errors: Float64[ndarray, " time"]) -> Scores:
    past = past_errors(errors, 0, PATCH, RESIDUALS.past_length)
    return own_scores(errors, 0.0 * errors, past, RESIDUALS)
