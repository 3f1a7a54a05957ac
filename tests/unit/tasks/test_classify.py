"""Classifier and regressor are scikit-learn estimators: what learns must also tune, save and fail
as users of scikit-learn expect."""

import datetime as dt
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import tsfm
from tsfm.errors import CheckpointError, ConfigError, DataError, NonFiniteLossError
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained, save_pretrained
from tsfm.series.samples import held_out
from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor
from tsfm.tasks.series_model import new_tst

SMALL: dict[str, Any] = {
    "d_model": 16,
    "n_heads": 2,
    "n_layers": 1,
    "d_ff": 16,
    "max_epochs": 15,
    "learning_rate": 0.01,
    "random_state": 0,
    "device": "cpu",
    "progress": False,
}
Problem = tuple[list[np.ndarray], np.ndarray]


def problem(n_samples: int = 60, seed: int = 0) -> Problem:
    """A bump early or late in the first of two channels, in noise; some values are missing, and
    lengths differ."""
    generator = np.random.default_rng(seed)
    samples, labels = [], []
    for number in range(n_samples):
        length = int(generator.integers(18, 25))
        sample = 0.3 * generator.standard_normal((2, length))
        place = length - 15 if number % 2 else length - 6
        sample[0, place : place + 4] += 2
        sample[generator.random(sample.shape) < 0.05] = np.nan
        samples.append(5 + 10 * sample)
        labels.append("early" if number % 2 else "late")
    return samples, np.array(labels)


def heights(n_samples: int = 60, seed: int = 0) -> Problem:
    """The target is the height of a wave, in units of its own."""
    generator = np.random.default_rng(seed)
    height = generator.uniform(0, 3, n_samples)
    noise = 0.2 * generator.standard_normal((n_samples, 20))
    return list(height[:, None] * np.sin(np.arange(20) / 2) + noise), 1000 + 50 * height


def classifier(**options: Any) -> SeriesClassifier:
    return SeriesClassifier(**(SMALL | options))


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
def fitted() -> SeriesClassifier:
    return classifier().fit(*problem())


def test_a_separable_problem_is_learned(fitted: SeriesClassifier) -> None:
    assert fitted.score(*problem(seed=1)) == 1.0
    assert fitted.classes_.tolist() == ["early", "late"]


def test_a_height_is_learned_in_its_own_units() -> None:
    regressor = SeriesRegressor(**SMALL).fit(*heights())
    samples, target = heights(seed=1)
    assert regressor.score(samples, target) > 0.9
    assert abs(regressor.predict(samples).mean() - target.mean()) < 20


def test_a_target_of_any_size_is_learned() -> None:
    samples, target = heights()
    found = [
        SeriesRegressor(**SMALL).fit(samples, target * size).predict(samples) / size
        for size in (1.0, 2.0**990)
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6)


def test_samples_far_from_all_that_was_trained_on_have_probabilities(
    fitted: SeriesClassifier,
) -> None:
    samples, _ = problem(6)
    chances = fitted.predict_proba([np.asarray(one) * 1e300 for one in samples])
    np.testing.assert_allclose(chances.sum(1), 1)


@pytest.mark.parametrize("options", [{"norm": "layer"}, {"pooling": "mean"}, {"patch_length": 4}])
def test_every_variant_learns(options: dict[str, Any]) -> None:
    assert classifier(**options).fit(*problem()).score(*problem(seed=1)) > 0.8


def test_probabilities_are_in_the_order_of_the_classes(fitted: SeriesClassifier) -> None:
    samples, labels = problem(seed=2)
    chances = fitted.predict_proba(samples)
    np.testing.assert_allclose(chances.sum(1), 1)
    assert (fitted.classes_[chances.argmax(1)] == labels).all()


