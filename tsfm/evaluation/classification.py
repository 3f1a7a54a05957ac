"""Classification: accuracy on labelled samples of a head on frozen tokens, beside cheap rivals.

The head is a logistic regression whose penalty is chosen by cross-validation on training samples;
beside it the nearest neighbour by the vectors of `tsfm.embed`, which learns nothing at all.
Test samples are scored once. Published rows come from the card's folder and from the data folder.
"""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from tsfm.errors import DataError
from tsfm.evaluation.classification_config import ClassificationConfig
from tsfm.evaluation.classification_tables import metrics, render
from tsfm.evaluation.protocols import Evaluation, Protocol
from tsfm.models.backbone import count_parameters
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.series.cards import load_card
from tsfm.series.samples import SampleSet
from tsfm.shapes import Float64, ndarray
from tsfm.tasks.classify import SeriesClassifier
from tsfm.tasks.embed import Embedder
from tsfm.tasks.sample_features import SampleFeatures, stretch

PUBLISHED = Path("published") / "ucr_uea_accuracy.csv"
FINE_TUNED = "tst, fine-tuned"
PENALTIES = tuple(float(one) for one in np.logspace(-1, 4, 6))
USUAL_PENALTY = 100.0
MOST_FOLDS = 5
log = logging.getLogger(__name__)


class Arm(NamedTuple):
    """What becomes of samples, and a head that learns it, made for the labels it is to learn."""

    label: str
    features: Callable[[SampleSet], Any]
    head: Callable[[ndarray], Any]


@dataclass(frozen=True)
class FrozenEncoder:
    """A checkpoint under the name it has in a table."""

    name: str
    model: TimeSeriesModel
    device: str

    def facts(self) -> dict[str, Any]:
        """Return what a report says about a model."""
        trained_on = list(self.model.trained_on)
        return {"n_parameters": count_parameters(self.model), "trained_on": trained_on}

    def label(self, dataset: str) -> str:
        """Say whether the encoder has seen the values of the set; labels it has never seen."""
        return "seen" if dataset.partition("/")[0] in self.model.trained_on else "frozen"


def load_encoder(name: str, *, device: str = "auto") -> FrozenEncoder:
    """Load a model; a folder is called by its last part."""
    shown = Path(name).name if Path(name).is_dir() else name
    return FrozenEncoder(shown, load_pretrained(name), device)


def evaluate(
    config: ClassificationConfig, models: list[FrozenEncoder], generator: np.random.Generator
) -> pl.DataFrame:
    """Return one row per set and model."""
    seed = int(generator.integers(2**31))
    rows: list[dict[str, Any]] = []
    for name in config.datasets:
        samples = SampleSet.from_card(name)
        check_samples(name, samples, config.part)
        train, test = samples.train, samples.test
        for model, arm in arms(name, train, config, models, seed).items():
            started = time.perf_counter()
            right = scored(arm, train, test) if config.part == "test" else held(arm, train, seed)
            rows.append(
                {
                    "dataset": name,
                    "model": model,
                    "label": arm.label,
                    "accuracy": float(right.mean()),
                    "n_train": len(train),
                    "n_scored": len(right),
                    "n_classes": len(np.unique(train.labels)),
                    "seconds": time.perf_counter() - started,
                }
            )
            log.info("%s, %s: %.3f", name, model, rows[-1]["accuracy"])
        if config.part == "test":
            rows += published_rows(name, config.published)
    return pl.DataFrame(rows, infer_schema_length=None)


def check_samples(name: str, samples: SampleSet, part: str) -> None:
    """Raise a `DataError` when there is nothing to learn or nothing to score."""
    n_train, n_test = len(samples.train), len(samples.test)
    if not n_train or (part == "test" and not n_test):
        raise DataError(
            f"{name} must have training and test samples, got {n_train} and {n_test}; mark some, "
            'or score part="train"'
        )
    classes = np.unique(samples.train.labels)
    if classes.dtype.kind == "f" and (classes % 1).any():
        raise DataError(
            f"labels of {name} must be classes, got numbers such as {classes[0]}; learn them with "
            "tsfm finetune tst_regression"
        )
    if len(classes) < 2:
        raise DataError(f"{name} must have two classes to learn, got {classes[0]} alone; add some")


def arms(
    name: str,
    train: SampleSet,
    config: ClassificationConfig,
    models: list[FrozenEncoder],
    seed: int,
) -> dict[str, Arm]:
    """Return what is scored on a set, by the name it has in the table."""
    from sklearn.dummy import DummyClassifier
    from sklearn.neighbors import KNeighborsClassifier

    longest = int(train.lengths.max())
    found = {
        "majority": Arm("baseline", lambda part: np.zeros((len(part), 1)), _new(DummyClassifier)),
        "1-NN Euclidean, ours": Arm(
            "baseline",
            lambda part: stretch(part, longest).reshape(len(part), -1),
            _new(KNeighborsClassifier, 1),
        ),
    }
    for one in models:
        features = SampleFeatures(
            model=one.model,
            lengths=config.lengths,
            n_segments=config.n_segments,
            with_changes=config.with_changes,
            with_size=config.with_size,
            depth=config.depth,
            device=one.device,
        )
        found[one.name] = Arm(
            one.label(name), features.of_samples, lambda labels: logistic_head(labels, seed)
        )
        embedder = Embedder(one.model, device=one.device, depth=config.depth)
        found[f"{one.name}, 1-NN of embeddings"] = Arm(
            one.label(name), partial(embedded, embedder), _new(KNeighborsClassifier, 1)
        )
    is_trained = config.fine_tuned == "all" or name in config.fine_tuned
    if is_trained and config.part == "test":
        found[FINE_TUNED] = Arm("from scratch", _arrays, _new_tst(train, config.steps, seed))
    return found


