"""Time-series foundation models: forecasts for any frame, offline, on a CPU.

Public names are imported when they are first used, so that ``import tsfm`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tsfm.audits.look_ahead import audit
    from tsfm.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        NonFiniteLossError,
        NotCalibratedError,
        TsfmError,
        UnsupportedError,
    )
    from tsfm.models.model import TimeSeriesModel
    from tsfm.series.cards import load_dataset
    from tsfm.series.frame import SeriesFrame
    from tsfm.series.pool import SingleSeriesPool
    from tsfm.series.reshape import to_long
    from tsfm.tasks.calibrate import CalibratedForecaster, calibrate
    from tsfm.tasks.calibration.calibration import Calibration
    from tsfm.tasks.classify import SeriesClassifier, SeriesRegressor
    from tsfm.tasks.covariates import CovariateForecaster
    from tsfm.tasks.cross_validation import cross_validation
    from tsfm.tasks.detect import Detector, detect
    from tsfm.tasks.embed import Embedder, embed
    from tsfm.tasks.forecast import Forecaster
    from tsfm.tasks.forecast_frame import forecast
    from tsfm.tasks.impute import Imputer, impute
    from tsfm.tasks.sample_features import SampleFeatures
    from tsfm.tasks.similar import similar
    from tsfm.tasks.with_covariates.channels import ChannelForecaster

_HOMES = {
    "CalibratedForecaster": "tsfm.tasks.calibrate",
    "Calibration": "tsfm.tasks.calibration.calibration",
    "ChannelForecaster": "tsfm.tasks.with_covariates.channels",
    "CheckpointError": "tsfm.errors",
    "ConfigError": "tsfm.errors",
    "CovariateForecaster": "tsfm.tasks.covariates",
    "DataError": "tsfm.errors",
    "Detector": "tsfm.tasks.detect",
    "Embedder": "tsfm.tasks.embed",
    "Forecaster": "tsfm.tasks.forecast",
    "Imputer": "tsfm.tasks.impute",
    "NonFiniteLossError": "tsfm.errors",
    "NotCalibratedError": "tsfm.errors",
    "SampleFeatures": "tsfm.tasks.sample_features",
    "SeriesClassifier": "tsfm.tasks.classify",
    "SeriesFrame": "tsfm.series.frame",
    "SeriesRegressor": "tsfm.tasks.classify",
    "SingleSeriesPool": "tsfm.series.pool",
    "TimeSeriesModel": "tsfm.models.model",
    "TsfmError": "tsfm.errors",
    "UnsupportedError": "tsfm.errors",
    "audit": "tsfm.audits.look_ahead",
    "calibrate": "tsfm.tasks.calibrate",
    "cross_validation": "tsfm.tasks.cross_validation",
    "detect": "tsfm.tasks.detect",
    "embed": "tsfm.tasks.embed",
    "forecast": "tsfm.tasks.forecast_frame",
    "impute": "tsfm.tasks.impute",
    "load_dataset": "tsfm.series.cards",
    "similar": "tsfm.tasks.similar",
    "to_long": "tsfm.series.reshape",
}

__all__ = [
    "CalibratedForecaster",
    "Calibration",
    "ChannelForecaster",
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
]


def __getattr__(name: str) -> Any:
    """Import the home of a public name and keep the name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
