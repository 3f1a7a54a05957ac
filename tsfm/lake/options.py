"""What is asked of a job over a lake, and with which model: values that any worker can be sent."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tsfm.models.pretrained import CONFIG_FILE, WEIGHTS_FILE, load_pretrained, save_pretrained
from tsfm.tasks.impute import Imputer

# Grows when the same options and model come to write other bytes.
FORMAT = 5


@dataclass(frozen=True, kw_only=True)
class FillOptions:
    """How gaps are filled; the words are those of `Imputer.impute`.

    Parameters
    ----------
    fill_rows
        Whether rows are added for stamps that have none.
    """

    mode: str = "two_sided"
    max_gap: int | None = None
    quantile_levels: tuple[float, ...] = ()
    id_column: str = "item_id"
    timestamp_column: str = "timestamp"
    target: tuple[str, ...] = ("target",)
    freq: str | None = None
    calendar: str | None = None
    fill_rows: bool = False

    @property
    def columns(self) -> dict[str, Any]:
        """The keywords of `read_rows`."""
        names = ("id_column", "timestamp_column", "freq", "calendar")
        return {name: getattr(self, name) for name in names} | {"target": list(self.target)}


@dataclass(frozen=True)
class Checkpoint:
    """A model as bytes: the same for every worker, whatever its name stands for meanwhile."""

    name: str
    config: bytes
    weights: bytes

    @staticmethod
    def load(name: str) -> "Checkpoint":
        """Read a bundled name, a folder or an MLflow address, once."""
        with TemporaryDirectory(prefix="tsfm-") as scratch:
            folder = save_pretrained(load_pretrained(name), scratch)
            files = (folder / CONFIG_FILE).read_bytes(), (folder / WEIGHTS_FILE).read_bytes()
        return Checkpoint(name, *files)

    @property
    def digest(self) -> str:
        """SHA-256 of the configuration and the weights."""
        return hashlib.sha256(self.config + self.weights).hexdigest()

    def imputer(self) -> Imputer:
        """Return the imputer, made once per process."""
        return _imputer(self.config, self.weights)


@lru_cache(maxsize=1)
def _imputer(config: bytes, weights: bytes) -> Imputer:
    with TemporaryDirectory(prefix="tsfm-") as scratch:
        (Path(scratch) / CONFIG_FILE).write_bytes(config)
        (Path(scratch) / WEIGHTS_FILE).write_bytes(weights)
        return Imputer.from_pretrained(scratch, device="auto")


def check_options(options: FillOptions, imputer: Imputer) -> None:
    """Say what is wrong with the options, before anything is read."""
    imputer.impute_arrays(
        np.zeros((1, 1)),
        np.array([0, 1]),
        (0.5, *_levels(options.quantile_levels)),
        mode=options.mode,
        max_gap=options.max_gap,
    )


def _levels(levels: Sequence[float]) -> tuple[float, ...]:
    from tsfm.tasks.forecasting.quantiles import check_levels

    return check_levels(levels) if levels else ()


def digest_of(options: FillOptions, checkpoint: Checkpoint) -> str:
    """Return what a part's bytes depend on besides its input: options, model and code.

    Examples
    --------
    >>> empty = Checkpoint("", b"", b"")
    >>> digest_of(FillOptions(max_gap=3), empty) == digest_of(FillOptions(), empty)
    False
    """
    facts = [FORMAT, checkpoint.digest, asdict(options)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
