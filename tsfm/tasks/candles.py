"""Candles that can exist: sample paths of open, high, low, close and volume.

What is forecast is the return of the close, the return of the open against the close before it, and
the two wicks, which are not negative; whatever is sampled from them is a candle whose low is lowest
and whose high is highest.
"""

from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl

from tsfm.arguments import a_seed, at_least_one
from tsfm.errors import ConfigError, DataError
from tsfm.series.frame import SeriesFrame
from tsfm.shapes import Float, Float64, Int, ndarray
from tsfm.tasks.arguments import a_horizon
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.contexts import last_observed

PRICES = ("open", "high", "low", "close")
# Levels that samples are interpolated between; the outer ones say how far the tails reach.
LEVELS = (0.0005, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.9995)
# No forecast of a log price moves further than this in one step.
LARGEST_MOVE = 5.0


def forecast_candles(
    data: Any,
    *,
    prediction_length: int,
    n_samples: int = 100,
    seed: int = 0,
    volume: str | None = None,
    prices: Sequence[str] = PRICES,
    id_column: str = "item_id",
    timestamp_column: str = "timestamp",
    freq: str | None = None,
    calendar: str | None = None,
    context_length: int | None = None,
    batch_size: int = 256,
    model: Forecaster | str = "tsfm-small",
) -> Any:
    """Return sample paths of candles, in the kind of frame that came in.

    Columns: id, timestamp, ``sample``, the prices, and the volume when it is named. Within a sample
    the parts of a candle, and successive candles, are as large or small together as they were over
    some stretch of the item's own past.

    Parameters
    ----------
    n_samples
        Paths per item.
    volume
        Name of its column; None forecasts none.
    prices
        Names of open, high, low and close, in this order.
    model
        A `Forecaster` with quantiles, or what `Forecaster.from_pretrained` takes.

    Raises
    ------
    DataError
        When a candle cannot be: a price that is not positive, a low or high that is inside.
    ConfigError
        When the prices are not four columns.

    Examples
    --------
    >>> close = [10.0, 10.5, 10.2] * 10
    >>> bars = {"open": close, "high": [one + 1 for one in close], "close": close}
    >>> frame = pl.DataFrame({"timestamp": range(30), "low": [one - 1 for one in close], **bars})
    >>> found = forecast_candles(frame, prediction_length=2, n_samples=3)
    >>> found.shape, bool((found["low"] <= found["open"]).all())
    ((6, 7), True)
    """
    at_least_one("n_samples", n_samples)
    a_horizon(prediction_length)
    a_seed(seed)
    if len(prices) != len(PRICES):
        raise ConfigError(f"prices must be the columns of {list(PRICES)}, got {list(prices)}")
    names = (*prices, *([volume] if volume is not None else ()))
    series = SeriesFrame.from_any(
        data,
        id_column=id_column,
        timestamp_column=timestamp_column,
        target=names,
        freq=freq,
        calendar=calendar,
    )
    _check(series)
    forecaster = Forecaster.from_pretrained(model) if isinstance(model, str) else model
    parts = candle_parts(series.values, series.offsets)
    quantiles = forecaster.forecast_arrays(
        parts,
        series.offsets,
        prediction_length,
        LEVELS,
        context_length=context_length,
        batch_size=batch_size,
    )
    generator = np.random.default_rng(seed)
    paths = []
    for item in range(series.n_items):
        past = slice(series.offsets[item], series.offsets[item + 1])
        levels = sample_levels(parts[past], prediction_length, n_samples, generator)
        sampled = at_sampled_levels(quantiles[item], levels)
        paths.append(candles_of(sampled, float(last_observed(series.values[past])[3])))
    return series.to_origin(_frame(series, np.stack(paths), names))


def candle_parts(
    candles: Float64[ndarray, "total_time channel"], offsets: Int[ndarray, " item_and_end"]
) -> Float64[ndarray, "total_time channel"]:
    """Return what candles are made of: log returns of the close and of the open, and the wicks.

    Both returns are against the last known close before; with a volume, the log of one plus it
    follows. NaN where a price is missing, and at the beginning of every item.
    """
    logs = np.log(candles[:, :4])
    opening, high, low, close = logs.T
    before = np.full(len(close), np.nan)
    for start, end in pairwise(offsets.tolist()):
        last = np.where(np.isfinite(close[start:end]), np.arange(end - start), 0)
        filled = close[start:end][np.maximum.accumulate(last)]
        before[start + 1 : end] = filled[:-1]
    top, bottom = np.maximum(opening, close), np.minimum(opening, close)
    parts = [close - before, opening - before, high - top, bottom - low]
    return np.stack([*parts, *np.log1p(candles[:, 4:]).T], axis=1)


