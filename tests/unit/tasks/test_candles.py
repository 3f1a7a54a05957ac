"""A candle whose low is above its open has lost a trader's trust: none may ever come out."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.errors import ConfigError, DataError
from tsfm.tasks.candles import (
    LEVELS,
    at_sampled_levels,
    candle_parts,
    candles_of,
    forecast_candles,
    impossible,
    sample_levels,
)
from tsfm.tasks.forecast import Forecaster

BARS = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def forecaster() -> Forecaster:
    return Forecaster.from_pretrained("tsfm-small")


def made_candles(n_items: int, n_days: int, seed: int = 0) -> pl.DataFrame:
    """Walks of which some have a price of a hundredth and some wild days."""
    generator = np.random.default_rng(seed)
    frames = []
    for item in range(n_items):
        moves = generator.standard_t(3, (n_days, 4)) * 0.02
        close = 10.0 ** (item % 5 - 2) * np.exp(moves[:, 0].cumsum())
        opening = np.concatenate([close[:1], close[:-1]]) * np.exp(moves[:, 1] / 4)
        content = {
            "item_id": [f"item {item}"] * n_days,
            "timestamp": np.busday_offset(np.datetime64("2016-01-04"), np.arange(n_days)),
            "open": opening,
            "high": np.maximum(opening, close) * np.exp(np.abs(moves[:, 2])),
            "low": np.minimum(opening, close) / np.exp(np.abs(moves[:, 3])),
            "close": close,
            "volume": np.round(np.exp(generator.normal(9, 1, n_days))),
        }
        frames.append(pl.DataFrame(content))
    return pl.concat(frames)


def test_of_a_hundred_thousand_candles_none_is_impossible(forecaster: Forecaster) -> None:
    frame = made_candles(20, 160)
    found = forecast_candles(
        frame, prediction_length=5, n_samples=1000, volume="volume", model=forecaster
    )
    assert found.shape == (100_000, 8)
    assert found.columns == ["item_id", "timestamp", "sample", *BARS, "volume"]
    candles = found.select(*BARS, "volume").to_numpy()
    assert np.isfinite(candles).all()
    assert int(impossible(candles).sum()) == 0
    # The future is five business days for every item and sample.
    assert found["timestamp"].n_unique() == 5
    assert found["timestamp"].min() > frame["timestamp"].max()
    # Samples spread as the past did, and the days follow one another.
    first = found.filter((pl.col("item_id") == "item 2") & (pl.col("sample") == 0))
    last = frame.filter(pl.col("item_id") == "item 2")["close"][-1]
    assert abs(np.log(first["close"][0] / last)) < 1


@given(
    st.integers(0, 10_000),
    st.floats(1e-6, 1e6),
    st.floats(0.0, 20.0),
)
@settings(max_examples=50)
def test_whatever_is_sampled_is_a_candle(seed: int, price: float, size: float) -> None:
    parts = np.random.default_rng(seed).standard_cauchy((20, 3, 5)) * size
    candles = candles_of(parts, price)
    assert np.isfinite(candles).all()
    assert not impossible(candles).any()


def test_parts_and_candles_are_inverse() -> None:
    frame = made_candles(1, 40)
    candles = frame.select(*BARS, "volume").to_numpy()
    parts = candle_parts(candles, np.array([0, 40]))
    assert np.isnan(parts[0, :2]).all()
    again = candles_of(parts[None, 1:], candles[0, 3])[0]
    np.testing.assert_allclose(again, candles[1:], rtol=1e-9)


def test_a_gap_is_bridged_and_items_do_not_touch() -> None:
    candles = np.tile([2.0, 2.0, 2.0, 2.0], (6, 1))
    candles[2], candles[4:] = np.nan, 8.0
    parts = candle_parts(candles, np.array([0, 4, 6]))
    np.testing.assert_array_equal(np.isnan(parts[:, 0]), [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(parts[[1, 3, 5]], 0.0)


def test_levels_are_uniform_and_hang_together_as_the_past(
    generator: np.random.Generator,
) -> None:
    base = generator.normal(size=(500, 1))
    past = np.concatenate([base, base + generator.normal(0, 0.3, (500, 1)), -base], axis=1)
    levels = sample_levels(past, 4, 3000, generator)
    assert levels.shape == (3000, 4, 3)
    assert ((levels > 0) & (levels < 1)).all()
    np.testing.assert_allclose(
        np.quantile(levels[:, 2], [0.1, 0.5, 0.9], axis=0),
        [[0.1] * 3, [0.5] * 3, [0.9] * 3],
        atol=0.03,
    )
    found = np.corrcoef(levels[:, 1].T)
    expected = np.corrcoef(np.argsort(np.argsort(past, axis=0), axis=0).T)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_samples_at_a_trained_level_are_its_quantile() -> None:
    quantiles = np.linspace(-1, 1, len(LEVELS))[:, None, None] * np.ones((1, 2, 3))
    for place, level in enumerate(LEVELS):
        found = at_sampled_levels(quantiles, np.full((1, 2, 3), level))
        np.testing.assert_allclose(found, quantiles[place, 0, 0], atol=1e-9)
    assert (at_sampled_levels(quantiles, np.full((1, 2, 3), 1e-9)) == -1).all()


def test_seeds_and_frames(forecaster: Forecaster) -> None:
    frame = made_candles(2, 80)
    options: dict[str, Any] = {"prediction_length": 2, "n_samples": 3, "model": forecaster}
    first = forecast_candles(frame, **options)
    assert forecast_candles(frame, **options).equals(first)
    assert not forecast_candles(frame, **options, seed=1).equals(first)
    pandas = forecast_candles(frame.to_pandas(), **options)
    assert isinstance(pandas, pd.DataFrame)
    np.testing.assert_array_equal(pandas["close"], first["close"])
    # A price in another currency is another price only.
    scaled = frame.with_columns(pl.col(BARS) * 7.0)
    np.testing.assert_allclose(
        forecast_candles(scaled, **options)["low"], 7 * first["low"].to_numpy(), rtol=1e-4
    )


def test_an_impossible_past_is_named() -> None:
    frame = made_candles(2, 40)
    low = pl.col("low")
    wrong = frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 45).then(low * 9).otherwise(low).alias("low")
    )
    with pytest.raises(
        DataError, match=r"its low at the bottom .* of 'item 1' at 2016-01-11.* 0 m"
    ):
        forecast_candles(wrong, prediction_length=1)
    with pytest.raises(ConfigError, match=r"seed must be a whole number .*, got -1"):
        forecast_candles(frame, prediction_length=1, seed=-1)
    with pytest.raises(ConfigError, match="prices must be the columns of"):
        forecast_candles(frame, prediction_length=1, prices=["close"])