@pytest.mark.parametrize(
    "values", [[3, 1], [True, False], ["b", "a"], [2.5, -1.0]], ids=["int", "bool", "str", "float"]
)
def test_labels_come_back_in_their_own_type(values: list[Any]) -> None:
    samples, labels = problem(20)
    own = np.array(values)[(labels == "early").astype(int)]
    if own.dtype.kind == "f":
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            classifier().fit(samples, own)
        return
    found = classifier(max_epochs=1).fit(samples, own)
    assert found.classes_.tolist() == sorted(values)
    assert found.predict(samples).dtype == own.dtype


def test_the_same_seed_gives_the_same_model_and_leaves_the_callers_numbers_alone() -> None:
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
def test_a_long_frame_is_read_like_arrays(fitted: SeriesClassifier, kind: str) -> None:
    samples, labels = problem(20, seed=3)
    data: Any = long_frame(samples, labels)
    if kind != "polars":
        data = {"pandas": data.to_pandas, "pyarrow": data.to_arrow, "lazy": data.lazy}[kind]()
    reader = clone(fitted).set_params(target=["a", "b"], max_epochs=2)
    by_frame = reader.fit(data, "label").predict_proba(data)
    by_array = reader.fit(samples, labels).predict_proba(samples)
    np.testing.assert_array_equal(by_frame, by_array)
    assert isinstance(data, pl.DataFrame) or (reader.fit(data, labels).predict(data) != "").all()


def test_a_result_belongs_to_its_sample(fitted: SeriesClassifier) -> None:
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


def test_a_cube_is_sample_channel_time() -> None:
    cube = np.random.default_rng(0).normal(size=(12, 3, 9))
    labels = [0, 1] * 6
    found = classifier(max_epochs=1).fit(cube, labels)
    assert found.model_.backbone.config.n_channels == 3
    assert (found.predict_proba(cube) == found.predict_proba(list(cube))).all()


def test_missing_values_and_longer_samples_are_read(fitted: SeriesClassifier) -> None:
    samples, labels = problem(10, seed=5)
    assert np.isfinite(fitted.predict_proba([np.full((2, 6), np.nan)])).all()
    longer = [np.concatenate([np.full((2, 30), 99.0), sample], 1) for sample in samples]
    longest = fitted.model_.context_length
    same_end = [sample[:, -longest:] for sample in longer]
    assert (fitted.predict_proba(longer) == fitted.predict_proba(same_end)).all()
    assert (fitted.predict(samples) == labels).all()


def test_a_long_sample_is_cut_into_patches() -> None:
    waves = np.random.default_rng(0).normal(size=(8, 300))
    config = classifier(max_epochs=1).fit(waves, [0, 1] * 4).model_.backbone.config
    assert (config.context_length, config.patch_length, config.n_tokens) == (300, 3, 100)
    shorter = classifier(max_epochs=1, context_length=50).fit(waves, [0, 1] * 4)
    assert shorter.model_.context_length == 50
    assert (shorter.predict_proba(waves) == shorter.predict_proba(waves[:, -50:])).all()


def test_a_longer_sample_than_in_fit_is_cut_where_patches_do_not_divide_the_longest() -> None:
    waves = np.random.default_rng(0).normal(size=(8, 10))
    found = classifier(max_epochs=1, patch_length=4).fit(waves, [0, 1] * 4)
    longer = np.concatenate([np.full((8, 5), 99.0), waves], axis=1)
    assert (found.predict_proba(longer) == found.predict_proba(waves)).all()


def test_the_epoch_is_chosen_on_held_out_samples_and_patience_ends_the_run() -> None:
    samples, labels = problem()
    options = {"max_epochs": 60, "patience": 5, "kernel_length": 1}
    found = classifier(**options, refit=False).fit(samples, labels)
    errors = [(e["validation_error"], e["validation_loss"]) for e in found.history_]
    best = errors.index(min(errors))
    assert len(errors) == best + 1 + 5 < 60
    _, held = held_out(labels, 0.2, np.random.default_rng([seed_of(0), 0]))
    chances = found.predict_proba([samples[row] for row in held])
    truth = np.searchsorted(found.classes_, labels[held])
    loss = -np.log(chances[np.arange(len(held)), truth]).mean()
    assert loss == pytest.approx(errors[best][1], rel=0.01)