def sample_levels(
    past: Float[ndarray, "time channel"],
    prediction_length: int,
    n_samples: int,
    generator: np.random.Generator,
) -> Float64[ndarray, "sample horizon channel"]:
    """Return levels between 0 and 1 that hang together as the past did.

    Every sample takes a stretch of the past, as long as the forecast, and the ranks that its values
    have among all of the past: large wicks come with large returns, and wild days with wild days.
    Without a past of two candles the levels are independent.
    """
    shape = (n_samples, prediction_length, past.shape[1])
    known = past[np.isfinite(past).all(axis=1)]
    if len(known) < 2:
        return generator.random(shape)
    noise = generator.random(known.shape)
    # Ties, such as days without a wick, are broken at random.
    order = np.stack([np.lexsort(pair) for pair in zip(noise.T, known.T, strict=True)], axis=1)
    rank = np.argsort(order, axis=0)
    first = generator.integers(0, len(known), n_samples)
    rows = (first[:, None] + np.arange(prediction_length)) % len(known)
    levels: ndarray = (rank[rows] + generator.random(shape)) / len(known)
    return levels


def at_sampled_levels(
    quantiles: Float64[ndarray, "level horizon channel"],
    levels: Float64[ndarray, "sample horizon channel"],
) -> Float64[ndarray, "sample horizon channel"]:
    """Return the quantiles of `LEVELS` at other levels, interpolated on normal scores."""
    normal = NormalDist()
    known = np.array([normal.inv_cdf(level) for level in LEVELS])
    inside = np.clip(levels, LEVELS[0], LEVELS[-1])
    left = np.clip(np.searchsorted(LEVELS, inside, "right") - 1, 0, len(LEVELS) - 2)
    scores = _normal_scores(inside)
    weight = (scores - known[left]) / (known[left + 1] - known[left])
    low, high = (np.take_along_axis(quantiles, place, 0) for place in (left, left + 1))
    found: ndarray = low + weight * (high - low)
    return found


def candles_of(
    parts: Float64[ndarray, "sample horizon channel"], last_close: float
) -> Float64[ndarray, "sample horizon channel"]:
    """Return the candles that such parts make, one after the other, from `last_close` on."""
    moves = np.clip(parts[..., :2], -LARGEST_MOVE, LARGEST_MOVE)
    wicks = np.clip(parts[..., 2:4], 0.0, LARGEST_MOVE)
    close = last_close * np.exp(np.cumsum(moves[..., 0], axis=1))
    before = np.concatenate([np.full_like(close[:, :1], last_close), close[:, :-1]], axis=1)
    opening = before * np.exp(moves[..., 1])
    # A factor of at least one never makes the higher of the two lower, in floating point too.
    high = np.maximum(opening, close) * np.exp(wicks[..., 0])
    low = np.minimum(opening, close) / np.exp(wicks[..., 1])
    volume = np.expm1(np.clip(parts[..., 4:], 0.0, 80.0))
    return np.concatenate([np.stack([opening, high, low, close], axis=-1), volume], axis=-1)


def impossible(
    candles: Float[ndarray, "*shape channel"],
) -> ndarray:
    """Return where a candle cannot be; one with a missing price can.

    Examples
    --------
    >>> impossible(np.array([[2.0, 3.0, 1.0, 2.5], [2.0, 2.1, 1.0, 2.5]])).tolist()
    [False, True]
    """
    opening, high, low, close = (candles[..., place] for place in range(4))
    wrong = (low > np.minimum(opening, close)) | (high < np.maximum(opening, close))
    bounds = (candles[..., :4] <= 0).any(axis=-1) | (candles[..., 4:] < 0).any(axis=-1)
    return wrong | bounds | np.isinf(candles).any(axis=-1)


def _check(series: SeriesFrame) -> None:
    wrong = np.flatnonzero(impossible(series.values))
    if not len(wrong):
        return
    item = int(np.searchsorted(series.offsets, wrong[0], "right")) - 1
    stamp = series.timestamps(wrong[:1])[0]
    shown = ", ".join(
        f"{name}={value:g}"
        for name, value in zip(series.targets, series.values[wrong[0]], strict=True)
    )
    raise DataError(
        f"a candle must have positive prices, its low at the bottom and its high at the top, got "
        f"{shown} of {series.items[item]!r} at {stamp} and {len(wrong) - 1} more; correct or drop "
        "them"
    )


def _normal_scores(levels: Float64[ndarray, "*shape"]) -> Float64[ndarray, "*shape"]:
    from scipy.special import ndtri

    scores: ndarray = ndtri(levels)
    return scores


def _frame(
    series: SeriesFrame,
    paths: Float64[ndarray, "item sample horizon channel"],
    names: Sequence[str],
) -> pl.DataFrame:
    n_items, n_samples, horizon, _ = paths.shape
    stamps = series.future_timestamps(horizon)
    of_item = np.repeat(np.arange(n_items), n_samples * horizon)
    step = np.tile(np.arange(horizon), n_items * n_samples)
    sample = np.tile(np.repeat(np.arange(n_samples), horizon), n_items)
    content = {
        series.columns.id: series.items.gather(of_item),
        series.columns.timestamp: stamps.gather(of_item * horizon + step),
        "sample": sample,
    }
    content |= {name: paths[..., place].ravel() for place, name in enumerate(names)}
    return pl.DataFrame(content)