def embedded(embedder: Embedder, samples: SampleSet) -> Float64[ndarray, "sample feature"]:
    """Return what `tsfm.embed` makes of the samples."""
    longest = min(int(samples.lengths.max()), embedder.model.context_length)
    channels = [
        embedder.embed_arrays(channel, samples.offsets, context_length=longest)
        for channel in samples.values.T
    ]
    return np.concatenate(channels, axis=1)


def scored(arm: Arm, train: SampleSet, test: SampleSet) -> ndarray:
    """Say of every test sample whether its label was found by what saw the training samples."""
    head = arm.head(train.labels).fit(arm.features(train), train.labels)
    right: ndarray = head.predict(arm.features(test)) == test.labels
    return right


def held(arm: Arm, train: SampleSet, seed: int) -> ndarray:
    """Say of every training sample whether its label was found by what saw the other folds."""
    from sklearn.model_selection import StratifiedKFold

    labels, features = train.labels, arm.features(train)
    folds = n_folds(labels)
    if folds < 2:
        raise DataError(
            "every class must have 2 training samples to be cross-validated, got 1; score "
            'part="test"'
        )
    right = np.zeros(len(train), bool)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for fitted, held_out in split.split(labels, labels):
        head = arm.head(labels[fitted]).fit(features[fitted], labels[fitted])
        right[held_out] = head.predict(features[held_out]) == labels[held_out]
    return right


def n_folds(labels: ndarray) -> int:
    """Return folds of which each has a sample of every class, where that can be."""
    return min(MOST_FOLDS, int(np.unique(labels, return_counts=True)[1].min()))


def logistic_head(labels: ndarray, seed: int) -> Any:
    """Return a logistic regression that chooses its penalty by cross-validation.

    Features are standardised and turned onto as many axes as there are samples, which leaves the
    regression as it is but takes less time.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    head: Any = LogisticRegression(C=USUAL_PENALTY, max_iter=500, tol=1e-3)
    if n_folds(labels) > 1:
        split = StratifiedKFold(n_folds(labels), shuffle=True, random_state=seed)
        head = GridSearchCV(head, {"C": PENALTIES}, scoring="neg_log_loss", cv=split)
    return make_pipeline(
        StandardScaler(), FunctionTransformer(_of_unit_length), PCA(svd_solver="full"), head
    )


def published_rows(name: str, models: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the published accuracies of a set, those of `models`, in their order."""
    card, _, subset = name.partition("/")
    found = {}
    own = load_card(card).folder / "published.csv"
    if own.is_file():
        for row in pl.read_csv(own).filter(pl.col("dataset") == subset).iter_rows(named=True):
            found[row["model"]] = row["accuracy"]
    file = Path(os.environ.get("TSFM_DATA", "")) / PUBLISHED
    if file.is_file():
        table = pl.read_csv(file).filter(pl.col("dataset") == subset, metric="accuracy")
        found |= dict(table.select("classifier", "default_split").iter_rows())
    facts = {"dataset": name, "label": "published"}
    return [{**facts, "model": one, "accuracy": found[one]} for one in models if one in found]


def _new(kind: type[Any], *options: Any) -> Callable[[ndarray], Any]:
    return lambda _: kind(*options)


def _new_tst(train: SampleSet, steps: int, seed: int) -> Callable[[ndarray], Any]:
    """Return what makes a TST that learns all training samples, read in at most 32 tokens."""
    size = 16 if len(train) < 200 else 32
    return lambda _: SeriesClassifier(
        patch_length=-(-int(train.lengths.max()) // 32),
        samples_per_batch=size,
        max_epochs=-(-steps // -(-len(train) // size)),
        validation_share=0.0,
        random_state=seed,
        progress=False,
    )


def _arrays(samples: SampleSet) -> list[ndarray]:
    return [one.T for one in np.split(samples.values, samples.offsets[1:-1])]


def _of_unit_length(features: ndarray) -> ndarray:
    """Make penalties mean the same however many features there are."""
    return features / np.sqrt(features.shape[1])


def _evaluate(
    config: ClassificationConfig, models: list[FrozenEncoder], generator: np.random.Generator
) -> Evaluation:
    rows = evaluate(config, models, generator)
    return Evaluation(rows, {"table": render(rows, config.bar, config.part)})


PROTOCOL = Protocol(
    config=ClassificationConfig, evaluate=_evaluate, metrics=metrics, load=load_encoder
)
