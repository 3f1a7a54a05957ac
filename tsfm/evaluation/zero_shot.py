"""Zero-shot forecasting of benchmark sets, beside published results: Chronos' Benchmark II.

One window per series: the last horizon. MASE with the set's seasonality, mean weighted quantile
loss (WQL) at nine levels, and both as ratios to Seasonal Naive: the published one where there is
one, else our own. Our own Seasonal Naive must first equal the published one, or nothing is scored.

References
----------
Ansari et al. (2024), "Chronos: Learning the Language of Time Series".
"""

from collections.abc import Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.evaluation.benchmark_sets import (
    BenchmarkSet,
    Missing,
    last_windows,
    read_benchmark_set,
)
from tsfm.evaluation.beside_published import BesidePublished, scored, summarised
from tsfm.evaluation.own_file import OwnFile, read_series, season_of
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.published import published_results
from tsfm.evaluation.rivals import Rival
from tsfm.evaluation.zero_shot_tables import metrics

OTHER, OWN = "other sets", "own file"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ZeroShotConfig(BesidePublished, OwnFile):
    """The ``[evaluate]`` section of a recipe whose protocol is ``zero_shot``.

    Parameters
    ----------
    groups
        Card names by the heading under which they are shown.
    datasets
        Which of the sets to score; empty for all of `groups`. A set of no group is shown under
        ``other sets``.
    missing
        What stands for missing values, by card name; what is not named keeps them missing.
    like
        A file whose own last windows are scored, in place of `groups` and `datasets`: every
        column of numbers is a set.
    prediction_length
        Steps of a window of that file; every set of a card has its own.
    n_windows
        Windows of every series of that file, one after the other up to its end.
    """

    protocol: Literal["zero_shot"]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    missing: Mapping[str, Missing] = field(default_factory=dict)
    prediction_length: PositiveInt | None = None
    n_windows: PositiveInt = 1

    def __post_init__(self) -> None:
        if self.like is not None and self.prediction_length is None:
            raise ConfigError(
                f"prediction_length must be given for {self.like}, got none; pass "
                "--set evaluate.prediction_length=24"
            )
        if self.like is None and self.prediction_length is not None:
            raise ConfigError(
                f"prediction_length is that of the card of a set, got {self.prediction_length}; "
                "pass it beside --like FILE"
            )

    def selected(self) -> list[tuple[str, str]]:
        """Return group and card name of every set that is scored, in the order of the groups."""
        grouped = [(group, name) for group, names in self.groups.items() for name in names]
        if not self.datasets:
            return grouped
        known = {name for _, name in grouped}
        chosen = [(group, name) for group, name in grouped if name in self.datasets]
        return chosen + [
            (OTHER, name) for name in dict.fromkeys(self.datasets) if name not in known
        ]


def evaluate(
    config: ZeroShotConfig, models: list[Rival]
) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """Score the models, the baselines and the published rows.

    Returns
    -------
    rows
        One per group, set and model.
    harness
        Our Seasonal Naive beside the published one, per set that has one.

    Raises
    ------
    DataError
        When our Seasonal Naive is not the published one on a set of `must_match`.
    """
    if config.like is not None:
        assert config.prediction_length is not None  # or there would be no such config
        horizon = config.prediction_length
        sets = [(OWN, one) for one in sets_of_file(Path(config.like), horizon, config)]
    else:
        sets = [
            (group, read_benchmark_set(name, missing=config.missing.get(name, "keep")))
            for group, name in config.selected()
        ]
    return scored(sets, models, published_results(), config)


def sets_of_file(path: Path, prediction_length: int, config: ZeroShotConfig) -> list[BenchmarkSet]:
    """Return the last windows of a file, one set per column.

    Raises
    ------
    DataError
        When the file cannot be read, or has no series that is long enough.
    """
    series = read_series(path, config)
    season = config.seasonality or season_of(series)
    sets = []
    for column, values in zip(series.targets, series.values.T, strict=True):
        items = np.split(values, series.offsets[1:-1])
        name = f"{path.stem}/{column}"
        own = last_windows(
            name, items, season, prediction_length, config.n_windows, items=series.items.to_list()
        )
        sets.append(replace(own, card=path.stem))
    return sets


def _evaluate(
    config: ZeroShotConfig, models: list[Rival], generator: np.random.Generator
) -> Evaluation:
    rows, harness = evaluate(config, models)
    return summarised("Zero-shot forecasts", rows, harness, config, generator)


PROTOCOL = Protocol(config=ZeroShotConfig, evaluate=_evaluate, metrics=metrics)
