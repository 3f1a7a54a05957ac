"""What holds for every forecast, whatever the series: neighbours, units and order do not matter."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.tasks.forecast import Forecaster

MODEL = "tsfm-small"
LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
KINDS = ("walk", "wave", "counts", "spikes", "tails")


@pytest.fixture(scope="module")
def model() -> Forecaster:
    return Forecaster.from_pretrained(MODEL, device="cpu")


def draw(kind: str, n_steps: int, seed: int) -> np.ndarray:
    """Draw a series with a tenth of its values missing, never the first one."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=n_steps)
    values = {
        "walk": noise.cumsum(),
        "wave": np.sin(np.arange(n_steps) / generator.uniform(1, 9)) + 0.1 * noise,
        "counts": generator.poisson(0.7, n_steps).astype(float),
        "spikes": np.where(generator.random(n_steps) < 0.05, 100 * noise, 0.01 * noise),
        "tails": generator.standard_t(1.5, n_steps),
    }[kind]
    values[1:][generator.random(n_steps - 1) < 0.1] = np.nan
    return values


LENGTHS, SEEDS = st.integers(1, 150), st.integers(0, 10**6)
SERIES = st.builds(draw, st.sampled_from(KINDS), LENGTHS, SEEDS)
# Counts are forecast in whole numbers and not below zero: for them a unit is more than a scale.
UNBOUNDED = st.builds(
    draw,
    st.sampled_from([kind for kind in KINDS if kind != "counts"]),
    LENGTHS,
    SEEDS,
)
MANY = st.lists(SERIES, min_size=2, max_size=8)
HORIZONS = st.sampled_from([1, 16, 17, 64, 65, 130])


def forecast(model: Forecaster, *series: np.ndarray, horizon: int, **options) -> np.ndarray:
    """Return quantiles as item, quantile and step."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    values = np.concatenate(series)[:, None]
    return model.forecast_arrays(values, offsets, horizon, LEVELS, **options)[..., 0]


def spread(series: np.ndarray) -> float:
    return float(np.nanstd(series)) + 1e-9 * float(np.nanmax(np.abs(series)))


@given(series=MANY, horizon=HORIZONS, batch_size=st.integers(1, 9))
@settings(max_examples=12)
def test_neighbours_and_batches_do_not_matter(model, series, horizon, batch_size):
    together = forecast(model, *series, horizon=horizon, batch_size=batch_size)
    for item, one in enumerate(series):
        alone = forecast(model, one, horizon=horizon)[0]
        np.testing.assert_allclose(together[item], alone, rtol=1e-5, atol=1e-5 * spread(one))


@given(series=MANY, horizon=HORIZONS)
@settings(max_examples=12)
def test_quantiles_are_finite_and_never_cross(model, series, horizon):
    found = forecast(model, *series, horizon=horizon)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=1) >= 0).all()


@given(series=UNBOUNDED, horizon=HORIZONS, exponent=st.integers(-900, 900))
@settings(max_examples=12)
def test_a_power_of_two_scales_the_forecast_to_the_bit(model, series, horizon, exponent):
    found = forecast(model, np.ldexp(series, exponent), horizon=horizon)
    np.testing.assert_array_equal(
        found, np.ldexp(forecast(model, series, horizon=horizon), exponent)
    )


@given(series=UNBOUNDED, horizon=HORIZONS, factor=st.floats(1e-6, 1e6))
@settings(max_examples=12)
def test_any_factor_scales_the_forecast(model, series, horizon, factor):
    found = forecast(model, series * factor, horizon=horizon) / factor
    expected = forecast(model, series, horizon=horizon)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * spread(series))


@given(series=UNBOUNDED, horizon=HORIZONS, constant=st.floats(-1e3, 1e3))
@settings(max_examples=12)
def test_a_constant_added_to_a_series_is_added_to_its_forecast(model, series, horizon, constant):
    found = forecast(model, series + constant * spread(series), horizon=horizon)
    expected = forecast(model, series, horizon=horizon) + constant * spread(series)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * spread(series))


@given(series=MANY, seed=st.integers(0, 10**6))
@settings(max_examples=8)
def test_the_order_of_rows_does_not_matter(model, series, seed):
    parts = [
        pl.DataFrame({"item_id": f"{n}", "timestamp": range(len(one)), "target": one})
        for n, one in enumerate(series)
    ]
    frame = pl.concat(parts)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    expected = model.predict(frame, prediction_length=3)
    assert model.predict(shuffled, prediction_length=3).equals(expected)


@given(series=MANY, seed=st.integers(0, 10**6))
@settings(max_examples=8)
def test_shuffled_items_have_shuffled_forecasts(model, series, seed):
    order = np.random.default_rng(seed).permutation(len(series))
    found = forecast(model, *(series[n] for n in order), horizon=20)
    expected = forecast(model, *series, horizon=20)
    for place, item in enumerate(order):
        close = {"rtol": 1e-5, "atol": 1e-5 * spread(series[item])}
        np.testing.assert_allclose(found[place], expected[item], **close)


@given(series=SERIES, ahead=st.integers(1, 64))
@settings(max_examples=12)
def test_a_shorter_horizon_is_the_beginning_of_a_longer_one(model, series, ahead):
    """Within the reach of one pass; farther ahead the model is asked another question."""
    longer = forecast(model, series, horizon=64)
    np.testing.assert_array_equal(forecast(model, series, horizon=ahead), longer[..., :ahead])
