"""A scale that saw later steps would leak them into training."""

import numpy as np
import pytest

from tsfm.series.scaling import LARGEST, SeriesScaler

NAN = np.nan


def test_only_the_training_part_counts() -> None:
    values = np.array([1.0, 3.0, 1e6, 2.0, 4.0, 6.0])
    offsets, train = np.array([0, 3, 6]), np.array([2, 3])
    scaler = SeriesScaler.fit(values, offsets, train)
    assert scaler.loc == pytest.approx([2.0, 4.0])
    assert scaler.scale == pytest.approx([1.0, np.std([2, 4, 6])])


def test_missing_values_do_not_count() -> None:
    values = np.array([NAN, 1.0, NAN, 3.0, NAN, NAN])
    scaler = SeriesScaler.fit(values, np.array([0, 4, 6]), np.array([4, 2]))
    assert scaler.loc == pytest.approx([2.0, 0.0])
    assert scaler.scale == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, -1e30, 1e-30])
def test_a_constant_series_has_scale_one(constant: float) -> None:
    scaler = SeriesScaler.fit(np.full(7, constant), np.array([0, 7]), np.array([7]))
    assert scaler.scale.tolist() == [1.0]
    assert scaler.loc == pytest.approx([constant], rel=1e-12)


@pytest.mark.parametrize("factor", [1e-200, 1e-30, 1.0, 1e30, 1e200])
def test_scaled_values_do_not_depend_on_the_unit(factor: float, generator) -> None:
    values = generator.standard_normal(50)
    offsets, train = np.array([0, 50]), np.array([45])
    plain = SeriesScaler.fit(values, offsets, train).transform(values, offsets)
    other = SeriesScaler.fit(values * factor, offsets, train).transform(values * factor, offsets)
    assert other == pytest.approx(plain, rel=1e-5, abs=1e-6)


def test_inverse_undoes_transform(generator) -> None:
    values, offsets = generator.standard_normal(60) * 7 + 100, np.array([0, 20, 60])
    scaler = SeriesScaler.fit(values, offsets, np.array([18, 36]))
    scaled = scaler.transform(values, offsets)
    assert scaled.dtype == np.float32
    back = scaler.inverse(scaled[None, 20:], np.array([1]))
    assert back[0] == pytest.approx(values[20:], rel=1e-6)


def test_what_float32_cannot_hold_stays_finite_and_missing_stays_missing() -> None:
    values = np.array([1.0, 1.0, 1e300, -1e300, NAN])
    scaler = SeriesScaler.fit(values, np.array([0, 5]), np.array([2]))
    scaled = scaler.transform(values, np.array([0, 5]))
    assert scaled[2:4].tolist() == [LARGEST, -LARGEST]
    assert np.isnan(scaled[4])
