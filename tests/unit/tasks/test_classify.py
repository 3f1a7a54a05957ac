"""Classifier and regressor are scikit-learn estimators: what learns must also tune, save and fail
as users of scikit-learn expect."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone

import tsfm
from tsfm.errors import ConfigError, DataError
from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor

Draw = Callable[..., tuple[list[np.ndarray], np.ndarray]]
MakeClassifier = Callable[..., SeriesClassifier]
MakeRegressor = Callable[..., SeriesRegressor]


def long_frame(samples: list[np.ndarray], labels: np.ndarray) -> pl.DataFrame:
    """Items named so that their order is not that of their names."""
    parts = [
        pl.DataFrame({"a": sample[0], "b": sample[1]}).with_columns(
            item_id=pl.lit(f"item {(7 * number) % len(samples)}"),
            timestamp=np.arange(sample.shape[1]),
            label=pl.lit(str(label)),
        )
        for number, (sample, label) in enumerate(zip(samples, labels, strict=True))
    ]
    return pl.concat(parts)


@pytest.fixture(scope="module")
def fitted(problem: Draw, classifier: MakeClassifier) -> SeriesClassifier:
    return classifier().fit(*problem())


def test_a_separable_problem_is_learned(problem: Draw, fitted: SeriesClassifier) -> None:
    assert fitted.score(*problem(seed=1)) == 1.0
    assert fitted.classes_.tolist() == ["early", "late"]


def test_a_height_is_learned_in_its_own_units(heights: Draw, regressor: MakeRegressor) -> None:
    fitted = regressor().fit(*heights())
    samples, target = heights(seed=1)
    assert fitted.score(samples, target) > 0.9
    assert abs(fitted.predict(samples).mean() - target.mean()) < 20


def test_a_target_of_any_size_is_learned(heights: Draw, regressor: MakeRegressor) -> None:
    samples, target = heights()
    found = [
        regressor().fit(samples, target * size).predict(samples) / size for size in (1.0, 2.0**990)
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_samples_far_from_all_that_was_trained_on_have_probabilities(
    problem: Draw, fitted: SeriesClassifier
) -> None:
    samples, _ = problem(6)
    chances = fitted.predict_proba([np.asarray(one) * 1e300 for one in samples])
    np.testing.assert_allclose(chances.sum(1), 1)


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"pooling": "mean"}, {"patch_length": 4}])
def test_every_variant_learns(
    problem: Draw, classifier: MakeClassifier, options: dict[str, Any]
) -> None:
    assert classifier(**options).fit(*problem()).score(*problem(seed=1)) > 0.8


def test_probabilities_are_in_the_order_of_the_classes(
    problem: Draw, fitted: SeriesClassifier
) -> None:
    samples, labels = problem(seed=2)
    chances = fitted.predict_proba(samples)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert (fitted.classes_[chances.argmax(1)] == labels).all()


def test_the_same_seed_gives_the_same_model_and_leaves_the_callers_numbers_alone(
    problem: Draw, classifier: MakeClassifier
) -> None:
    samples, labels = problem(20)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (
        classifier(max_epochs=2, random_state=seed).fit(samples, labels).predict_proba(samples)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert (first == again).all()
    assert not np.allclose(first, other)


@pytest.mark.parametrize("kind", ["polars", "pandas", "pyarrow", "lazy"])
def test_a_long_frame_is_read_like_arrays(
    problem: Draw, fitted: SeriesClassifier, kind: str
) -> None:
    samples, labels = problem(20, seed=3)
    data: Any = long_frame(samples, labels)
    if kind != "polars":
        data = {"pandas": data.to_pandas, "pyarrow": data.to_arrow, "lazy": data.lazy}[kind]()
    reader = clone(fitted).set_params(target=["a", "b"], max_epochs=2)
    by_frame = reader.fit(data, "label").predict_proba(data)
    by_array = reader.fit(samples, labels).predict_proba(samples)
    np.testing.assert_array_equal(by_frame, by_array)
    assert isinstance(data, pl.DataFrame) or (reader.fit(data, labels).predict(data) != "").all()


def test_a_result_belongs_to_its_sample(problem: Draw, fitted: SeriesClassifier) -> None:
    """Whatever its neighbours: another order, another batch size, alone."""
    samples, _ = problem(30, seed=4)
    order = np.random.default_rng(0).permutation(30)
    expected = fitted.predict_proba(samples)
    found = fitted.predict_proba([samples[place] for place in order])
    np.testing.assert_allclose(found, expected[order], rtol=1e-5)
    alone = np.concatenate([fitted.predict_proba([sample]) for sample in samples])
    np.testing.assert_allclose(alone, expected, rtol=1e-5)
    small = clone(fitted).set_params(batch_size=7)
    small.model_, small.classes_ = fitted.model_, fitted.classes_
    np.testing.assert_allclose(small.predict_proba(samples), expected, rtol=1e-5)


def test_a_cube_is_sample_channel_time(classifier: MakeClassifier) -> None:
    cube = np.random.default_rng(0).normal(size=(12, 3, 9))
    labels = [0, 1] * 6
    found = classifier(max_epochs=1).fit(cube, labels)
    assert found.model_.backbone.config.n_channels == 3
    assert (found.predict_proba(cube) == found.predict_proba(list(cube))).all()


def test_missing_values_and_longer_samples_are_read(
    problem: Draw, fitted: SeriesClassifier
) -> None:
    samples, labels = problem(10, seed=5)
    assert np.isfinite(fitted.predict_proba([np.full((2, 6), np.nan)])).all()
    longer = [np.concatenate([np.full((2, 30), 99.0), sample], 1) for sample in samples]
    longest = fitted.model_.context_length
    same_end = [sample[:, -longest:] for sample in longer]
    assert (fitted.predict_proba(longer) == fitted.predict_proba(same_end)).all()
    assert (fitted.predict(samples) == labels).all()


def test_a_long_sample_is_cut_into_patches(classifier: MakeClassifier) -> None:
    waves = np.random.default_rng(0).normal(size=(8, 300))
    config = classifier(max_epochs=1).fit(waves, [0, 1] * 4).model_.backbone.config
    assert (config.context_length, config.patch_length, config.n_tokens) == (300, 3, 100)
    shorter = classifier(max_epochs=1, context_length=50).fit(waves, [0, 1] * 4)
    assert shorter.model_.context_length == 50
    assert (shorter.predict_proba(waves) == shorter.predict_proba(waves[:, -50:])).all()


def test_a_longer_sample_than_in_fit_is_cut_where_patches_do_not_divide_the_longest(
    classifier: MakeClassifier,
) -> None:
    waves = np.random.default_rng(0).normal(size=(8, 10))
    found = classifier(max_epochs=1, patch_length=4).fit(waves, [0, 1] * 4)
    longer = np.concatenate([np.full((8, 5), 99.0), waves], axis=1)
    assert (found.predict_proba(longer) == found.predict_proba(waves)).all()


def test_the_names_are_public() -> None:
    assert tsfm.SeriesClassifier is SeriesClassifier
    assert tsfm.SeriesRegressor is SeriesRegressor


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x, None), "SeriesClassifier requires y to be passed"),
        (lambda x, y: (x, y[:-1]), "one label per sample, got 5 for 6 samples"),
        (lambda x, y: (x, "label"), "got the name 'label' and samples in a list"),
        (lambda x, y: (x, [None, *y[1:]]), "a label for every sample, got none for 1 samples"),
        (
            lambda x, y: (x, np.arange(0, 6).astype("M8[D]")),
            "text or numbers, got stamps such as 1970",
        ),
        (lambda x, y: (x, [dt.date(2020, 1, 1)] * 6), "text or numbers, got stamps such as 2020"),
        (lambda x, y: (x[:1], y[:1]), "on at least 2 samples, got 1 sample"),
        (lambda x, y: (x[0], y), r"one label per sample, got 6 for 2 samples"),
        (lambda x, y: (pd.DataFrame({"a": [1.0]}), y), "column 'timestamp' must be"),
    ],
)
def test_samples_and_labels_that_cannot_be_used_are_named(
    problem: Draw,
    classifier: MakeClassifier,
    change: Callable[[Any, Any], tuple[Any, Any]],
    message: str,
) -> None:
    with pytest.raises(DataError, match=message):
        classifier().fit(*change(*problem(6)))


@pytest.mark.parametrize("form", [{}, {"scaling": "sample", "stretched_to": 8}])
def test_prediction_needs_the_channels_of_the_training(
    problem: Draw, classifier: MakeClassifier, form: dict[str, Any]
) -> None:
    fitted = classifier(max_epochs=1, **form).fit(*problem(8))
    with pytest.raises(DataError, match="must have 2 channels as in fit, got 1"):
        fitted.predict(np.zeros((3, 20)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scaling": "window"}, "scaling must be 'set' or 'sample', got 'window'"),
        ({"stretched_to": 0}, "stretched_to must be a whole number of at least 1, got 0"),
    ],
)
def test_a_form_that_does_not_exist_is_refused(
    problem: Draw, classifier: MakeClassifier, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier().set_params(**wrong).fit(*problem(8))


def shapes(n_samples: int = 40, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Teeth or waves, at scales that are decades apart and of lengths that are not the same."""
    generator = np.random.default_rng(seed)
    samples, labels = [], []
    for number in range(n_samples):
        turns = 2 * np.pi * np.linspace(0, 2, int(generator.integers(24, 60)))
        sample = np.sign(np.sin(turns)) if number % 2 else np.sin(turns)
        samples.append(10 ** generator.uniform(-6, 2) * sample)
        labels.append("teeth" if number % 2 else "wave")
    return samples, np.array(labels)


def test_shapes_of_any_scale_and_length_are_told_apart_in_a_form_of_their_own(
    classifier: MakeClassifier, tmp_path: Path
) -> None:
    options = {"scaling": "sample", "stretched_to": 24, "max_epochs": 10}
    found = classifier(**options).fit(*shapes())
    assert found.score(*shapes(seed=1)) > 0.9
    assert classifier(max_epochs=10).fit(*shapes()).score(*shapes(seed=1)) < 0.8
    found.save_pretrained(tmp_path)
    samples, _ = shapes(seed=2)
    loaded = SeriesClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(samples), found.predict_proba(samples))


def test_an_amplitude_is_not_lost_by_scaling_samples(
    heights: Draw, regressor: MakeRegressor
) -> None:
    fitted = regressor(scaling="sample").fit(*heights())
    assert fitted.score(*heights(seed=1)) > 0.9


@pytest.mark.parametrize(
    ("target", "message"),
    [(["a", "b", "c"], "y must hold numbers"), ([1.0, np.nan, 2.0], "y must be finite.*1 samples")],
)
def test_a_target_must_be_finite_numbers(
    regressor: MakeRegressor, target: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        regressor().fit(np.zeros((3, 4)), target)
