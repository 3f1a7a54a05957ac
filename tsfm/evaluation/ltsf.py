"""Long-term forecasting: MSE and MAE at long horizons over every window of the test rows.

Values are standardised by the training rows, every channel is forecast by itself, windows start at
every step and none is dropped. A horizon has as many windows as fit: ``test rows - horizon + 1``.
One forecast of the longest horizon serves the shorter ones, which are its first steps.

References
----------
Zhou et al. (2021), "Informer", for the splits; Qiu et al. (2024), "TFB", on dropped batches.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError, DataError
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.rivals import Rival
from tsfm.markdown import markdown_table
from tsfm.series.ltsf_set import LtsfSet, read_ltsf_set
from tsfm.shapes import Float, ndarray
from tsfm.tasks.forecasting.ridge import RidgeForecaster

VALUES_PER_CHUNK = 8_000_000
"""Forecast values that are held at once: 64 MB."""
RIDGE_WINDOWS = 40_000
ForecastWindows = Callable[[Float[ndarray, "window context"]], Float[ndarray, "window horizon"]]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LtsfConfig:
    """The ``[evaluate]`` section of a recipe whose protocol is ``ltsf``.

    Parameters
    ----------
    datasets
        Card names.
    horizons
        In steps, ascending.
    splits
        Train, validation and test rows by card name; other sets are cut 70, 10 and 20 %.
    stride
        Steps from one test window to the next; anything but 1 is shown in the table.
    """

    protocol: Literal["ltsf"]
    models: tuple[str, ...]
    datasets: tuple[str, ...] = Field(min_length=1)
    horizons: tuple[int, ...] = (96, 192, 336, 720)
    context_length: int = 512
    splits: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    stride: int = 1

    def __post_init__(self) -> None:
        if not self.horizons or list(self.horizons) != sorted(set(self.horizons)):
            raise ConfigError(
                f"horizons must ascend, got {list(self.horizons)}; sort them and drop repeats"
            )
        if min(self.stride, self.context_length, self.horizons[0]) < 1:
            raise ConfigError(
                "stride, context_length and horizons must be at least 1 step, got "
                f"stride={self.stride}, context_length={self.context_length} and "
                f"horizons={list(self.horizons)}"
            )


def evaluate(
    config: LtsfConfig, models: list[Rival], generator: np.random.Generator
) -> pl.DataFrame:
    """Return one row per set, rival and horizon: ``mse``, ``mae``, ``n_windows``, ``seconds``.

    A model that was trained on the set is labelled ``"seen"``, never ``"zero-shot"``.
    """
    rows = []
    for name in config.datasets:
        data = read_ltsf_set(name, config.splits.get(name))
        for rival, label, forecast in _rivals(data, config, models, generator):
            started = time.perf_counter()
            errors = window_errors(data, forecast, config)
            seconds = time.perf_counter() - started
            rows += [
                {"dataset": name, "model": rival, "label": label, "seconds": seconds, **row}
                for row in errors
            ]
    return pl.DataFrame(rows)


def window_errors(
    data: LtsfSet, forecast: ForecastWindows, config: LtsfConfig
) -> list[dict[str, Any]]:
    """Return the mean errors per horizon over all test windows and channels."""
    horizons, longest = np.array(config.horizons), config.horizons[-1]
    n_test = len(data.values) - data.test_start
    if n_test < horizons[0] or data.test_start < config.context_length:
        raise DataError(
            f"{data.name} must have a context of {config.context_length} steps before and "
            f"{horizons[0]} steps in its test rows, got {data.test_start} and {n_test}; shorten "
            "context_length or horizons"
        )
    n_channels = data.values.shape[1]
    blocks = _blocks(data.values, config.context_length, longest)
    origins = np.arange(0, n_test - int(horizons[0]) + 1, config.stride)
    per_chunk = max(1, VALUES_PER_CHUNK // (n_channels * longest))
    squared, absolute, count = np.zeros((3, len(horizons)))
    for chunk in np.split(origins, np.arange(per_chunk, len(origins), per_chunk)):
        block = blocks[chunk + data.test_start - config.context_length]
        contexts = block[..., : config.context_length].reshape(-1, config.context_length)
        forecasts = forecast(contexts).reshape(len(chunk), n_channels, longest)
        errors = forecasts - block[..., config.context_length :]
        for index, horizon in enumerate(config.horizons):
            scored = errors[chunk <= n_test - horizon, :, :horizon]
            squared[index] += np.sum(scored**2)
            absolute[index] += np.sum(np.abs(scored))
            count[index] += scored.size
    return [
        {
            "horizon": horizon,
            "mse": float(squared[index] / count[index]) if count[index] else None,
            "mae": float(absolute[index] / count[index]) if count[index] else None,
            "n_windows": int(np.sum(origins <= n_test - horizon)),
        }
        for index, horizon in enumerate(config.horizons)
    ]


def render(rows: pl.DataFrame, config: LtsfConfig) -> str:
    """Return the results as Markdown."""
    which = (
        "Every window of the test rows is scored"
        if config.stride == 1
        else f"A sample: only every {_ordinal(config.stride)} window of the test rows is scored"
    )
    models = list(dict.fromkeys(rows["model"]))
    caption = (
        f"MSE / MAE of standardised values, context {config.context_length}. {which}. "
        "Lower is better."
    )
    parts = ["# Long-term forecasts", caption]
    body = []
    for (dataset, horizon), part in rows.group_by(["dataset", "horizon"], maintain_order=True):
        found = {row["model"]: row for row in part.iter_rows(named=True)}
        cells = [_cell(found[model]) for model in models]
        body.append([f"{dataset}", f"{horizon}", f"{part['n_windows'][0]:,}", *cells])
    parts.append(markdown_table(["set", "horizon", "windows", *models], body))
    seconds = rows.group_by("dataset", "model", maintain_order=True).first()
    body = [
        [model, f"{part['seconds'].sum():.0f}"]
        for (model,), part in seconds.group_by("model", maintain_order=True)
    ]
    parts.append(markdown_table(["model", "seconds to forecast, all sets"], body))
    return "\n\n".join(parts) + "\n"


def _rivals(
    data: LtsfSet, config: LtsfConfig, models: list[Rival], generator: np.random.Generator
) -> list[tuple[str, str, ForecastWindows]]:
    longest = config.horizons[-1]
    ridge = RidgeForecaster.fit(
        data.values,
        train_end=data.train_end,
        validation_end=data.test_start,
        context_length=config.context_length,
        prediction_length=longest,
        max_windows=RIDGE_WINDOWS,
        generator=generator,
    )
    return [
        *(
            (
                rival.name,
                rival.label(data.name),
                model_forecast(rival, longest),
            )
            for rival in models
        ),
        ("ridge, fitted here", "baseline", ridge.forecast_windows),
        ("seasonal naive", "baseline", _repeat(data.seasonality, longest)),
        ("naive", "baseline", _repeat(1, longest)),
    ]


def model_forecast(rival: Rival, prediction_length: int) -> ForecastWindows:
    """Return a function from a matrix of contexts to the median forecasts."""

    def forecast(
        contexts: Float[ndarray, "window context"],
    ) -> Float[ndarray, "window horizon"]:
        n_windows, context_length = contexts.shape
        offsets = np.arange(n_windows + 1) * context_length
        quantiles = rival.forecaster.forecast_arrays(
            contexts.reshape(-1, 1), offsets, prediction_length, (0.5,)
        )
        return quantiles[:, 0, :, 0]

    return forecast


def _repeat(seasonality: int, prediction_length: int) -> ForecastWindows:
    """Return the last season of every context again and again."""

    def forecast(
        contexts: Float[ndarray, "window context"],
    ) -> Float[ndarray, "window horizon"]:
        season = min(seasonality, contexts.shape[1])
        return contexts[:, -season:][:, np.arange(prediction_length) % season]

    return forecast


def _blocks(
    values: Float[ndarray, "time channel"], context_length: int, prediction_length: int
) -> Float[ndarray, "start channel step"]:
    """Return a view of every context with its horizon; NaN beyond the last row."""
    beyond = np.full((prediction_length, values.shape[1]), np.nan)
    padded = np.concatenate([values, beyond])
    length = context_length + prediction_length
    return np.lib.stride_tricks.sliding_window_view(padded, length, axis=0)


def _cell(row: dict[str, Any]) -> str:
    if row["mse"] is None:
        return "no window"
    text = f"{row['mse']:.3f} / {row['mae']:.3f}"
    return f"{text} (seen)" if row["label"] == "seen" else text


def _ordinal(number: int) -> str:
    if 10 <= number % 100 <= 20:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _evaluate(
    config: LtsfConfig, models: list[Rival], generator: np.random.Generator
) -> Evaluation:
    rows = evaluate(config, models, generator)
    return Evaluation(rows, {"table": render(rows, config)})


def _metrics(found: Evaluation) -> Iterator[tuple[str, dict[str, float | None]]]:
    for row in found.rows.iter_rows(named=True):
        place = f"{row['dataset']}/{row['horizon']}/{row['model']}"
        yield place, {metric: row[metric] for metric in ("mse", "mae")}


PROTOCOL = Protocol(config=LtsfConfig, evaluate=_evaluate, metrics=_metrics)
