"""One slipped value among hundreds must not flatten what is read of all others."""

import numpy as np
import polars as pl
import pytest

import tsfm
from tsfm.tasks.forecasting.outliers import outliers, without_outliers

NAN = float("nan")


def wave(n_steps: int) -> np.ndarray:
    return 10 + np.sin(np.arange(n_steps) * 2 * np.pi / 24)


def places(*values: float) -> list[int]:
    row = np.array([values], np.float64)
    return np.flatnonzero(outliers(row, np.isfinite(row))).tolist()


@pytest.mark.parametrize("size", [300.0, -9999.0, 1e6, 1e300, -1.7e308])
def test_a_value_far_from_all_others_is_found(size):
    values = wave(200)
    values[50] = size
    assert places(*values) == [50]


@pytest.mark.parametrize(
    "values",
    [
        wave(200),
        np.exp(wave(200)),
        2.0 ** np.arange(40),  # every value is far from those before it
        [0.0] * 20 + [7.0] + [0.0] * 20,  # peaks are what it consists of
        [1.0, 2, 1, 2, 1, 900, 1],  # too few to say what is usual
        np.append(wave(200), [900.0, 901.0]),  # perhaps the level from now on
        np.full(20, NAN),
    ],
    ids=["wave", "peaks", "growth", "intermittent", "few", "new level", "nothing"],
)
def test_what_may_belong_to_a_series_stays(values):
    assert places(*values) == []


def test_one_in_a_hundred_may_be_an_outlier_and_no_more():
    values = wave(300)
    values[[40, 90, 200]] = 500.0
    assert places(*values) == [40, 90, 200]
    values[::20] = 500.0
    assert places(*values) == []


def test_rows_of_a_batch_do_not_know_of_each_other():
    rows = np.stack([wave(100), 1e6 * wave(100), wave(100)])
    rows[0, 30] = rows[2, 60] = 1e6
    rows[:, :10] = NAN
    expected = np.zeros(rows.shape, bool)
    expected[[0, 2], [30, 60]] = True
    np.testing.assert_array_equal(outliers(rows, np.isfinite(rows)), expected)


def test_items_end_to_end_lose_their_own_outliers_and_the_argument_keeps_them():
    values, offsets = np.concatenate([wave(60), wave(60)]), np.array([0, 60, 60, 120])
    values[[20, 80]] = 1e6
    cleaned = without_outliers(values, offsets, np.array([1, 2]))
    assert np.flatnonzero(np.isnan(cleaned)).tolist() == [80]
    assert values[80] == 1e6


@pytest.mark.parametrize("size", [100.0, -9999.0, 1e6, 1e300])
def test_a_forecast_is_that_without_the_outlier(size):
    values = wave(400)
    forecast = {}
    for name, slipped in (("without", NAN), ("with", size)):
        values[300] = slipped
        frame = pl.DataFrame({"timestamp": range(400), "target": values})
        forecast[name] = tsfm.forecast(frame, prediction_length=24)
    assert forecast["with"].equals(forecast["without"])
    assert np.abs(forecast["with"]["predictions"].to_numpy() - wave(424)[400:]).max() < 0.1


@pytest.mark.parametrize("place", [150, 199, 220], ids=["apart", "before the gap", "after it"])
@pytest.mark.parametrize("size", [-9999.0, 1e6])
def test_a_gap_is_filled_from_what_is_ordinary_and_the_outlier_is_handed_back(place, size):
    values = wave(400)
    values[200:220], values[place] = NAN, size
    filled = tsfm.impute(pl.DataFrame({"timestamp": range(400), "target": values}))
    found = filled["target"].to_numpy()
    assert np.abs(found[200:220] - wave(400)[200:220]).max() < 0.3
    assert found[place] == size
    assert filled.filter("target_imputed").height == 20


def test_an_embedding_is_that_without_the_outlier():
    values = np.stack([wave(200), wave(200)])
    values[:, 80] = 1e6, NAN
    frame = pl.DataFrame(
        {
            "item_id": np.repeat([1, 2], 200),
            "timestamp": [*range(200)] * 2,
            "target": values.ravel(),
        }
    )
    vectors = tsfm.embed(frame).drop("item_id").to_numpy()
    np.testing.assert_array_equal(vectors[0], vectors[1])
