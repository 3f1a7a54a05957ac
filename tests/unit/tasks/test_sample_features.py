"""Features of a frozen encoder go into anybody's head: they must stay put and leak nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from tsfm.errors import ConfigError, UnsupportedError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.timer import Timer, TimerConfig
from tsfm.series.samples import SampleSet
from tsfm.tasks.sample_features import (
    SampleFeatures,
    pool_tokens,
    size_features,
    standardised,
    stretch,
)
from tsfm.tasks.samples.series_model import new_tst


@pytest.fixture(scope="module")
def model() -> TimeSeriesModel:
    """A small encoder of random weights: what is tested here does not need a good one."""
    backbone = Timer(TimerConfig(patch_length=4, d_model=16, n_heads=2, n_layers=1, d_ff=16))
    for parameter in backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(0))
    return TimeSeriesModel("timer", backbone.eval(), 128, Provenance())


@pytest.fixture
def features(model) -> SampleFeatures:
    return SampleFeatures(model=model, lengths=(16, 32), device="cpu")


def bumps(n_samples: int = 40, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    generator = np.random.default_rng(seed)
    samples, labels = [], []
    for number in range(n_samples):
        values = 0.2 * generator.normal(size=(2, int(generator.integers(20, 40))))
        place = 3 if number % 2 else values.shape[1] - 8
        values[0, place : place + 5] += 2
        values[generator.random(values.shape) < 0.05] = np.nan
        samples.append(values)
        labels.append("early" if number % 2 else "late")
    return samples, np.array(labels)


def test_a_head_on_frozen_features_learns(features):
    samples, labels = bumps()
    head = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=500))
    assert head.fit(samples, labels).score(*bumps(seed=1)) > 0.9


def test_a_number_is_learned_by_a_linear_head(features):
    generator = np.random.default_rng(0)
    height = generator.uniform(1, 3, 60)
    waves = height[:, None] * np.sin(np.arange(30) / 3) + 0.05 * generator.normal(size=(60, 30))
    head = make_pipeline(features, StandardScaler(), RidgeCV(np.logspace(-2, 4, 7)))
    assert head.fit(waves[:40], height[:40]).score(waves[40:], height[40:]) > 0.8


def test_grid_search_chooses_how_samples_are_read(features):
    samples, labels = bumps()
    head = make_pipeline(features, StandardScaler(), LogisticRegression(max_iter=500))
    grid = {"samplefeatures__n_segments": [1, 4]}
    search = GridSearchCV(head, grid, cv=2, error_score="raise").fit(samples, labels)
    assert search.best_params_["samplefeatures__n_segments"] in (1, 4)
    assert clone(features).get_params()["lengths"] == (16, 32)


def test_a_row_depends_on_its_own_sample_alone(features):
    samples, _ = bumps()
    whole = features.transform(samples)
    assert np.isfinite(whole).all()
    changed = [sample * -7 for sample in samples[:3]] + samples[3:]
    np.testing.assert_allclose(features.transform(changed)[3:], whole[3:], atol=1e-4)
    alone = np.concatenate([features.transform([sample]) for sample in samples[:5]])
    np.testing.assert_allclose(alone, whole[:5], atol=1e-4)


def test_level_and_scale_are_in_the_size_alone(features):
    samples, _ = bumps()
    moved = [100 + 8 * sample for sample in samples]
    n_sizes = 1 + 2 * 2
    before, after = features.transform(samples), features.transform(moved)
    np.testing.assert_allclose(after[:, n_sizes:], before[:, n_sizes:], atol=1e-3)
    assert not np.allclose(after[:, 1:n_sizes], before[:, 1:n_sizes])
    without = clone(features).set_params(with_size=False).transform(samples)
    np.testing.assert_array_equal(without, before[:, n_sizes:])


@pytest.mark.parametrize("power", [-100, 100])
def test_a_sample_of_any_scale_is_no_constant(features, power):
    samples, _ = bumps(6)
    features.set_params(with_size=False)
    scaled = features.transform([2.0**power * sample for sample in samples])
    np.testing.assert_array_equal(scaled, features.transform(samples))


def test_a_long_frame_is_read_like_arrays(features):
    samples, _ = bumps(6)
    parts = [
        pl.DataFrame(
            {"item_id": f"{n}", "timestamp": np.arange(one.shape[1]), "a": one[0], "b": one[1]}
        )
        for n, one in enumerate(samples)
    ]
    reader = clone(features).set_params(target=["a", "b"])
    np.testing.assert_array_equal(reader.transform(pl.concat(parts)), features.transform(samples))


def test_sizes_of_samples_are_those_of_their_values():
    samples = SampleSet.from_arrays([[1.0, 3.0, np.nan], [5.0, 5.0]])
    found = size_features(samples)
    np.testing.assert_allclose(found[:, 0], np.log([3, 2]))
    np.testing.assert_allclose(found[:, 1], [2, 5])
    np.testing.assert_allclose(np.exp(found[:, 2]), [1, 0], atol=1e-6)


def test_stretching_draws_lines_and_bridges_what_is_missing():
    samples = SampleSet.from_arrays([[0.0, np.nan, 4.0], [np.nan, np.nan]])
    found = stretch(samples, 5)
    np.testing.assert_allclose(found[:, 0], [[0, 1, 2, 3, 4], [0, 0, 0, 0, 0]])
    np.testing.assert_allclose(standardised(found)[0, 0].std(), 1)
    np.testing.assert_array_equal(standardised(found)[1, 0], 0)


def test_tokens_are_pooled_part_by_part():
    tokens = torch.arange(8.0).reshape(1, 4, 2)
    found = pool_tokens(tokens, 2)[0]
    assert found.tolist()[:6] == [1, 2, 5, 6, 6, 7]
    assert pool_tokens(tokens, 99).shape == (1, (4 + 2) * 2)


def test_tokens_are_those_of_the_middle_of_a_decoder(generator):
    backbone = Timer(TimerConfig(patch_length=4, d_model=16, n_heads=2, n_layers=5, d_ff=16))
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    samples = generator.normal(size=(3, 1, 24))
    reader = SampleFeatures(
        model=TimeSeriesModel("timer", backbone.eval(), 128, Provenance()), lengths=(32,)
    )
    before = reader.transform(samples)
    draw = torch.Generator().manual_seed(1)
    for number, is_read in ((3, False), (2, True)):
        for parameter in backbone.blocks[number].parameters():
            torch.nn.init.normal_(parameter, generator=draw)
        assert np.array_equal(reader.transform(samples), before) != is_read
    whole = reader.set_params(depth=1.0).transform(samples)
    torch.nn.init.normal_(backbone.blocks[4].attention.output.weight, generator=draw)
    assert not np.array_equal(reader.transform(samples), whole)
    for depth in (0.0, 1.1, -1.0):
        with pytest.raises(ConfigError, match=f"depth must be a share .* got {depth}"):
            reader.set_params(depth=depth).fit(samples)


@pytest.mark.parametrize("lengths", [(), (10,), (0,), (128,)])
def test_lengths_that_do_not_fit_the_encoder_are_refused(model, lengths):
    with pytest.raises(
        ConfigError, match="lengths must be multiples of the patch of 4 steps up to"
    ):
        SampleFeatures(model=model, lengths=lengths).fit([[1.0, 2.0]])


def test_an_encoder_that_mixes_channels_is_refused():
    tst = new_tst(0, n_channels=1, context_length=32, d_model=16, n_heads=2)
    with pytest.raises(UnsupportedError, match="reads channels by themselves to embed, got 'tst'"):
        SampleFeatures(model=tst).fit([[1.0, 2.0]])


# Checks of scikit-learn that ask for what is meant otherwise here.
OTHERWISE = {
    "check_n_features_in_after_fitting": "samples may be longer or shorter than in fit",
    "check_n_features_in": "samples may be longer or shorter than in fit",
    "check_estimators_empty_data_messages": "the message speaks of steps, not of features",
    "check_dtype_object": "the error is a DataError, which is a ValueError, not a TypeError",
    "check_estimators_overwrite_params": "copies of a torch module have hashes of their own",
    "check_array_api_input": "torch has the arrays",
    "check_do_not_raise_errors_in_init_or_set_params": "in these tests types are checked",
    "check_transformer_data_not_an_array": "a frame is long, one row per step",
}


def checks() -> list[Any]:
    backbone = Timer(TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=8))
    small = TimeSeriesModel("timer", backbone.eval(), 32, Provenance())
    found = estimator_checks_generator(SampleFeatures(model=small, lengths=(8,)), mark=None)
    return [
        pytest.param(estimator, check, id=f"{check.func.__name__}-{number}")
        for number, (estimator, check) in enumerate(found)
        if check.func.__name__ not in OTHERWISE
    ]


@pytest.mark.parametrize(("estimator", "check"), checks())
def test_it_keeps_the_rules_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)
