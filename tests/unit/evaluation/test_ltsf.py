"""Windows of the long-term protocol: how many there are and what they hold decides its numbers."""

import numpy as np
import pytest
from pydantic import ValidationError

from tsfm.errors import DataError
from tsfm.evaluation import ltsf
from tsfm.evaluation.ltsf import LtsfConfig, _ordinal, _repeat, window_errors
from tsfm.series.ltsf_set import LtsfSet


def config(**changes) -> LtsfConfig:
    values = {
        "protocol": "ltsf",
        "models": (),
        "datasets": ("toy",),
        "horizons": (2, 5),
        "context_length": 4,
    }
    return LtsfConfig(**{**values, **changes})


def toy_set(generator: np.random.Generator) -> LtsfSet:
    values = generator.normal(size=(60, 3))
    return LtsfSet(name="toy", values=values, train_end=30, test_start=40, seasonality=2)


def by_hand(data: LtsfSet, horizon: int, stride: int = 1) -> tuple[float, float, int]:
    """Repeat the last value, with a loop over windows, channels and steps."""
    errors, n_windows = [], 0
    for origin in range(data.test_start, len(data.values) - horizon + 1, stride):
        n_windows += 1
        for channel in range(data.values.shape[1]):
            last = data.values[origin - 1, channel]
            errors += [data.values[origin + step, channel] - last for step in range(horizon)]
    return np.mean(np.square(errors)), np.mean(np.abs(errors)), n_windows


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("values_per_chunk", [1, 100, 10**6])
def test_errors_equal_a_loop_whatever_the_chunk(generator, monkeypatch, stride, values_per_chunk):
    monkeypatch.setattr(ltsf, "VALUES_PER_CHUNK", values_per_chunk)
    data = toy_set(generator)
    found = window_errors(data, _repeat(1, 5), config(stride=stride))
    for row in found:
        mse, mae, n_windows = by_hand(data, row["horizon"], stride)
        assert (row["mse"], row["mae"]) == pytest.approx((mse, mae))
        assert row["n_windows"] == n_windows


def test_a_horizon_longer_than_the_test_rows_has_no_window(generator):
    data = toy_set(generator)
    found = window_errors(data, _repeat(1, 30), config(horizons=(2, 30)))
    assert found[1] == {"horizon": 30, "mse": None, "mae": None, "n_windows": 0}
    assert found[0]["mse"] == pytest.approx(by_hand(data, 2)[0])


def test_a_season_is_repeated():
    found = _repeat(2, 5)(np.array([[9.0, 1.0, 2.0]]))
    np.testing.assert_array_equal(found, [[1.0, 2.0, 1.0, 2.0, 1.0]])


def test_a_context_longer_than_what_precedes_the_test_is_refused(generator):
    data = toy_set(generator)
    with pytest.raises(DataError, match="toy must have a context of 41 steps"):
        window_errors(data, _repeat(1, 5), config(context_length=41))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizons": (5, 2)}, r"horizons must ascend, got \[5, 2\]"),
        ({"horizons": (2, 2)}, r"horizons must ascend, got \[2, 2\]"),
        ({"horizons": ()}, r"horizons must ascend, got \[\]"),
        ({"stride": 0}, "at least 1 step, got stride=0"),
    ],
)
def test_wrong_settings_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        config(**changes)


def test_ordinals_read_as_english():
    assert [_ordinal(n) for n in (2, 3, 8, 11, 21)] == ["2nd", "3rd", "8th", "11th", "21st"]
