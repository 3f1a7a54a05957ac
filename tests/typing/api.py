"""How users call us: checked by mypy, never executed."""

import pandas as pd
import polars as pl

import tsfm

frame = pd.DataFrame({"item_id": ["a"], "timestamp": ["2024-01-01"], "target": [1.0]})
polars_frame = pl.DataFrame({"item_id": ["a"], "timestamp": ["2024-01-01"], "target": [1.0]})

tsfm.forecast(frame, prediction_length=24)
tsfm.forecast(polars_frame, prediction_length=24, quantile_levels=[0.1, 0.5, 0.9])
tsfm.forecast(frame, prediction_length=24, target=["a", "b"], calendar="XNYS", progress=False)
tsfm.cross_validation(frame, prediction_length=24, n_windows=5)
tsfm.to_long(frame)

tsfm.forecast(frame, prediction_length=24, future=frame, covariates=["promo"])
tsfm.similar(frame, window_length=48, cutoff="2024-01-31")
tsfm.embed(frame, cutoffs=["2024-01-31"])

calibrated: tsfm.CalibratedForecaster = tsfm.calibrate(frame, prediction_length=24, method="block")
calibrated.predict(frame, quantile_levels=[0.1, 0.9])
tsfm.Calibration.fit(frame, quantile_levels=(0.05, 0.95)).apply(frame)

model: tsfm.Forecaster = tsfm.Forecaster.from_pretrained("tsfm-small")
model.predict(frame, prediction_length=24, quantile_levels=(0.1, 0.5, 0.9))

try:
    tsfm.SeriesFrame.from_any(frame)
except tsfm.DataError as error:
    message: str = str(error)

version: str = tsfm.__version__
samples: pl.LazyFrame = tsfm.load_dataset("el_nino")
