"""A model that is loaded or fine-tuned is taken by the same calls as the name of one."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

import tsfm


@pytest.fixture
def gappy(tiny_frame: pl.DataFrame) -> pl.DataFrame:
    place = pl.int_range(pl.len())
    return tiny_frame.with_columns(pl.when(place % 7 != 3).then("target").alias("target"))


@pytest.mark.parametrize(
    ("call", "kind", "name", "options"),
    [
        (tsfm.forecast, tsfm.Forecaster, "tsfm-small", {"prediction_length": 3}),
        (tsfm.impute, tsfm.Imputer, "tsfm-fill", {}),
        (tsfm.detect, tsfm.Detector, "tsfm-small", {}),
        (tsfm.embed, tsfm.Embedder, "tsfm-small", {}),
    ],
)
def test_a_loaded_model_answers_as_its_name_does(
    call: Any, kind: Any, name: str, options: dict[str, Any], gappy: pl.DataFrame
) -> None:
    loaded = kind.from_pretrained(name)
    assert_frame_equal(call(gappy, model=loaded, **options), call(gappy, model=name, **options))


def test_a_forecast_is_that_of_the_model_which_was_passed(gappy: pl.DataFrame) -> None:
    own = tsfm.Forecaster.from_pretrained("tsfm-small").finetune(gappy, mode="head", steps=2)
    found = tsfm.forecast(gappy, model=own, prediction_length=3)
    assert_frame_equal(found, own.predict(gappy, prediction_length=3))
    assert not found.equals(tsfm.forecast(gappy, prediction_length=3))


def test_covariates_are_added_to_a_loaded_model(generator: np.random.Generator) -> None:
    plan = generator.integers(0, 2, 150)
    sales = pl.DataFrame({"timestamp": range(148), "target": 10.0 * plan[:-2], "plan": plan[2:]})
    loaded = tsfm.Forecaster.from_pretrained("tsfm-small")
    options: dict[str, Any] = {"prediction_length": 2, "covariates": ["plan"]}
    found = tsfm.forecast(sales, model=loaded, **options)
    assert_frame_equal(found, tsfm.forecast(sales, **options))
    assert not found.equals(tsfm.forecast(sales, prediction_length=2))


@pytest.fixture
def doubles() -> Iterator[Callable[[], None]]:
    """Give what makes float64 the default type of torch, as some packages do."""
    before = torch.get_default_dtype()
    yield lambda: torch.set_default_dtype(torch.float64)
    torch.set_default_dtype(before)


@pytest.mark.parametrize(
    ("call", "options"),
    [
        (tsfm.forecast, {"prediction_length": 3}),
        (tsfm.impute, {}),
        (tsfm.impute, {"mode": "causal"}),
        (tsfm.detect, {}),
        (tsfm.embed, {}),
    ],
)
def test_the_default_type_of_torch_moves_no_answer(
    call: Any, options: dict[str, Any], gappy: pl.DataFrame, doubles: Callable[[], None]
) -> None:
    usual = call(gappy, **options)
    doubles()
    assert_frame_equal(call(gappy, **options), usual, check_exact=True)


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_the_default_type_of_torch_moves_no_fine_tuning(
    mode: Any, gappy: pl.DataFrame, doubles: Callable[[], None]
) -> None:
    model = tsfm.Forecaster.from_pretrained("tsfm-small")

    def answer() -> pl.DataFrame:
        return model.finetune(gappy, mode=mode, steps=2).predict(gappy, prediction_length=3)

    usual = answer()
    doubles()
    assert_frame_equal(answer(), usual, rel_tol=1e-5)


def test_the_default_type_of_torch_moves_no_fine_tuning_on_gaps(
    gappy: pl.DataFrame, doubles: Callable[[], None]
) -> None:
    model = tsfm.Imputer.from_pretrained("tsfm-fill")
    usual = model.finetune(gappy, steps=2).impute(gappy)
    doubles()
    assert_frame_equal(model.finetune(gappy, steps=2).impute(gappy), usual, rel_tol=1e-5)


@pytest.mark.parametrize(
    "start", [{}, {"augmentation": 0.5}, {"model": "tsfm-small", "mode": "head"}]
)
def test_the_default_type_of_torch_moves_no_class(
    start: dict[str, Any], generator: np.random.Generator, doubles: Callable[[], None]
) -> None:
    samples, labels = generator.normal(size=(6, 32)), [0, 1] * 3
    sizes = {"d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 16, "max_epochs": 1}
    estimator = tsfm.SeriesClassifier(**sizes, **start, random_state=0)
    usual = estimator.fit(samples, labels).predict_proba(samples)
    doubles()
    found = estimator.fit(samples, labels).predict_proba(samples)
    np.testing.assert_allclose(found, usual, rtol=1e-6)


def test_the_default_type_of_torch_moves_no_estimate(
    generator: np.random.Generator, doubles: Callable[[], None]
) -> None:
    samples, numbers = generator.normal(size=(6, 32)), generator.normal(size=6)
    sizes = {"d_model": 8, "n_heads": 2, "n_layers": 1, "d_ff": 16, "max_epochs": 1}
    estimator = tsfm.SeriesRegressor(**sizes, random_state=0)
    usual = estimator.fit(samples, numbers).predict(samples)
    doubles()
    np.testing.assert_allclose(estimator.fit(samples, numbers).predict(samples), usual, rtol=1e-6)
