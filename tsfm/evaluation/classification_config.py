"""The options of `tsfm evaluate classification`."""

from typing import Literal

from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.tasks.embed import DEPTH


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ClassificationConfig:
    """The ``[evaluate]`` section of a recipe whose protocol is ``classification``.

    Parameters
    ----------
    datasets
        As in `SampleSet.from_card`, for example ``"ucr_classification/GunPoint"``.
    part
        ``"test"``: fitted on the training samples, scored on the test samples; ``"train"``:
        cross-validated on the training samples alone, for choices.
    lengths, n_segments, with_changes, with_size, depth
        See `SampleFeatures`; embeddings have `depth` alone.
    fine_tuned
        Sets on which a TST is trained too, for `steps` steps on all training samples; ``"all"``.
    bar
        Published model whose mean accuracy is to be passed.
    """

    protocol: Literal["classification"]
    models: tuple[str, ...]
    datasets: tuple[str, ...] = Field(min_length=1)
    part: Literal["test", "train"] = "test"
    lengths: tuple[PositiveInt, ...] = Field(default=(128, 512), min_length=1)
    n_segments: int = Field(default=1, ge=1)
    with_changes: bool = True
    with_size: bool = True
    depth: float = Field(default=DEPTH, gt=0, le=1)
    fine_tuned: tuple[str, ...] | Literal["all"] = ()
    steps: int = Field(default=200, ge=1)
    published: tuple[str, ...] = ()
    bar: str = "1-NN DTW, learned window"
