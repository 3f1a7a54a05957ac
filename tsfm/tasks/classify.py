"""SeriesClassifier and SeriesRegressor: scikit-learn estimators on whole series."""

from datetime import date
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from torch.nn import functional as F

from tsfm.errors import DataError
from tsfm.models.heads import ClassHead, ClassHeadConfig, ValueHead, ValueHeadConfig
from tsfm.models.model import TimeSeriesModel
from tsfm.objectives.labels import class_codes, standardised_values
from tsfm.shapes import Float, Float64, Int, Scalar, Tensor, ndarray
from tsfm.tasks.samples.estimator import SeriesEstimator


class SeriesClassifier(ClassifierMixin, SeriesEstimator):  # type: ignore[misc] # untyped
    """Tells classes of whole series apart; see `SeriesEstimator` for the options.

    Attributes
    ----------
    classes_
        The labels, in the order of `predict_proba`.
    model_
        The fitted `TimeSeriesModel`.
    history_
        Losses by epoch; there is none when the model was loaded.

    Examples
    --------
    >>> step = np.arange(24)
    >>> waves = [height * np.sin(step / speed) for height in range(1, 9) for speed in (1, 3)]
    >>> options = {"d_model": 16, "n_heads": 2, "n_layers": 1, "max_epochs": 20}
    >>> classifier = SeriesClassifier(**options, learning_rate=0.01, random_state=0)
    >>> classifier.fit(waves, ["fast", "slow"] * 8).predict(waves[:2]).tolist()
    ['fast', 'slow']
    """

    _head = "class"

    def predict(self, X: Any) -> ndarray:  # noqa: N803 (scikit-learn's name)
        """Return the likeliest class of every sample; `X` as in `fit`."""
        logits = self._outputs(X)
        return self.classes_[logits.argmax(1)]

    def predict_proba(self, X: Any) -> Float64[ndarray, "sample cls"]:  # noqa: N803
        """Return the probability of every class, in the order of `classes_`."""
        logits = torch.from_numpy(self._outputs(X))
        return logits.softmax(-1).numpy()

    def _adopt(self, model: TimeSeriesModel) -> None:
        super()._adopt(model)
        config: Any = model.heads["class"].config
        self.classes_ = np.array(config.classes)

    def _targets(self, labels: ndarray) -> tuple[Int[Tensor, " sample"], dict[str, Any]]:
        named = _names_of_classes(labels)
        check_classification_targets(named)
        codes, classes = class_codes(named)
        return codes, {"classes": classes}

    def _build_head(self, options: dict[str, Any]) -> ClassHead:
        return ClassHead(ClassHeadConfig(**options))

    def _loss(self, output: Float[Tensor, "batch output"], target: Int[Tensor, " batch"]) -> Scalar:
        return F.cross_entropy(output, target)

    def _error(
        self, output: Float[Tensor, "batch output"], target: Int[Tensor, " batch"]
    ) -> Scalar:
        return (output.argmax(-1) != target).float().mean()


class SeriesRegressor(RegressorMixin, SeriesEstimator):  # type: ignore[misc] # untyped
    """Predicts a number for whole series; see `SeriesEstimator` for the options.

    The target is learned standardised. With a scarce or noisy target the mean of the training
    samples may stay the best that is found.

    Attributes
    ----------
    model_, history_
        As in `SeriesClassifier`.

    Examples
    --------
    >>> step = np.arange(24)
    >>> waves = [height * np.sin(step / 3) for height in range(24)]
    >>> options = {"d_model": 16, "n_heads": 2, "n_layers": 1, "max_epochs": 20}
    >>> regressor = SeriesRegressor(**options, learning_rate=0.01, random_state=0)
    >>> regressor.fit(waves, range(24)).score(waves, range(24)) > 0.9
    True
    """

    _head = "value"

    def predict(self, X: Any) -> Float64[ndarray, " sample"]:  # noqa: N803
        """Return the number of every sample; `X` as in `fit`."""
        standardised = self._outputs(X)[:, 0]
        config: Any = self.model_.heads["value"].config
        return standardised * config.target_scale + config.target_loc

    def _targets(self, labels: ndarray) -> tuple[Float[Tensor, " sample"], dict[str, Any]]:
        targets, loc, scale = standardised_values(labels)
        return targets, {"target_loc": loc, "target_scale": scale}

    def _build_head(self, options: dict[str, Any]) -> ValueHead:
        return ValueHead(ValueHeadConfig(**options))

    def _loss(
        self, output: Float[Tensor, "batch output"], target: Float[Tensor, " batch"]
    ) -> Scalar:
        return F.mse_loss(output[:, 0], target)


def _names_of_classes(labels: ndarray) -> ndarray:
    """Return labels of one kind; refuse what is no name of a class: a missing label, a stamp."""
    values = labels.tolist()
    missing = sum(one is None or one != one for one in values)
    if missing:
        raise DataError(
            f"y must have a label for every sample, got none for {missing} samples; drop them"
        )
    if labels.dtype.kind in "mM" or any(isinstance(one, date) for one in values):
        raise DataError(f"y must hold text or numbers, got stamps such as {labels[0]}; cast them")
    other = [one for one in values if not isinstance(one, str | int | float)]
    if other:
        raise DataError(f"y must hold text or numbers, got such as {other[0]!r}; cast them")
    is_text = [isinstance(one, str) for one in values]
    if any(is_text) and not all(is_text):
        pair = f"{values[0]!r} and {values[is_text.index(not is_text[0])]!r}"
        raise DataError(f"y must hold labels of one kind, got such as {pair}; cast them")
    return np.asarray(values) if labels.dtype == object else labels
