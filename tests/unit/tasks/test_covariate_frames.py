"""What a frame of covariates must hold: one value per step and item, numbers, known ids."""

from datetime import datetime

import polars as pl
import pytest

from tsfm.errors import ConfigError, DataError
from tsfm.series.validation import ColumnNamesWarning
from tsfm.tasks.covariates import CovariateForecaster
from tsfm.tasks.forecast import Forecaster

HORIZON = 6
N_STEPS = 60


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small", device="cpu")


@pytest.fixture(scope="module")
def with_promo(model) -> CovariateForecaster:
    return CovariateForecaster(model, covariates=["promo"])


def shops() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Two shops with a promotion every fifth day: past and known future."""
    parts = []
    for item in range(2):
        promo = [float(step % 5 == item) for step in range(N_STEPS + HORIZON)]
        sold = [10.0 + item + 4 * one for one in promo]
        columns = {"item_id": f"shop {item}", "timestamp": range(N_STEPS + HORIZON)}
        parts.append(pl.DataFrame({**columns, "target": sold, "promo": promo}))
    whole = pl.concat(parts)
    is_past = pl.col("timestamp") < N_STEPS
    return whole.filter(is_past), whole.filter(~is_past).drop("target")


def test_a_step_of_the_future_has_one_value(with_promo):
    past, future = shops()
    options = {"prediction_length": HORIZON}
    once = with_promo.predict(past, future=future, **options)
    assert with_promo.predict(past, future=pl.concat([future, future]), **options).equals(once)
    other = future.head(1).with_columns(promo=1 - pl.col("promo"))
    with pytest.raises(
        DataError,
        match=r"item 'shop 0': future must have one row per step, got rows that differ at 60 ",
    ):
        with_promo.predict(past, future=pl.concat([future, other]), **options)


def dated(frame: pl.DataFrame, zone: str | None) -> pl.DataFrame:
    """Make hours of the steps, which cross a clock change in Berlin."""
    stamps = pl.lit(datetime(2024, 3, 28)) + pl.duration(hours=pl.col("timestamp"))
    return frame.with_columns(timestamp=stamps.dt.replace_time_zone(zone))


def test_a_future_without_a_time_zone_is_in_that_of_the_data(with_promo):
    past, future = shops()
    past = dated(past, "Europe/Berlin")
    options = {"prediction_length": HORIZON}
    zoned = with_promo.predict(past, future=dated(future, "Europe/Berlin"), **options)
    assert with_promo.predict(past, future=dated(future, None), **options).equals(zoned)


def test_a_future_with_a_time_zone_beside_data_without_one_is_refused(with_promo):
    past, future = (dated(one, None) for one in shops())
    # Long enough to have every hour that is forecast, if it were taken as UTC.
    whole = pl.concat([past.drop("target"), future])
    zoned = whole.with_columns(pl.col("timestamp").dt.replace_time_zone("Europe/Berlin"))
    message = r"column 'timestamp': future must have stamps without .* got them in Europe/Berlin"
    with pytest.raises(DataError, match=message):
        with_promo.predict(past, future=zoned, prediction_length=HORIZON)


def test_names_that_stand_in_are_told_once(with_promo):
    other = {"item_id": "unique_id", "timestamp": "ds", "target": "y"}
    past, future = (one.rename(other, strict=False) for one in shops())
    with pytest.warns(ColumnNamesWarning) as told:
        with_promo.predict(past, future=future, prediction_length=HORIZON)
    assert len(told) == 1


def test_ids_of_another_kind_in_the_future_are_unknown_ones(with_promo):
    past, future = shops()
    numbered = past.with_columns(item_id=pl.col("item_id").str.slice(5).cast(pl.Int64))
    with pytest.raises(DataError, match=r"item 0, column 'promo': must be known .* got nothing"):
        with_promo.predict(numbered, future=future, prediction_length=HORIZON)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (float("nan"), r"item 'shop 0', column 'size': a static covariate must have one .* got 0"),
        (float("inf"), r"column 'size': a static covariate must be finite, got an infinite value"),
    ],
)
def test_static_covariates_without_a_number_are_refused(model, size, message):
    past, future = shops()
    sizes = pl.when(pl.col("item_id") == "shop 0").then(size).otherwise(1.0).alias("size")
    told = CovariateForecaster(model, covariates=["promo"], static_covariates=["size"])
    with pytest.raises(DataError, match=message):
        told.predict(past.with_columns(sizes), future=future, prediction_length=HORIZON)


def test_a_covariate_without_any_value_is_refused(with_promo):
    past, future = shops()
    empty = past.with_columns(promo=pl.lit(None, pl.Float64))
    with pytest.raises(DataError, match=r"must have values in the data, got none in \['promo'\]"):
        with_promo.predict(empty, future=future, prediction_length=HORIZON)


def test_wrong_options_are_refused(model, with_promo):
    past, future = shops()
    with pytest.raises(ConfigError, match="batch_size must be a whole number of at least 1, got 0"):
        with_promo.predict(past, future=future, prediction_length=HORIZON, batch_size=0)
    with pytest.raises(ConfigError, match="covariates must be a list of columns, got 'promo'"):
        CovariateForecaster(model, covariates="promo")
