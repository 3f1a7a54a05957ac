"""What a person has learnt of one call holds for all: the keywords that calls share."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import tsfm

COLUMNS = {"id_column": "item_id", "timestamp_column": "timestamp", "target": "target"}
SHARED = {
    **COLUMNS,
    "freq": None,
    "calendar": None,
    "context_length": None,
    "batch_size": 256,
    "device": "auto",
    "progress": None,
}
CALLS = (
    tsfm.forecast,
    tsfm.impute,
    tsfm.detect,
    tsfm.embed,
    tsfm.cross_validation,
    tsfm.calibrate,
    tsfm.similar,
    tsfm.Forecaster.predict,
    tsfm.CovariateForecaster.predict,
    tsfm.ChannelForecaster.predict,
    tsfm.Imputer.impute,
    tsfm.Detector.detect,
    tsfm.Embedder.embed,
)
TRAINING = (tsfm.Forecaster.finetune, tsfm.Imputer.finetune)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__qualname__)
def test_a_call_takes_the_shared_keywords_with_their_defaults(call: Callable[..., Any]) -> None:
    own = inspect.signature(call).parameters
    assert {name: own[name].default for name in SHARED if name in own} == SHARED


@pytest.mark.parametrize("call", TRAINING, ids=lambda call: call.__qualname__)
def test_training_takes_them_with_a_batch_size_of_its_own(call: Callable[..., Any]) -> None:
    own = inspect.signature(call).parameters
    assert {name: own[name].default for name in SHARED if name in own} == SHARED | {
        "batch_size": 32
    }
