"""What SeriesClassifier and SeriesRegressor share: an encoder, a head, and how both are trained."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from tsfm.arguments import at_least_one, one_of, within
from tsfm.errors import ConfigError
from tsfm.models.heads import series_sizes
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.series.samples import SampleSet, held_out
from tsfm.series.scaling import SeriesScaler
from tsfm.shapes import Float64, Int, Tensor, ndarray
from tsfm.tasks.arguments import find_device
from tsfm.tasks.samples.read import COLUMNS, read_for, read_labelled, sample_form
from tsfm.tasks.samples.series_model import new_tst, start_from, with_head
from tsfm.tasks.samples.training import (
    LabelKind,
    Labelled,
    LabelTask,
    LabelTraining,
    Trained,
    outputs,
    train_on_labels,
)

# Attention costs the square of the tokens: longer samples are cut into patches.
MOST_TOKENS = 128
SIZES = ("kernel_length", "d_model", "n_heads", "n_layers", "d_ff", "norm", "dropout")
COUNTS = ("max_epochs", "patience", "samples_per_batch", "batch_size")
Own = TypeVar("Own", bound="SeriesEstimator")


class SeriesEstimator(LabelKind, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Options and methods of both estimators.

    Parameters
    ----------
    model
        None draws a `Tst` of the sizes below; else the checkpoint to start from (a bundled name, a
        folder, an MLflow address, or a model), whose own sizes hold.
    mode
        ``"full"``: all weights learn; ``"head"``: the head only, on a checkpoint.
    context_length
        Steps of the longest sample that is read, of longer ones the last; None takes the longest
        of the training samples, and no more than a checkpoint can read.
    patch_length
        Steps per token; None takes the fewest that make at most 128 tokens.
    kernel_length, d_model, n_heads, n_layers, d_ff, norm, dropout
        See `TstConfig`; the published model has ``kernel_length=1``.
    pooling, scaling, stretched_to
        See `SeriesHeadConfig` and `SampleForm`: where scales of samples, or lengths, lie far apart.
    learning_rate, weight_decay
        Of AdamW.
    max_epochs, patience
        Most epochs, and after how many without a lower error on the held-out samples to stop.
    samples_per_batch, batch_size
        Samples per step of training, and read at once in prediction.
    validation_share
        Share of the training samples that is held out to choose the epoch by; 0 takes the last,
        with a learning rate that falls to zero.
    refit
        Train once more, from the start and on all samples, up to the chosen epoch, with a rate
        that falls to zero. Takes up to twice the time.
    augmentation
        Strength of random changes to every training sample, 0 to 1: stretched in time, scaled,
        with noise; see `augmented`. 0 for labels that depend on level, scale or place.
    random_state
        Seed of the weights, the held-out part, the order and dropout.
    id_column, timestamp_column, target, freq
        Columns of a long frame, see `SeriesFrame.from_any`.
    """

    def __init__(
        self,
        *,
        model: str | Path | TimeSeriesModel | None = None,
        mode: Literal["full", "head"] = "full",
        context_length: int | None = None,
        patch_length: int | None = None,
        kernel_length: int = 9,
        d_model: int = 64,
        n_heads: int = 8,
        n_layers: int = 3,
        d_ff: int = 256,
        norm: Literal["batch", "layer"] = "batch",
        dropout: float = 0.1,
        pooling: Literal["concat", "mean"] = "concat",
        scaling: Literal["set", "sample"] = "set",
        stretched_to: int | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        max_epochs: int = 200,
        patience: int = 40,
        samples_per_batch: int = 16,
        validation_share: float = 0.2,
        refit: bool = True,
        augmentation: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        id_column: str = "item_id",
        timestamp_column: str = "timestamp",
        target: str | Sequence[str] = "target",
        freq: str | None = None,
        batch_size: int = 256,
        device: str = "auto",
        progress: bool | None = None,
    ) -> None:
        self.model = model
        self.mode = mode
        self.context_length = context_length
        self.patch_length = patch_length
        self.kernel_length = kernel_length
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.d_ff = d_ff
        self.norm = norm
        self.dropout = dropout
        self.pooling = pooling
        self.scaling = scaling
        self.stretched_to = stretched_to
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.max_epochs = max_epochs
        self.patience = patience
        self.samples_per_batch = samples_per_batch
        self.validation_share = validation_share
        self.refit = refit
        self.augmentation = augmentation
        self.random_state = random_state
        self.id_column = id_column
        self.timestamp_column = timestamp_column
        self.target = target
        self.freq = freq
        self.batch_size = batch_size
        self.device = device
        self.progress = progress

    @classmethod
    def from_pretrained(cls: type[Own], name: str | Path, **options: Any) -> Own:
        """Start from a checkpoint: bundled name, folder, or MLflow address.

        One that has a head of this kind is fitted already, on columns that it knows.

        Raises
        ------
        CheckpointError
            When there is no such checkpoint.
        """
        model = load_pretrained(name)
        if cls._head not in model.heads:
            return cls(model=name, **options)
        fitted = model.provenance.details.get("fitted", {})
        estimator = cls(model=name, **{**fitted.get("columns", {}), **options})
        estimator._adopt(model)
        return estimator

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the fitted model to a folder.

        Raises
        ------
        NotFittedError
            When there is none yet.
        """
        check_is_fitted(self)
        return save_pretrained(self.model_, folder)

    def fit(self: Own, X: Any, y: Any = None) -> Own:  # noqa: N803 (scikit-learn's name)
        """Train on samples.

        Parameters
        ----------
        X
            An array (sample, time) or (sample, channel, time), a list of arrays (time,) or
            (channel, time) of any lengths, or a long frame; NaN where missing.
        y
            One label per sample, in the order of the samples, which in a frame is that of their
            first appearance; or the name of the frame's column that has them.

        Raises
        ------
        ConfigError
            When an option is wrong.
        DataError
            When samples or labels cannot be used.
        """
        options = self._options()
        samples = read_labelled(X, y, self._chosen(COLUMNS), who=type(self).__name__)
        targets, head_options = self._targets(samples.labels)
        head_options["form"] = form = sample_form(self.scaling, self.stretched_to)
        samples = form.of(samples)
        generator = np.random.default_rng([options.seed, 0])
        fitted, held = held_out(samples.labels, self.validation_share, generator)
        # What modules draw, and dropout, must not move the caller's generator.
        with torch.random.fork_rng(devices=[]):
            model, trained = self._trained(samples, targets, head_options, fitted, held, options)
            self.history_ = trained.history
            if self.refit and len(held):
                again = replace(options, max_epochs=trained.best_epoch)
                everything, nothing = np.arange(len(samples)), np.arange(0)
                model, _ = self._trained(samples, targets, head_options, everything, nothing, again)
        facts: dict[str, Any] = {"mode": self.mode, "samples": len(samples)}
        facts |= {"epochs": trained.best_epoch, "lowest_loss": trained.lowest_loss}
        target = self.target if isinstance(self.target, str) else np.asarray(self.target).tolist()
        facts["columns"] = {**self._chosen(COLUMNS), "target": target}
        details = {**model.provenance.details, "fitted": facts}
        model.provenance = replace(model.provenance, training_cutoff=None, details=details)
        self._adopt(model)
        return self

    def _trained(
        self,
        samples: SampleSet,
        targets: Tensor,
        head_options: dict[str, Any],
        fitted: Int[ndarray, " fitted"],
        held: Int[ndarray, " held"],
        options: LabelTraining,
    ) -> tuple[TimeSeriesModel, Trained]:
        scaler = samples.take(fitted).fit_scaler()
        device = find_device(self.device)
        model = self._untrained(samples, scaler, head_options, options.seed).to(device)
        trained = train_on_labels(
            Labelled(model, self._head, is_frozen=self.mode == "head"),
            LabelTask(samples.scaled(scaler), targets.to(device), self._loss, self._error),
            fitted=fitted,
            held=held,
            options=options,
            progress=self.progress,
        )
        return model, trained

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # scikit-learn before 1.6
        return {"allow_nan": True, "X_types": ["2darray", "3darray"], "requires_y": True}

    def _adopt(self, model: TimeSeriesModel) -> None:
        self.model_ = model.cpu().eval()

    def _options(self) -> LabelTraining:
        one_of("mode", self.mode, ("full", "head"))
        one_of("pooling", self.pooling, ("concat", "mean"))
        if self.mode == "head" and self.model is None:
            raise ConfigError("mode='head' needs a checkpoint, got model=None; pass model=")
        within("validation_share", self.validation_share, 0.0, 0.5)
        return LabelTraining(
            **{name: at_least_one(name, getattr(self, name)) for name in COUNTS},
            learning_rate=within("learning_rate", self.learning_rate, 0.0),
            weight_decay=within("weight_decay", self.weight_decay, 0.0),
            augmentation=within("augmentation", self.augmentation, 0.0, 1.0),
            seed=int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)),
        )

    def _untrained(
        self, samples: SampleSet, scaler: SeriesScaler, head_options: dict[str, Any], seed: int
    ) -> TimeSeriesModel:
        longest = int(samples.lengths.max())
        if self.context_length is not None:
            longest = at_least_one("context_length", self.context_length)
        if self.model is not None:
            model = start_from(self.model)
        else:
            model = new_tst(
                seed,
                n_channels=samples.n_channels,
                context_length=longest,
                patch_length=self.patch_length or -(-longest // MOST_TOKENS),
                **self._chosen(SIZES),
            )
        sizes = series_sizes(model.backbone, samples.n_channels, min(longest, model.context_length))
        scale = {"loc": tuple(scaler.loc.tolist()), "scale": tuple(scaler.scale.tolist())}
        head = self._build_head({**sizes, **scale, **head_options, "pooling": self.pooling})
        return with_head(model, self._head, head.float())

    def _chosen(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: getattr(self, name) for name in names}

    def _outputs(self, X: Any) -> Float64[ndarray, "sample output"]:  # noqa: N803
        """Return the outputs of the head for samples as they came."""
        check_is_fitted(self)
        config: Any = self.model_.heads[self._head].config
        samples = read_for(config, X, self._chosen(COLUMNS))
        labelled = Labelled(self.model_.to(find_device(self.device)), self._head)
        found = outputs(labelled, samples, at_least_one("batch_size", self.batch_size))
        self.model_.cpu()
        return found.double().numpy()
