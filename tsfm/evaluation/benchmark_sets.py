"""Benchmark sets as arrays: every series up to its last horizon, and that horizon."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tsfm.errors import ConfigError, DataError
from tsfm.series.card_series import read_series
from tsfm.series.cards import load_card
from tsfm.shapes import Float64, Int, ndarray

Missing = Literal["keep", "zero", "weekday_median"]
"""What stands for missing values, as the published form of the set has it.

``"keep"``: they stay missing. ``"zero"``: zero in the context; missing targets are not scored
(Monash's car parts). ``"weekday_median"``: the median of the same weekday, context and target
alike (Taieb et al. 2012, for NN5).
"""
DAYS_PER_WEEK = 7
Window = tuple[Float64[ndarray, " _time"], Float64[ndarray, " _horizon"]]


class WindowsLeftOutWarning(UserWarning):
    """Says that windows with nothing to forecast from are not scored."""


@dataclass(frozen=True)
class BenchmarkSet:
    """One window of every series: the context, and the last horizon as the target.

    Parameters
    ----------
    published_name
        The set's name in published tables; None when they do not have it.
    contexts
        All contexts, one after the other; NaN where missing. Channels are items of their own.
    targets
        NaN where missing.
    card
        Name of the card that the values are of, where it is not `name`.
    """

    name: str
    published_name: str | None
    seasonality: int
    contexts: Float64[ndarray, "total_time one"]
    offsets: Int[ndarray, " item_and_end"]
    targets: Float64[ndarray, "item horizon one"]
    card: str = ""

    @property
    def prediction_length(self) -> int:
        """Steps of the target."""
        return self.targets.shape[1]

    def __len__(self) -> int:
        return self.targets.shape[0]


def read_benchmark_set(name: str, *, missing: Missing = "keep") -> BenchmarkSet:
    """Cut the last horizon off every series of the set `name`, as its card says.

    A series without a value before its last horizon is left out, with a warning.

    Raises
    ------
    ConfigError
        When the card has no ``[zero_shot]`` section.
    DataError
        When a series is not longer than the horizon, or none has a value before it.
    """
    card = load_card(name)
    if card.zero_shot is None:
        raise ConfigError(
            f"datasets must have a [zero_shot] section in their card, got {name!r}; add "
            "prediction_length and seasonality there"
        )
    horizon = card.zero_shot.prediction_length
    windows: list[tuple[str, Window]] = []
    for item, series in read_series(card):
        if len(series) <= horizon:
            raise DataError(
                f"item {item!r} of {name} must be longer than prediction_length={horizon}, got "
                f"{len(series)} rows; leave it out or shorten the horizon"
            )
        filled = filled_series(series, horizon, missing)
        windows.append((f"item {item!r}", (filled[:-horizon], filled[-horizon:])))
    return set_of_windows(
        name,
        with_values(name, windows),
        seasonality=card.zero_shot.seasonality,
        published_name=card.zero_shot.published_name,
    )


def set_of_windows(
    name: str,
    windows: Sequence[Window],
    *,
    seasonality: int,
    published_name: str | None = None,
    card: str = "",
) -> BenchmarkSet:
    """Put contexts and targets end to end; every window is an item."""
    contexts = [context for context, _ in windows]
    return BenchmarkSet(
        name=name,
        published_name=published_name,
        seasonality=seasonality,
        contexts=np.concatenate(contexts)[:, None],
        offsets=np.concatenate([[0], np.cumsum([len(context) for context in contexts])]),
        targets=np.stack([target for _, target in windows])[:, :, None],
        card=card,
    )


def with_values(name: str, windows: Sequence[tuple[str, Window]]) -> list[Window]:
    """Return the windows that have something to forecast from; a warning names the others.

    Nobody has a forecast of the others: one of them would make the loss of every model infinite.

    Parameters
    ----------
    windows
        With what to call them.

    Raises
    ------
    DataError
        When no window is left.
    """
    kept = [window for _, window in windows if np.isfinite(window[0]).any()]
    if not kept:
        raise DataError(
            f"{name} must have a value before its windows, got only missing ones; leave it out or "
            "shorten the horizon"
        )
    if n_empty := len(windows) - len(kept):
        first = next(called for called, window in windows if not np.isfinite(window[0]).any())
        warnings.warn(
            f"{name}: {first} has no value before its window, so it is not scored ({n_empty} such "
            f"window{'' if n_empty == 1 else 's'} of {len(windows)})",
            WindowsLeftOutWarning,
            stacklevel=2,
        )
    return kept


def last_windows(
    name: str,
    series: Sequence[ndarray],
    seasonality: int,
    horizon: int,
    n_windows: int,
    *,
    items: Sequence[object] | None = None,
) -> BenchmarkSet:
    """Cut the last windows of every series that is long enough; every window is an item.

    A window whose context has no more values than a season, or whose target has none, is left out;
    a warning names series that have no other.

    Parameters
    ----------
    items
        What to call the series; by default their numbers.

    Raises
    ------
    DataError
        When no window is left.
    """
    windows: list[Window] = []
    without = []
    for number, values in enumerate(series):
        before = len(windows)
        for window in range(n_windows):
            end = len(values) - window * horizon
            if end <= horizon:
                break
            context, target = values[: end - horizon], values[end - horizon : end]
            if np.isfinite(context).sum() > seasonality and np.isfinite(target).any():
                windows.append((context, target))
        if len(windows) == before:
            without.append(number if items is None else items[number])
    if not windows:
        raise DataError(
            f"{name} must have a series of more values than a season of {seasonality} and a "
            f"horizon of {horizon} steps, got at most {max(map(_n_values, series), default=0)}; "
            "shorten prediction_length or give longer series"
        )
    if without:
        warnings.warn(
            f"{name}: item {without[0]!r} has no more values than a season of {seasonality} before "
            f"a window, or none within, so it is not scored ({len(without)} such "
            f"item{'' if len(without) == 1 else 's'} of {len(series)})",
            WindowsLeftOutWarning,
            stacklevel=2,
        )
    return set_of_windows(name, windows, seasonality=seasonality)


def filled_series(
    series: Float64[ndarray, " time"], prediction_length: int, missing: Missing
) -> Float64[ndarray, " time"]:
    """Return a series with its missing values replaced as `missing` says."""
    filled = series.copy()
    gaps = np.isnan(series)
    if missing == "zero":
        gaps[-prediction_length:] = False
        filled[gaps] = 0.0
    elif missing == "weekday_median":
        for day in range(DAYS_PER_WEEK):
            of_day = filled[day::DAYS_PER_WEEK]
            if not np.isnan(of_day).all():
                of_day[np.isnan(of_day)] = np.nanmedian(of_day)
    return filled


def _n_values(series: Float64[ndarray, " time"]) -> int:
    return int(np.isfinite(series).sum())
