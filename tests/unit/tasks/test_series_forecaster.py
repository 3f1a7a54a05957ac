"""Series of any kind, short, huge, gappy or empty: each has a forecast, or is refused by name."""

import sys

import numpy as np
import polars as pl
import pytest

from tsfm.errors import DataError, NotCalibratedError
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.array_forecast import array_forecast
from tsfm.tasks.forecasting.quantiles import DECILES

NAN = float("nan")


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small", device="cpu")


def steps(**targets) -> pl.DataFrame:
    """One item with integer steps."""
    (length,) = {len(values) for values in targets.values()}
    return pl.DataFrame({"timestamp": range(length), **targets}, strict=False)


def wave(n_steps: int) -> np.ndarray:
    return 10 + np.sin(np.arange(n_steps) * 2 * np.pi / 12)


# Plain series


def test_a_season_is_forecast(model):
    found = model.predict(steps(target=wave(240)), prediction_length=24)
    np.testing.assert_allclose(found["predictions"], wave(264)[240:], atol=0.1)


def test_integers_and_booleans_are_forecast_as_numbers(model):
    counts = [0, 1, 1, 0] * 10
    expected = model.predict(steps(target=[float(x) for x in counts]), prediction_length=3)
    for kind in (pl.Int8, pl.UInt64, pl.Boolean, pl.Float32):
        frame = steps(target=counts).with_columns(pl.col("target").cast(kind))
        assert model.predict(frame, prediction_length=3).equals(expected)


# Awkward series


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 1e30, 1e-30, 1e300, -1.7e308, 1e-310])
@pytest.mark.parametrize("length", [1, 2, 17, 100])
def test_a_constant_goes_on_to_the_bit(model, value, length):
    found = model.predict(
        steps(target=[value] * length), prediction_length=70, quantile_levels=[0.01, 0.5, 0.99]
    )
    np.testing.assert_array_equal(found.select("predictions", "0.01", "0.5", "0.99"), value)


@pytest.mark.parametrize("magnitude", [1e-300, 1e-30, 1e30, 1e300])
def test_a_forecast_is_as_large_as_its_series(model, magnitude):
    ordinary = model.predict(steps(target=wave(60)), prediction_length=20)
    found = model.predict(steps(target=wave(60) * magnitude), prediction_length=20)
    numbers = pl.exclude("item_id", "timestamp", "target_name")
    np.testing.assert_allclose(
        found.select(numbers), ordinary.select(numbers) * magnitude, rtol=1e-5
    )


def test_what_no_float_can_hold_is_the_largest_one(model):
    values = [0.0, -1.7e308, 1.7e308, 1.7e308] * 10
    found = Forecaster(model.model, views=False).predict(
        steps(target=values), prediction_length=10, quantile_levels=[0.00001, 0.99999]
    )
    numbers = found.select("predictions", "1e-05", "0.99999").to_numpy()
    assert np.isfinite(numbers).all()
    assert np.abs(numbers).max() == sys.float_info.max


@pytest.mark.parametrize(
    "gaps",
    [slice(0, 30), slice(90, 100), slice(40, 60), slice(0, 99), slice(1, 100), slice(0, 100, 2)],
    ids=["leading", "trailing", "middle", "all but the last", "all but the first", "every other"],
)
def test_gaps_are_no_obstacle(model, gaps):
    values = wave(100)
    values[gaps] = NAN
    found = model.predict(steps(target=values), prediction_length=20)
    assert found["timestamp"].to_list() == list(range(100, 120))
    assert found["predictions"].is_between(5, 15).all()


def test_a_missing_row_is_a_missing_value(model):
    frame = steps(target=wave(60))
    without = frame.filter(~pl.col("timestamp").is_between(20, 33))
    as_null = frame.with_columns(
        pl.when(~pl.col("timestamp").is_between(20, 33)).then(pl.col("target"))
    )
    assert model.predict(without, prediction_length=5).equals(
        model.predict(as_null, prediction_length=5)
    )


@pytest.mark.parametrize("n_before", [1, 16, 40, 3000])
def test_a_series_begins_with_its_first_value(model, n_before):
    """In a panel that was wide, young items start with missing values."""
    young = np.concatenate([np.full(n_before, NAN), wave(48)])
    found, expected = (
        model.predict(steps(target=values), prediction_length=9).drop("timestamp")
        for values in (young, wave(48))
    )
    assert found.equals(expected)


def test_a_horizon_far_beyond_the_model_is_finite_and_tame(model):
    found = model.predict(steps(target=wave(200)), prediction_length=2000)
    assert found.height == 2000
    assert found["timestamp"].to_list() == list(range(200, 2200))
    numbers = found.select("predictions", *map(str, DECILES)).to_numpy()
    assert (np.diff(numbers[:, 1:]) >= 0).all()
    assert numbers.min() > 0
    assert numbers.max() < 20


@pytest.mark.parametrize("n_items", [1, 3, 40])
def test_a_tiny_batch_is_read_as_a_larger_one(model, n_items):
    """Short products end in other last bits, so a series would depend on its neighbours."""
    seen = []
    hook = model.model.backbone.blocks[0].register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].shape)
    )
    values, offsets = np.arange(1, 1 + 2.0 * n_items)[:, None], 2 * np.arange(n_items + 1)
    found = model.forecast_arrays(values, offsets, 3, (0.5,))
    hook.remove()
    (shape,) = seen
    assert shape[0] * shape[1] == max(16, n_items)
    assert found.shape == (n_items, 1, 3, 1)
    np.testing.assert_allclose(found[-1], found[0] + 2 * (n_items - 1), rtol=1e-5)


