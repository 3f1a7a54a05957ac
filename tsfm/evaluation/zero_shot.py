"""Zero-shot forecasting of benchmark sets, beside published results: Chronos' Benchmark II.

One window per series: the last horizon. MASE with the set's seasonality, mean weighted quantile
loss (WQL) at nine levels, and both as ratios to Seasonal Naive: the published one where there is
one, else our own. Our own Seasonal Naive must first equal the published one, or nothing is scored.

References
----------
Ansari et al. (2024), "Chronos: Learning the Language of Time Series".
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

import numpy as np
import polars as pl
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tsfm.evaluation.benchmark_sets import Missing, read_benchmark_set
from tsfm.evaluation.beside_published import BesidePublished, scored, summarised
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.evaluation.published import published_results
from tsfm.evaluation.rivals import Rival
from tsfm.evaluation.zero_shot_tables import metrics

OTHER = "other sets"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ZeroShotConfig(BesidePublished):
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
    """

    protocol: Literal["zero_shot"]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    missing: Mapping[str, Missing] = field(default_factory=dict)

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
    sets = [
        (group, read_benchmark_set(name, missing=config.missing.get(name, "keep")))
        for group, name in config.selected()
    ]
    return scored(sets, models, published_results(), config)


def _evaluate(
    config: ZeroShotConfig, models: list[Rival], generator: np.random.Generator
) -> Evaluation:
    rows, harness = evaluate(config, models)
    return summarised("Zero-shot forecasts", rows, harness, config, generator)


PROTOCOL = Protocol(config=ZeroShotConfig, evaluate=_evaluate, metrics=metrics)
