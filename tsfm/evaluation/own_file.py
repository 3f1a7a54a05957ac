"""A file of one's own in place of benchmark sets."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.errors import DataError
from tsfm.series.files import read_input
from tsfm.series.frame import SeriesFrame
from tsfm.series.frequency import seasonality
from tsfm.series.validation import NIXTLA_NAMES


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class OwnFile:
    """Options of an evaluation that can be asked of a file.

    Parameters
    ----------
    like
        The file; None for benchmark sets.
    id_column, timestamp_column, target, freq, seasonality
        Of that file; by default all its columns of numbers, and what the stamps say.
    """

    like: str | None = None
    id_column: str = "item_id"
    timestamp_column: str = "timestamp"
    target: tuple[str, ...] = ()
    freq: str | None = None
    seasonality: int | None = Field(default=None, ge=1)


def read_series(path: Path, options: OwnFile) -> SeriesFrame:
    """Read the file; without names of targets all columns of numbers are.

    Raises
    ------
    DataError
        When it cannot be read, or has no column of numbers.
    """
    frame, sources = read_input([path], id_columns=(options.id_column,))
    target: Sequence[str] = options.target
    if not target:
        keys = {options.id_column, options.timestamp_column, *NIXTLA_NAMES.values()} - {"y"}
        target = [
            name for name in frame.columns if name not in keys and (frame[name].dtype.is_numeric())
        ]
    if not target:
        raise DataError(
            f"{path} must have columns of numbers, got {frame.schema}; name them in evaluate.target"
        )
    return SeriesFrame.from_any(
        frame,
        id_column=options.id_column,
        timestamp_column=options.timestamp_column,
        target=target,
        freq=options.freq,
        sources=sources,
    )


def season_of(series: SeriesFrame) -> int:
    """Return the steps of a season as the frequency has it; 1 where steps have no duration."""
    return seasonality(series.freq) if series.freq not in (None, "step") else 1