def test_without_a_held_out_part_the_last_epoch_is_taken() -> None:
    found = classifier(validation_share=0.0, max_epochs=3).fit(*problem(20))
    assert [set(entry) for entry in found.history_] == [{"train_loss"}] * 3


def test_after_the_choice_all_samples_are_learned_for_so_many_epochs() -> None:
    samples, labels = problem()
    _, held = held_out(labels, 0.2, np.random.default_rng([seed_of(0), 0]))
    options = {"max_epochs": 20, "patience": 5}
    chosen = classifier(**options).fit(samples, labels)
    best = chosen.model_.provenance.details["fitted"]["epochs"]
    errors = [(e["validation_error"], e["validation_loss"]) for e in chosen.history_]
    assert best == 1 + errors.index(min(errors))
    again = classifier(validation_share=0.0, max_epochs=best).fit(samples, labels)
    assert (again.predict_proba(samples) == chosen.predict_proba(samples)).all()
    alone = classifier(**options, refit=False).fit(samples, labels)
    assert not np.allclose(alone.predict_proba(samples), chosen.predict_proba(samples))
    scale = chosen.model_.heads["class"].config.scale
    assert scale != alone.model_.heads["class"].config.scale
    assert len(held) == 12


def test_where_nothing_is_learned_the_refit_keeps_the_mean() -> None:
    generator = np.random.default_rng(0)
    samples, target = generator.normal(size=(30, 10)), generator.normal(size=30)
    options = {"learning_rate": 0.1, "patience": 1}
    fits = [SeriesRegressor(**SMALL | options | {"random_state": seed}) for seed in range(4)]
    found = [fit.fit(samples, target) for fit in fits]
    still = [fit for fit in found if not fit.model_.provenance.details["fitted"]["epochs"]]
    assert still
    np.testing.assert_allclose(still[0].predict(samples), target.mean())


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_changed_samples_still_teach_the_classes(strength: float) -> None:
    found = classifier(augmentation=strength, max_epochs=30).fit(*problem())
    assert found.score(*problem(seed=1)) > 0.9


def seed_of(random_state: int) -> int:
    return int(np.random.RandomState(random_state).randint(np.iinfo(np.int32).max))


def test_on_the_held_out_samples_it_is_never_worse_than_their_mean() -> None:
    """A target of pure noise: whatever is learned, the start takes part in the choice."""
    generator = np.random.default_rng(0)
    samples, target = generator.normal(size=(30, 10)), generator.normal(size=30)
    n_means = 0
    for seed in range(4):
        options = {"learning_rate": 0.1, "patience": 1, "random_state": seed, "refit": False}
        found = SeriesRegressor(**SMALL | options).fit(samples, target).predict(samples)
        _, held = held_out(target, 0.2, np.random.default_rng([seed_of(seed), 0]))
        error, of_mean = ((guess - target)[held] for guess in (found, target.mean()))
        assert (error**2).mean() <= (of_mean**2).mean() * 1.001
        n_means += found.std() < 1e-6
    assert n_means > 0


