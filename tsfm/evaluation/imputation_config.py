"""The options of `tsfm evaluate imputation`, on benchmark sets or on a file of one's own."""

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.errors import ConfigError
from tsfm.evaluation.own_file import OwnFile
from tsfm.seeds import Seeds

Kind = Literal["points", "segments"]
Share = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ImputationConfig(OwnFile):
    """The ``[evaluate]`` section of a recipe whose protocol is ``imputation``.

    Parameters
    ----------
    datasets
        Card names. What such a set misses itself stays missing and counts nowhere.
    splits
        Train, validation and test rows by card name; other sets are cut 70, 10 and 20 %.
    part
        Rows that are scored; choices are made on ``"validation"``.
    hidden_shares
        Chance of a step (``"points"``) or a segment to be hidden.
    segment_lengths
        In steps; every length is asked by itself.
    window_lengths, stride
        In steps; windows start at every `stride`-th row.
    mask_seeds
        Every seed draws masks of its own; the spread in the table is that over seeds.
    saits_minutes
        Minutes for which SAITS is trained beside, on the training rows, or on what is shown of a
        file; 0 leaves it out. Needs PyPOTS (extra `pypots`).
    like
        A file whose own gaps are mimicked on its own values, in place of `datasets` and all
        options of windows; see `tsfm.evaluation.imputation_like`.
    """

    protocol: Literal["imputation"]
    models: tuple[str, ...]
    datasets: tuple[str, ...] = ()
    splits: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    part: Literal["validation", "test"] = "test"
    kinds: tuple[Kind, ...] = Field(default=("points", "segments"), min_length=1)
    hidden_shares: tuple[Share, ...] = Field(default=(0.125, 0.25, 0.375, 0.5), min_length=1)
    segment_lengths: tuple[PositiveInt, ...] = Field(default=(24,), min_length=1)
    window_lengths: tuple[PositiveInt, ...] = Field(default=(192,), min_length=1)
    stride: int = Field(default=48, ge=1)
    mask_seeds: Seeds = (0, 1, 2)
    saits_minutes: float = Field(default=0.0, ge=0)

    def __post_init__(self) -> None:
        if not self.datasets and self.like is None:
            raise ConfigError("datasets must name a card, or like a file, got neither")
