"""What a protocol of `tsfm evaluate` is: the options it takes, how it scores, what is recorded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tsfm.evaluation.rivals import load_rival


class Evaluation(NamedTuple):
    """What came out of a protocol.

    Parameters
    ----------
    rows
        One per score.
    findings
        What else the report holds; ``"table"`` is everything as Markdown.
    """

    rows: pl.DataFrame
    findings: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """An entry of `tsfm.jobs.evaluate.PROTOCOLS`.

    Parameters
    ----------
    config
        Of the ``[evaluate]`` section; it has `protocol` and `models`.
    evaluate
        From the config, the loaded models and the generator of the run's seed to an `Evaluation`.
    metrics
        What a tracker records: places such as ``"set/model"``, each with its numbers; None and
        non-finite numbers are left out.
    load
        From a name of `models` and a device to something with `name` and `facts()`.
    """

    config: type[Any]
    evaluate: Callable[[Any, list[Any], np.random.Generator], Evaluation]
    metrics: Callable[[Evaluation], Iterable[tuple[str, Mapping[str, float | None]]]]
    load: Callable[..., Any] = load_rival