def test_a_series_without_values_has_no_forecast(model):
    values = np.array([NAN, NAN, 1.0, 2.0])[:, None]
    found = model.forecast_arrays(values, np.array([0, 0, 2, 4]), 3, (0.5,))
    np.testing.assert_array_equal(np.isnan(found[:, 0, :, 0]).all(1), [True, True, False])
    assert np.isfinite(found[2]).all()


# Context


def test_only_the_context_is_read(model):
    values = wave(100)
    expected = model.predict(steps(target=values[-30:]), prediction_length=5)
    found = model.predict(steps(target=values), prediction_length=5, context_length=30)
    assert found.drop("timestamp").equals(expected.drop("timestamp"))
    other = model.predict(steps(target=values), prediction_length=5)
    assert not found.equals(other)


def test_a_context_longer_than_the_series_or_the_model_changes_nothing(model):
    frame = steps(target=wave(100))
    expected = model.predict(frame, prediction_length=5)
    assert model.predict(frame, prediction_length=5, context_length=101).equals(expected)
    long = steps(target=wave(2100))
    assert model.predict(long, prediction_length=2, context_length=9999).equals(
        model.predict(long, prediction_length=2, context_length=model.model.context_length)
    )


def test_a_saved_forecaster_keeps_its_views(model, tmp_path):
    plain = Forecaster(model.model, views=False)
    loaded = Forecaster.from_pretrained(plain.save_pretrained(tmp_path / "plain"))
    assert loaded.views is False
    assert model.views is True  # the weights are shared, what is said of them is not
    again = Forecaster(loaded.model, views=True).save_pretrained(tmp_path / "again")
    assert Forecaster.from_pretrained(again).views is True


def test_the_checkpoint_says_how_much_is_read_by_default(model):
    assert (model.usual_context, model.model.context_length) == (1024, 2048)
    assert Forecaster(model.model, views=False).usual_context == 2048
    long = np.random.default_rng(0).normal(size=(4000, 1)).cumsum(0)
    late, offsets = long[-1024:], np.array([0, 1024])
    plain = [
        one.forecast_arrays(long, np.array([0, 4000]), 3, (0.5,), context_length=n)
        for one, n in ((model, 1024), (model, 2048))
    ]
    assert not np.array_equal(*plain)
    np.testing.assert_array_equal(plain[0], model.forecast_arrays(late, offsets, 3, (0.5,)))
    silent = TimeSeriesModel("timer", model.model.backbone, 640, Provenance())
    assert Forecaster(silent).usual_context == 640


# Point models


@pytest.mark.parametrize("normalization", ["causal", "window"])
def test_a_point_model_has_a_median_and_nothing_else(make_forecaster, normalization):
    model = make_forecaster(normalization)
    found = model.predict(steps(target=wave(30)), prediction_length=11, quantile_levels=[0.5])
    assert found["predictions"].equals(found["0.5"])
    assert found["predictions"].is_finite().all()
    with pytest.raises(NotCalibratedError, match=r"must be \[0\.5\] for .* got \[0\.1, 0\.5\]"):
        model.predict(steps(target=wave(30)), prediction_length=1, quantile_levels=[0.1, 0.5])


def test_a_constant_goes_on_in_a_point_model_too(make_forecaster):
    for normalization in ("causal", "window"):
        found = make_forecaster(normalization).predict(
            steps(target=[0.1] * 9), prediction_length=30, quantile_levels=[0.5]
        )
        assert set(found["predictions"]) == {0.1}


# Refusals


def test_an_item_without_values_is_named(model, tiny_frame):
    frame = tiny_frame.with_columns(load=pl.when(pl.col("item_id") != "b").then(pl.col("target")))
    with pytest.raises(
        DataError,
        match=r"item 'b', column 'load': must have a value, got only missing ones \(1 such",
    ):
        model.predict(frame, prediction_length=1, target=["target", "load"])


def test_an_item_without_values_in_its_context_is_named(model):
    values = np.append(wave(40), [NAN] * 8)
    model.predict(steps(target=values), prediction_length=1, context_length=9)
    with pytest.raises(DataError, match=r"item '0'.* must have a value in its last 8 steps"):
        model.predict(steps(target=values), prediction_length=1, context_length=8)


def test_all_targets_of_all_items_are_read_together(model):
    values = np.stack([wave(48) * scale for scale in range(1, 26)], axis=1)
    offsets, batches = np.array([0, 24, 24, 48]), []

    def read(batch, horizon):
        batches.append(len(batch.rows))
        last = batch.values[:, [-1]]
        return np.repeat(last[:, None], len(DECILES), 1).repeat(horizon, 2)

    options = {"context_length": 64, "batch_size": 256, "read": read}
    found = array_forecast(model.model, values, offsets, 2, [0.5], **options)
    assert sorted(batches) == [25, 50]  # those without a step, and the others
    assert np.isnan(found[1]).all()
    np.testing.assert_allclose(found[[0, 2], 0, 1], values[[23, 47]])
