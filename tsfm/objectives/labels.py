"""Learn labels: the class of a whole series, or a number that belongs to it.

The heads are those of `SeriesClassifier` and `SeriesRegressor`, which load what was trained here.
Zerveas et al., KDD 2021 (arXiv 2010.02803), section 3.2: all tokens side by side, one linear map.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from tsfm.errors import DataError
from tsfm.models.backbone import Encoder
from tsfm.models.heads import (
    ClassHead,
    ClassHeadConfig,
    SeriesHead,
    ValueHead,
    ValueHeadConfig,
    series_sizes,
)
from tsfm.objectives.objective import OBJECTIVES, Loss, check_backbone
from tsfm.series.sample_form import SampleForm
from tsfm.series.samples import SampleSet
from tsfm.series.scaling import SeriesScaler
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float, Int, Scalar, Tensor, ndarray


class LabelledSamples(NamedTuple):
    """What an objective on labels must know of the data before its head can be made.

    Parameters
    ----------
    samples
        With their labels, in their `form`; rows are what `WindowBatch.item` counts.
    scaler
        By which the windows of the batches are scaled.
    longest
        Steps of the longest window.
    """

    samples: SampleSet
    scaler: SeriesScaler
    longest: int
    form: SampleForm = SampleForm()


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class LabelsConfig:
    """How tokens are joined, see `SeriesHeadConfig`."""

    pooling: Literal["concat", "mean"] = "concat"


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class ClassConfig(LabelsConfig):
    """Options of `ClassOfSeries`.

    Parameters
    ----------
    label_smoothing
        Share of the truth that is given to all classes alike.
    """

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


def class_codes(labels: ndarray) -> tuple[Int[Tensor, " sample"], tuple[Any, ...]]:
    """Return the place of every label among the classes, and the classes in rising order.

    Examples
    --------
    >>> codes, classes = class_codes(np.array(["up", "down", "up"]))
    >>> codes.tolist(), classes
    ([1, 0, 1], ('down', 'up'))
    """
    classes, codes = np.unique(labels, return_inverse=True)
    return torch.from_numpy(codes.ravel()), tuple(classes.tolist())


def standardised_values(labels: ndarray) -> tuple[Float[Tensor, " sample"], float, float]:
    """Return numbers less their mean in units of their deviation, the mean, and the deviation.

    Numbers that are all equal have deviation 1.

    Raises
    ------
    DataError
        When a label is no finite number.
    """
    try:
        values = labels.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"y must hold numbers, got: {error}") from None
    if not np.isfinite(values).all():
        raise DataError(
            f"y must be finite, got NaN or infinity (inf) for {(~np.isfinite(values)).sum()} "
            "samples; drop them"
        )
    most = float(np.abs(values).max(initial=0.0)) or 1.0
    # The square of 1e300 would overflow; dividing by a power of two changes no digit.
    unit = 2.0 ** np.floor(np.log2(most))
    loc, scale = float((values / unit).mean() * unit), float((values / unit).std() * unit) or 1.0
    return torch.from_numpy(((values - loc) / scale).astype(np.float32)), loc, scale


class LabelObjective(nn.Module):
    """What both kinds share: a head on all tokens of a series, and one target per sample."""

    requires = Encoder
    reads_labels = True
    _targets: Tensor

    def __init__(self, config: Any, backbone: Any, labelled: LabelledSamples) -> None:
        super().__init__()
        check_backbone(type(self).__name__, backbone, Encoder)
        self.config = config
        scaler = labelled.scaler
        options = {
            **series_sizes(backbone, labelled.samples.n_channels, labelled.longest),
            "pooling": config.pooling,
            "loc": tuple(scaler.loc.tolist()),
            "scale": tuple(scaler.scale.tolist()),
            "form": labelled.form,
        }
        self.head, targets = self._made(options, labelled.samples.labels)
        # They belong to the data, not to what is saved.
        self.register_buffer("_targets", targets, persistent=False)

    def forward(self, model: Encoder, batch: WindowBatch, generator: torch.Generator) -> Loss:  # noqa: ARG002 (nothing is drawn)
        """Return the mean loss of the samples of the batch."""
        output = self.head(model.encode(batch.values, batch.observed, batch.inside), batch.inside)
        return Loss(self._loss(output, self._targets[batch.item]), len(batch))

    def _made(self, options: dict[str, Any], labels: ndarray) -> tuple[SeriesHead, Tensor]:
        raise NotImplementedError

    def _loss(self, output: Float[Tensor, "batch output"], target: Tensor) -> Scalar:
        raise NotImplementedError


@OBJECTIVES.register("class")
class ClassOfSeries(LabelObjective):
    """Cross entropy of the class of every series.

    Raises
    ------
    ConfigError
        When the backbone is no encoder.
    """

    Config = ClassConfig

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The head that belongs into a checkpoint."""
        return {"class": self.head}

    def _made(self, options: dict[str, Any], labels: ndarray) -> tuple[SeriesHead, Tensor]:
        codes, classes = class_codes(labels)
        return ClassHead(ClassHeadConfig(**options, classes=classes)), codes

    def _loss(self, output: Float[Tensor, "batch output"], target: Tensor) -> Scalar:
        return F.cross_entropy(output, target, label_smoothing=self.config.label_smoothing)


@OBJECTIVES.register("value")
class ValueOfSeries(LabelObjective):
    """Mean squared error of the number of every series, in units of the numbers' deviation.

    Raises
    ------
    ConfigError
        When the backbone is no encoder.
    DataError
        When a label is no finite number.
    """

    Config = LabelsConfig

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The head that belongs into a checkpoint."""
        return {"value": self.head}

    def _made(self, options: dict[str, Any], labels: ndarray) -> tuple[SeriesHead, Tensor]:
        targets, loc, scale = standardised_values(labels)
        config = ValueHeadConfig(**options, target_loc=loc, target_scale=scale)
        return ValueHead(config), targets

    def _loss(self, output: Float[Tensor, "batch output"], target: Tensor) -> Scalar:
        return F.mse_loss(output[:, 0], target)
