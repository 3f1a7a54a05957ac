"""Every public name is there, is listed, and says what it is."""

import inspect

import pytest

import tsfm
from tsfm import stocks

NAMES = {
    "CalibratedForecaster",
    "ChannelForecaster",
    "Calibration",
    "CheckpointError",
    "ConfigError",
    "CovariateForecaster",
    "DataError",
    "Detector",
    "Embedder",
    "Forecaster",
    "Imputer",
    "NonFiniteLossError",
    "NotCalibratedError",
    "SampleFeatures",
    "SeriesClassifier",
    "SeriesFrame",
    "SeriesRegressor",
    "SingleSeriesPool",
    "TimeSeriesModel",
    "TsfmError",
    "UnsupportedError",
    "__version__",
    "audit",
    "calibrate",
    "cross_validation",
    "detect",
    "embed",
    "forecast",
    "impute",
    "load_dataset",
    "similar",
    "to_long",
}


def test_the_public_names_are_frozen() -> None:
    assert set(tsfm.__all__) == NAMES


def test_dir_lists_the_public_names() -> None:
    assert set(dir(tsfm)) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES - {"__version__"}))
def test_a_public_name_exists_and_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(tsfm, name))


SHARED = ["id_column", "timestamp_column", "target", "freq", "calendar", "context_length"]


@pytest.mark.parametrize("name", ["forecast", "cross_validation", "detect", "calibrate"])
def test_calls_share_their_keywords(name: str) -> None:
    parameters = inspect.signature(getattr(tsfm, name)).parameters
    expected = [*SHARED, "batch_size", "device", "progress"]
    assert set(expected) <= set(parameters)
    assert all(parameters[key].kind is inspect.Parameter.KEYWORD_ONLY for key in expected)
    assert parameters["id_column"].default == "item_id"
    assert parameters["timestamp_column"].default == "timestamp"
    assert parameters["target"].default == "target"
    assert parameters["batch_size"].default == 256
    assert parameters["device"].default == "auto"


@pytest.mark.parametrize("name", stocks.__all__)
def test_a_public_name_of_stocks_exists_and_has_a_docstring(name: str) -> None:
    assert inspect.getdoc(getattr(stocks, name))
    assert name in dir(stocks)
