"""What was fitted is saved, cloned, tuned and begun from a checkpoint as scikit-learn would."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tsfm.errors import CheckpointError, ConfigError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor
from tsfm.tasks.samples.series_model import new_tst

Draw = Callable[..., tuple[list[np.ndarray], np.ndarray]]
MakeClassifier = Callable[..., SeriesClassifier]
MakeRegressor = Callable[..., SeriesRegressor]


@pytest.fixture(scope="module")
def fitted(problem: Draw, classifier: MakeClassifier) -> SeriesClassifier:
    return classifier().fit(*problem())


def test_a_fitted_model_is_saved_and_loaded_exactly(
    problem: Draw, fitted: SeriesClassifier, tmp_path: Path
) -> None:
    fitted.save_pretrained(tmp_path / "model")
    loaded = SeriesClassifier.from_pretrained(tmp_path / "model", device="cpu")
    samples, _ = problem(10, seed=6)
    assert (loaded.predict_proba(samples) == fitted.predict_proba(samples)).all()
    assert (loaded.predict(samples) == fitted.predict(samples)).all()
    pickled = pickle.loads(pickle.dumps(fitted))
    assert (pickled.predict_proba(samples) == fitted.predict_proba(samples)).all()
    details = loaded.model_.provenance.details["fitted"]
    assert (details["mode"], details["samples"]) == ("full", 60)


def test_a_regressor_is_saved_and_loaded_exactly(
    heights: Draw, regressor: MakeRegressor, tmp_path: Path
) -> None:
    samples, target = heights(20)
    fitted = regressor().fit(samples, target)
    fitted.save_pretrained(tmp_path)
    loaded = SeriesRegressor.from_pretrained(tmp_path)
    assert (loaded.predict(samples) == fitted.predict(samples)).all()
    with pytest.raises(NotFittedError):
        SeriesClassifier.from_pretrained(tmp_path).predict(samples)


def test_a_loaded_model_reads_the_columns_that_it_was_fitted_on(
    heights: Draw, regressor: MakeRegressor, tmp_path: Path
) -> None:
    samples, target = heights(8)
    frame = pl.concat(
        pl.DataFrame({"pump": number, "hour": range(20), "bar": one, "target": 0.0})
        for number, one in enumerate(samples)
    )
    columns = {"id_column": "pump", "timestamp_column": "hour", "target": ("bar",)}
    fitted = regressor(max_epochs=2, **columns).fit(frame, target)
    fitted.save_pretrained(tmp_path)
    loaded = SeriesRegressor.from_pretrained(tmp_path)
    assert (loaded.predict(frame) == fitted.predict(frame)).all()
    renamed = frame.rename({"hour": "timestamp"})
    loaded = SeriesRegressor.from_pretrained(tmp_path, timestamp_column="timestamp")
    assert (loaded.predict(renamed) == fitted.predict(frame)).all()


def test_a_loaded_model_checks_how_many_samples_it_is_to_read_at_once(
    heights: Draw, regressor: MakeRegressor, tmp_path: Path
) -> None:
    samples, target = heights(8)
    regressor(max_epochs=1).fit(samples, target).save_pretrained(tmp_path)
    loaded = SeriesRegressor.from_pretrained(tmp_path, batch_size=0)
    with pytest.raises(ConfigError, match="batch_size must be a whole number of at least 1, got 0"):
        loaded.predict(samples)


def test_it_can_be_cloned_tuned_and_put_into_a_pipeline(
    problem: Draw, classifier: MakeClassifier
) -> None:
    samples, labels = problem(40)
    pipeline = make_pipeline(FunctionTransformer(doubled), classifier(max_epochs=6))
    scores = cross_val_score(pipeline, samples, labels, cv=2)
    assert scores.min() > 0.7
    grid = {"seriesclassifier__context_length": [1, None]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(samples, labels)
    assert search.best_params_ == {"seriesclassifier__context_length": None}
    assert search.predict(samples).shape == (40,)
    copy = clone(search.best_estimator_[-1])
    assert copy.get_params() == search.best_estimator_[-1].get_params()
    with pytest.raises(NotFittedError):
        copy.predict(samples)


def doubled(samples: list[np.ndarray]) -> list[np.ndarray]:
    return [2 * sample for sample in samples]


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    """A TST for two channels that is not new: its moments and weights are odd."""
    sizes = {"d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 8}
    model = new_tst(3, n_channels=2, context_length=40, **sizes)
    encode = model.backbone.train().encode
    encode(torch.randn(4, 40, 2) + 1, torch.ones(4, 40, 2).bool(), torch.ones(4, 40).bool())
    return str(save_pretrained(model.eval(), tmp_path / "checkpoint"))


def moved(before: TimeSeriesModel, after: TimeSeriesModel) -> set[str]:
    old, new = before.backbone.state_dict(), after.backbone.state_dict()
    return {name for name in old if not torch.equal(old[name], new[name])}


def test_head_moves_the_head_only_not_even_the_moments(
    problem: Draw, small_estimator: dict[str, Any], checkpoint: str
) -> None:
    samples, labels = problem()
    found = SeriesClassifier.from_pretrained(checkpoint, **small_estimator, mode="head").fit(
        samples, labels
    )
    assert moved(load_pretrained(checkpoint), found.model_) == set()
    assert found.model_.heads["class"].linear.weight.any()
    assert found.score(samples, labels) > 0.7
    assert all(one.requires_grad for one in found.model_.parameters())


def test_full_moves_everything_from_where_the_checkpoint_stands(
    problem: Draw, classifier: MakeClassifier, checkpoint: str
) -> None:
    samples, labels = problem(20)
    options = {"max_epochs": 1, "learning_rate": 1e-9, "validation_share": 0.0}
    found = classifier(model=checkpoint, **options).fit(samples, labels)
    before = load_pretrained(checkpoint)
    for name, weight in before.backbone.named_parameters():
        torch.testing.assert_close(found.model_.backbone.get_parameter(name), weight)
    assert found.model_.backbone.config.d_model == 8
    full = classifier(model=before, max_epochs=2, validation_share=0.0).fit(samples, labels)
    assert moved(before, full.model_) == set(before.backbone.state_dict())
    assert moved(before, load_pretrained(checkpoint)) == set()


def test_the_bundled_forecaster_is_an_encoder_too(
    problem: Draw, classifier: MakeClassifier
) -> None:
    """Every channel has its own tokens there."""
    samples, labels = problem(12)
    found = classifier(model="tsfm-small", mode="head", max_epochs=2).fit(samples, labels)
    config = found.model_.heads["class"].config
    assert (config.n_groups, config.n_tokens, config.patch_length) == (2, 2, 16)
    assert found.model_.trained_on == load_pretrained("tsfm-small").trained_on
    assert found.predict_proba(samples).shape == (12, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "lora"}, "mode must be 'full' or 'head', got 'lora'"),
        ({"mode": "head"}, "mode='head' needs a checkpoint, got model=None"),
        ({"pooling": "max"}, "pooling must be 'concat' or 'mean', got 'max'"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0, got -1.0"),
        ({"learning_rate": "fast"}, "learning_rate must be at least 0, got 'fast'"),
        ({"weight_decay": -1.0}, "weight_decay must be at least 0, got -1.0"),
        ({"augmentation": "strong"}, "augmentation must be 0 to 1, got 'strong'"),
        ({"validation_share": "some"}, "validation_share must be 0 to 0.5, got 'some'"),
        ({"validation_share": 0.7}, "validation_share must be 0 to 0.5, got 0.7"),
        ({"max_epochs": 0}, "max_epochs must be a whole number of at least 1, got 0"),
        ({"patience": 1.5}, r"patience must be a whole number of at least 1, got 1\.5"),
        ({"context_length": 0}, "context_length must be a whole number of at least 1, got 0"),
        ({"d_model": 9}, "sizes must be those of a TstConfig, got .*d_model=9 and n_heads=2"),
        ({"device": "abacus"}, "device must be 'auto'.*got 'abacus'"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(
    problem: Draw, classifier: MakeClassifier, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier().set_params(**options).fit(*problem(6))


def test_a_checkpoint_for_other_channels_is_refused(
    problem: Draw, classifier: MakeClassifier, checkpoint: str
) -> None:
    with pytest.raises(ConfigError, match=r"n_channels=2 .*got 1 channels"):
        classifier(model=checkpoint).fit(np.zeros((4, 9)), [0, 1, 0, 1])
    with pytest.raises(CheckpointError, match="must be a bundled name"):
        classifier(model="nowhere").fit(*problem(6))
