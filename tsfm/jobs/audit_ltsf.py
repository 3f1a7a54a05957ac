"""The look-ahead audit of the long-term protocol: borders, scale, and contexts of windows."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from tsfm.audits.comparison import canonical
from tsfm.audits.cutoffs import choose_cutoffs
from tsfm.audits.perturbation import VALUES_ONLY, Keys
from tsfm.config import Recipe, build_sections
from tsfm.errors import UnsupportedError
from tsfm.evaluation.ltsf import LtsfConfig, window_errors
from tsfm.jobs.audit_checks import Check, ask
from tsfm.jobs.evaluate import EvaluateRunConfig
from tsfm.mlflow_tracker import TrackingConfig
from tsfm.series.card_series import read_rows, read_series
from tsfm.series.cards import load_card
from tsfm.series.ltsf_set import LtsfSet, cut_set, read_ltsf_set
from tsfm.shapes import Float, ndarray

KEYS = Keys(None, "timestamp")
N_ORIGINS = 100


def checks(recipe: Recipe, n_cutoffs: int) -> list[Check]:
    """Audit every set of a recipe for `tsfm evaluate`.

    Raises
    ------
    UnsupportedError
        For other protocols than ``ltsf``.
    """
    protocol = recipe.sections["evaluate"].get("protocol")
    if protocol != "ltsf":
        raise UnsupportedError(
            f"tsfm audit asks the protocol 'ltsf', got {protocol!r}; audit a function with "
            "tsfm.audit"
        )
    classes = {"run": EvaluateRunConfig, "tracking": TrackingConfig, "evaluate": LtsfConfig}
    config: LtsfConfig = build_sections(recipe, classes)["evaluate"]
    return [check for name in config.datasets for check in _of_set(name, config, n_cutoffs)]


def _of_set(name: str, config: LtsfConfig, n_cutoffs: int) -> list[Check]:
    card = load_card(name)
    read_ltsf_set(name, config.splits.get(name))  # says what of the set the protocol cannot score
    series = read_series(card)
    channels = [f"{number} {channel}" for number, (channel, _) in enumerate(series)]
    # Channels of several items are scored row by row: the stamps are those of the first one.
    stamps = read_rows(card)[card.timestamp].head(len(series[0][1]))
    frame = pl.DataFrame(
        {
            "timestamp": stamps,
            **{channel: values for channel, (_, values) in zip(channels, series, strict=True)},
        }
    )

    def cut(known: pl.DataFrame) -> LtsfSet:
        rows = [known[channel].to_numpy() for channel in channels]
        return cut_set(name, rows, config.splits.get(name), seasonality=card.seasonality)

    def scaled(known: pl.DataFrame, _: pl.Series | None) -> pl.DataFrame:
        values = pl.DataFrame(cut(known).values, schema=channels)
        stamps = known["timestamp"].head(len(values))
        return canonical(values.with_columns(timestamp=stamps), KEYS, stamps.dtype)

    def contexts(known: pl.DataFrame, _: pl.Series | None) -> pl.DataFrame:
        return canonical(_contexts(cut(known), known["timestamp"], config), KEYS, stamps.dtype)

    whole = cut(frame)
    last_training, last_before = (
        frame["timestamp"][end - 1] for end in (whole.train_end, whole.test_start)
    )
    used = frame["timestamp"].head(len(whole.values))
    found = []
    for title, observe, start in (
        ("split and scale", scaled, last_training),
        ("contexts of test windows", contexts, last_before),
    ):
        cutoffs = choose_cutoffs(used, n_cutoffs, 0, start=start)
        found.append(
            ask(title, name, observe, frame, KEYS, channels, cutoffs, perturbations=VALUES_ONLY)
        )
    return found


def _contexts(data: LtsfSet, stamps: pl.Series, config: LtsfConfig) -> pl.DataFrame:
    """Return what models are shown, by the stamp of its last step; a sum stands for its steps."""
    horizon = config.horizons[0]
    n_origins = len(data.values) - data.test_start - horizon + 1
    stride = max(1, n_origins // N_ORIGINS)
    weights = np.random.default_rng(0).normal(size=config.context_length)
    seen: list[ndarray] = []

    def forecast(contexts: Float[ndarray, "window context"]) -> Float[ndarray, "window horizon"]:
        # Missing values stay as they are; products row by row do not depend on other rows.
        seen.append((contexts * weights).sum(axis=1))
        return np.zeros((len(contexts), horizon))

    window_errors(data, forecast, replace(config, horizons=(horizon,), stride=stride))
    rows = np.concatenate(seen).reshape(-1, data.values.shape[1])
    last = np.arange(0, n_origins, stride) + data.test_start - 1
    columns: dict[str, Any] = {f"context of channel {n}": row for n, row in enumerate(rows.T)}
    return pl.DataFrame({"timestamp": stamps.gather(last), **columns})