def test_a_fitted_model_is_saved_and_loaded_exactly(
    fitted: SeriesClassifier, tmp_path: Path
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


def test_a_regressor_is_saved_and_loaded_exactly(tmp_path: Path) -> None:
    samples, target = heights(20)
    regressor = SeriesRegressor(**SMALL).fit(samples, target)
    regressor.save_pretrained(tmp_path)
    loaded = SeriesRegressor.from_pretrained(tmp_path)
    assert (loaded.predict(samples) == regressor.predict(samples)).all()
    with pytest.raises(NotFittedError):
        SeriesClassifier.from_pretrained(tmp_path).predict(samples)


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


def test_head_moves_the_head_only_not_even_the_moments(checkpoint: str) -> None:
    samples, labels = problem()
    found = SeriesClassifier.from_pretrained(checkpoint, **SMALL, mode="head").fit(samples, labels)
    assert moved(load_pretrained(checkpoint), found.model_) == set()
    assert found.model_.heads["class"].linear.weight.any()
    assert found.score(samples, labels) > 0.7
    assert all(one.requires_grad for one in found.model_.parameters())


def test_full_moves_everything_from_where_the_checkpoint_stands(checkpoint: str) -> None:
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


def test_the_bundled_forecaster_is_an_encoder_too() -> None:
    """Every channel has its own tokens there."""
    samples, labels = problem(12)
    found = classifier(model="tsfm-small", mode="head", max_epochs=2).fit(samples, labels)
    config = found.model_.heads["class"].config
    assert (config.n_groups, config.n_tokens, config.patch_length) == (2, 2, 16)
    assert found.model_.trained_on == load_pretrained("tsfm-small").trained_on
    assert found.predict_proba(samples).shape == (12, 2)


def test_it_can_be_cloned_tuned_and_put_into_a_pipeline() -> None:
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


def test_the_names_are_public() -> None:
    assert tsfm.SeriesClassifier is SeriesClassifier
    assert tsfm.SeriesRegressor is SeriesRegressor


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "lora"}, "mode must be 'full' or 'head', got 'lora'"),
        ({"mode": "head"}, "mode='head' needs a checkpoint, got model=None"),
        ({"validation_share": 0.7}, "validation_share must be 0 to 0.5, got 0.7"),
        ({"max_epochs": 0}, "max_epochs must be a whole number of at least 1, got 0"),
        ({"patience": 1.5}, r"patience must be a whole number of at least 1, got 1\.5"),
        ({"context_length": 0}, "context_length must be a whole number of at least 1, got 0"),
        ({"d_model": 9}, "sizes must be those of a TstConfig, got .*d_model=9 and n_heads=2"),
        ({"device": "abacus"}, "device must be 'auto'.*got 'abacus'"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier().set_params(**options).fit(*problem(6))


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
    change: Callable[[Any, Any], tuple[Any, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        classifier().fit(*change(*problem(6)))


@pytest.mark.parametrize("form", [{}, {"scaling": "sample", "stretched_to": 8}])
def test_prediction_needs_the_channels_of_the_training(form: dict[str, Any]) -> None:
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
def test_a_form_that_does_not_exist_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier().set_params(**wrong).fit(*problem(8))


def shapes(n_samples: int = 40, seed: int = 0) -> Problem:
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
    tmp_path: Path,
) -> None:
    options = {"scaling": "sample", "stretched_to": 24, "max_epochs": 10}
    found = classifier(**options).fit(*shapes())
    assert found.score(*shapes(seed=1)) > 0.9
    assert classifier(max_epochs=10).fit(*shapes()).score(*shapes(seed=1)) < 0.8
    found.save_pretrained(tmp_path)
    samples, _ = shapes(seed=2)
    loaded = SeriesClassifier.from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded.predict_proba(samples), found.predict_proba(samples))


def test_an_amplitude_is_not_lost_by_scaling_samples() -> None:
    regressor = SeriesRegressor(**SMALL, scaling="sample").fit(*heights())
    assert regressor.score(*heights(seed=1)) > 0.9


def test_a_checkpoint_for_other_channels_is_refused(checkpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"n_channels=2 .*got 1 channels"):
        classifier(model=checkpoint).fit(np.zeros((4, 9)), [0, 1, 0, 1])
    with pytest.raises(CheckpointError, match="must be a bundled name"):
        classifier(model="nowhere").fit(*problem(6))


@pytest.mark.parametrize(
    ("target", "message"),
    [(["a", "b", "c"], "y must hold numbers"), ([1.0, np.nan, 2.0], "y must be finite.*1 samples")],
)
def test_a_target_must_be_finite_numbers(target: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SeriesRegressor(**SMALL).fit(np.zeros((3, 4)), target)


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    with pytest.raises(NonFiniteLossError, match=r"must be finite, got .*in epoch \d+; lower lear"):
        classifier(learning_rate=1e30, norm="layer").fit(*problem(20))
