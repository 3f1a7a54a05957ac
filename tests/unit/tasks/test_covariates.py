"""Covariates must help where they matter, do no harm where they do not, and never look ahead."""

from datetime import date

import numpy as np
import polars as pl
import pytest

import tsfm
from tsfm.errors import ConfigError, DataError
from tsfm.tasks.covariates import CovariateForecaster
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.with_covariates.ridge import design, fit_ridge, lag
from tsfm.tasks.with_covariates.table import CovariateTable

HORIZON = 14
N_DAYS = 280


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small", device="cpu")


def shops(n_items: int = 4, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Daily sales with a week, whose promotions at random days raise them by a half.

    Returns the past, the known future, and what then happened.
    """
    generator = np.random.default_rng(seed)
    days = pl.date_range(
        pl.date(2024, 1, 1), pl.date(2024, 1, 1) + pl.duration(days=N_DAYS - 1), "1d", eager=True
    )
    parts = []
    for item in range(n_items):
        week = 1 + 0.3 * np.sin(np.arange(N_DAYS) * 2 * np.pi / 7)
        promo = (generator.random(N_DAYS) < 0.25).astype(float)
        size = 10.0 ** (item + 1)
        sold = size * (week + 0.5 * promo + 0.05 * generator.normal(size=N_DAYS))
        columns = {"item_id": f"shop {item}", "timestamp": days, "target": sold, "promo": promo}
        parts.append(pl.DataFrame(columns))
    whole = pl.concat(parts)
    last = days[N_DAYS - HORIZON - 1]
    later = whole.filter(pl.col("timestamp") > last)
    return whole.filter(pl.col("timestamp") <= last), later.drop("target"), later


@pytest.fixture(scope="module")
def with_promo(model) -> CovariateForecaster:
    return CovariateForecaster(model, covariates=["promo"])


def relative_error(found: pl.DataFrame, truth: pl.DataFrame) -> float:
    both = truth.join(found, on=["item_id", "timestamp"])
    return float((both["predictions"] - both["target"]).abs().mean() / both["target"].mean())


def test_known_promotions_more_than_halve_the_error(with_promo, model):
    past, future, truth = shops()
    plain = relative_error(model.predict(past, prediction_length=HORIZON), truth)
    found = with_promo.predict(past, future=future, prediction_length=HORIZON)
    assert relative_error(found, truth) < 0.5 * plain
    assert found.columns == model.predict(past, prediction_length=HORIZON).columns
    levels = found.select(str(one / 10) for one in range(1, 10)).to_numpy()
    assert (np.diff(levels, axis=1) >= 0).all()


def test_the_same_through_forecast_with_the_columns_of_the_future(with_promo, model):
    past, future, _ = shops()
    options = {"prediction_length": HORIZON, "quantile_levels": [0.1, 0.9]}
    found = tsfm.forecast(past.to_pandas(), future=future.to_pandas(), **options)
    expected = with_promo.predict(past, future=future, **options)
    np.testing.assert_array_equal(found["0.9"], expected["0.9"])
    named = tsfm.forecast(past, future=future, covariates=["promo"], **options)
    assert named.equals(expected)


def test_noise_does_hardly_any_harm(model):
    past, future, truth = shops(seed=1)
    generator = np.random.default_rng(2)
    noise = [
        frame.drop("promo").with_columns(noise=pl.Series(generator.normal(size=len(frame))))
        for frame in (past, future)
    ]
    found = CovariateForecaster(model).predict(noise[0], future=noise[1], prediction_length=HORIZON)
    plain = relative_error(model.predict(past, prediction_length=HORIZON), truth)
    assert relative_error(found, truth) < 1.05 * plain


def test_a_promotion_at_one_day_moves_the_forecast_of_that_day_alone(with_promo):
    past, future, _ = shops()
    day = date(2024, 9, 26)
    is_changed = (pl.col("timestamp") == day) & (pl.col("item_id") == "shop 1")
    other = future.with_columns(
        pl.when(is_changed).then(1 - pl.col("promo")).otherwise("promo").alias("promo")
    )
    before, after = (
        with_promo.predict(past, future=one, prediction_length=HORIZON) for one in (future, other)
    )
    assert before.filter(~is_changed).equals(after.filter(~is_changed))
    moved = (
        after.filter(is_changed)["predictions"] - before.filter(is_changed)["predictions"]
    ).item()
    assert abs(abs(moved) / 100 - 0.5) < 0.15


def test_nothing_but_known_covariates_of_the_horizon_is_read_from_the_future(with_promo):
    past, future, truth = shops()
    expected = with_promo.predict(past, future=future, prediction_length=HORIZON)
    secrets = truth.with_columns(pl.col("target") * -1000, other=pl.lit(7.0))
    longer = pl.concat(
        [secrets, secrets.with_columns(pl.col("timestamp").dt.offset_by("1y"), promo=pl.lit(9.0))]
    )
    again = with_promo.predict(past, future=longer, prediction_length=HORIZON)
    assert again.equals(expected)


def test_a_covariate_of_the_past_acts_one_horizon_later(model):
    """Orders of today are sales in a week; nobody knows the orders to come."""
    generator = np.random.default_rng(0)
    orders = generator.normal(size=407)
    sales = 5 + 2 * np.concatenate([np.zeros(7), orders[:-7]]) + 0.1 * generator.normal(size=407)
    frame = pl.DataFrame({"timestamp": range(400), "target": sales[:400], "orders": orders[:400]})
    adapter = CovariateForecaster(model, covariates=["orders"])
    found = adapter.predict(frame, prediction_length=7)["predictions"].to_numpy()
    plain = model.predict(frame, prediction_length=7)["predictions"].to_numpy()
    truth = sales[400:]
    assert np.abs(found - truth).mean() < 0.5 * np.abs(plain - truth).mean()


def test_static_covariates_say_how_strongly_an_item_reacts(model):
    """In half of the shops promotions do nothing."""
    past, future, truth = shops(n_items=6)
    is_deaf = pl.col("item_id").is_in([f"shop {n}" for n in (0, 2, 4)])
    size = pl.col("item_id").str.slice(5).cast(pl.Int64)
    lift = pl.lit(0.5) * pl.col("promo") * pl.lit(10.0).pow(size + 1)
    change = pl.when(is_deaf).then(pl.col("target") - lift).otherwise("target").alias("target")
    kind = pl.when(is_deaf).then(pl.lit("deaf")).otherwise(pl.lit("keen")).alias("kind")
    past, truth = (frame.with_columns(change, kind) for frame in (past, truth))
    options = {"future": future, "prediction_length": HORIZON}
    shared = CovariateForecaster(model, covariates=["promo"]).predict(past, **options)
    told = CovariateForecaster(model, covariates=["promo"], static_covariates=["kind"])
    scale = 10.0 ** (size + 1)

    def error(found: pl.DataFrame) -> float:
        both = truth.join(found, on=["item_id", "timestamp"])
        return float(
            both.select(((pl.col("predictions") - pl.col("target")) / scale).abs().mean()).item()
        )

    assert error(told.predict(past, **options)) < 0.6 * error(shared)


@pytest.mark.parametrize("facts", [[], ["size"]])
@pytest.mark.parametrize(("unit", "zero"), [(1e-15, 0.0), (1e200, 0.0), (1.0, 1e6)])
def test_the_unit_and_the_zero_of_a_covariate_have_no_say(model, facts, unit, zero):
    """Farads or picofarads, Kelvin or Celsius: the same forecast."""
    past, future, _ = shops(n_items=2)
    size = pl.col("item_id").str.slice(5).cast(pl.Int64)
    adapter = CovariateForecaster(model, covariates=["promo"], static_covariates=facts)
    options = {"prediction_length": HORIZON, "quantile_levels": [0.5]}
    plain = adapter.predict(past.with_columns(size=size), future=future, **options)
    promo = pl.col("promo") * unit + zero
    other = past.with_columns(promo=promo, size=size * unit)
    found = adapter.predict(other, future=future.with_columns(promo=promo), **options)
    np.testing.assert_allclose(found["predictions"], plain["predictions"], rtol=1e-6)


def test_a_covariate_that_never_moved_says_nothing_where_it_does(model):
    past, future, _ = shops(n_items=2)
    size = pl.col("item_id").str.slice(5).cast(pl.Int64)
    past, future = (one.with_columns(size=size, rate=pl.lit(3.3)) for one in (past, future))
    adapter = CovariateForecaster(model, covariates=["promo", "rate"], static_covariates=["size"])
    usual, moved = (
        adapter.predict(past, future=future.with_columns(rate=rate), prediction_length=HORIZON)
        for rate in (pl.lit(3.3), pl.lit(4.3))
    )
    assert moved.equals(usual)


def test_a_gap_in_a_past_covariate_is_borne(with_promo):
    past, future, truth = shops()
    gappy = past.with_columns(pl.when(pl.int_range(pl.len()) % 9 != 0).then("promo").alias("promo"))
    found = with_promo.predict(gappy, future=future, prediction_length=HORIZON)
    assert relative_error(found, truth) < 0.1


def test_a_covariate_that_is_missing_leaves_the_effect_of_the_others(model):
    """The thermometer was out on one of the last days; promotions are known all the same."""
    past, future, truth = shops()
    warmth = np.random.default_rng(1).normal(size=past.height)
    past = past.with_columns(warmth=pl.Series(warmth))
    broken = pl.col("timestamp") == past["timestamp"].max() - pl.duration(days=HORIZON // 2)
    gappy = past.with_columns(warmth=pl.when(broken).then(None).otherwise("warmth"))
    adapter = CovariateForecaster(model, covariates=["promo", "warmth"])
    whole = adapter.predict(past, future=future, prediction_length=HORIZON)
    found = adapter.predict(gappy, future=future, prediction_length=HORIZON)
    assert relative_error(found, truth) < 1.1 * relative_error(whole, truth)
    ratio = found["predictions"].to_numpy() / whole["predictions"].to_numpy()
    assert np.abs(ratio - 1).max() < 0.1


def test_forecasts_of_counts_are_counts_with_covariates_too(model):
    generator = np.random.default_rng(0)
    promo = (generator.random(206) < 0.3).astype(float)
    sold = generator.poisson(0.3 + 2 * promo)
    frame = pl.DataFrame({"timestamp": range(206), "target": sold, "promo": promo})
    found = tsfm.forecast(frame.head(200), prediction_length=6, future=frame.tail(6).drop("target"))
    values = found.select("predictions", "0.1", "0.9").to_numpy()
    assert (values >= 0).all()
    np.testing.assert_array_equal(values, values.round())
    assert len(set(values[:, 0])) > 1


def test_a_short_past_leaves_the_forecast_as_it_is(with_promo, model):
    past, future, _ = shops(n_items=1)
    short = past.tail(20)
    found = with_promo.predict(short, future=future, prediction_length=HORIZON)
    plain = model.predict(short, prediction_length=HORIZON)
    np.testing.assert_allclose(found["predictions"], plain["predictions"])


def test_infinite_future_values_are_named(with_promo):
    past, future, _ = shops()
    endless = future.with_columns(promo=pl.lit(float("inf")))
    with pytest.raises(DataError, match=r"column 'promo': must be known .* got inf in future= at"):
        with_promo.predict(past, future=endless, prediction_length=HORIZON)


def test_missing_future_values_are_named(with_promo):
    past, future, _ = shops()
    lost = future.filter(
        ~((pl.col("item_id") == "shop 2") & (pl.col("timestamp") > date(2024, 10, 4)))
    )
    with pytest.raises(
        DataError,
        match=r"item 'shop 2', column 'promo': must be known .* at 2024-10-05 \(2 such rows\)",
    ):
        with_promo.predict(past, future=lost, prediction_length=HORIZON)
    unknown = future.with_columns(promo=pl.lit(None, pl.Float64))
    with pytest.raises(
        DataError, match=r"column 'promo': must be known at every .* \(56 such rows"
    ):
        with_promo.predict(past, future=unknown, prediction_length=HORIZON)
    with pytest.raises(DataError, match="future must have the column 'item_id', got"):
        with_promo.predict(past, future=future.drop("item_id"), prediction_length=HORIZON)


def test_columns_that_cannot_be_covariates_are_refused(model):
    past, future, _ = shops()
    options = {"prediction_length": HORIZON}
    text = past.with_columns(kind=pl.lit("a"))
    for covariates, error, message in (
        (["price"], DataError, r"covariates must be columns of the data, got \['price'\]"),
        (["target"], ConfigError, r"other columns than id, timestamp and target, got \['target'\]"),
        (["kind"], DataError, "column 'kind': a covariate must be a number .* got String; make"),
        ([], ConfigError, "covariates must name at least one column, got none; name columns"),
    ):
        with pytest.raises(error, match=message):
            CovariateForecaster(model, covariates=covariates).predict(text, **options)
    with pytest.raises(
        ConfigError, match=r"covariates must be a list of columns, got 'promo'; pass"
    ):
        tsfm.forecast(past, covariates="promo", future=future, **options)
    changing = CovariateForecaster(model, static_covariates=["promo"])
    with pytest.raises(
        DataError, match="column 'promo': a static covariate must have one value, g"
    ):
        changing.predict(past, **options)


@pytest.mark.usefixtures("as_users_call")
def test_covariates_that_are_no_list_are_refused_and_none_are_none(model):
    past, future, _ = shops(n_items=1)
    for name in ("covariates", "static_covariates"):
        with pytest.raises(ConfigError, match=f"{name} must be a list of columns, got 5; pass"):
            tsfm.forecast(past, prediction_length=HORIZON, model=model, **{name: 5})
    options = {"prediction_length": HORIZON, "model": model, "future": future}
    found = tsfm.forecast(past, static_covariates=None, **options)
    assert found.equals(tsfm.forecast(past, **options))


def test_a_lag_reaches_into_its_own_item_only():
    values = np.arange(1.0, 8)[:, None]
    lagged, newest = lag(values, np.array([0, 4, 7]), 2)
    nan = np.nan
    np.testing.assert_array_equal(lagged[:, 0], [nan, nan, 1, 2, nan, nan, 5])
    np.testing.assert_array_equal(newest[..., 0], [[3, 4], [6, 7]])
    short, ahead = lag(values[:1], np.array([0, 1]), 3)
    assert np.isnan(short).all()
    np.testing.assert_array_equal(ahead[..., 0], [[nan, nan, 1]])


def test_ridge_finds_what_is_there_and_leaves_out_what_is_not(generator):
    columns = generator.normal(size=(400, 3))
    late = np.arange(400) >= 320
    weights, centre = fit_ridge(columns + 5, 2 * columns[:, 1] + 7, late)
    np.testing.assert_allclose(weights, [0, 2, 0], atol=0.01)
    np.testing.assert_allclose(centre, columns.mean(0) + 5)
    chance = np.where(late, -1.0, 1.0) * columns[:, 0]
    np.testing.assert_array_equal(fit_ridge(columns, chance, late)[0], 0)


def test_facts_of_items_multiply_every_covariate():
    table = CovariateTable(
        np.array([[1.0], [2.0], [3.0]]),
        np.array([[[4.0]], [[5.0]]]),
        ("x",),
        np.array([[0.0], [2.0]]),
    )
    found = design(table, np.array([0, 2, 3]), 1)
    np.testing.assert_array_equal(found.past, [[1, -1, -1], [2, -1, -2], [3, 1, 3]])
    np.testing.assert_array_equal(found.future, [[[4, -1, -4]], [[5, 1, 5]]])
