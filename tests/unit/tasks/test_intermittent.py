"""Short counts that are mostly zero are drawn toward their past; others are left alone."""

import numpy as np
import pytest

from tsfm.tasks.forecast import Forecaster
from tsfm.tasks.forecasting.intermittent import FULL_UNTIL, NONE_FROM, WEIGHT, toward_past

LEVELS = (0.1, 0.5, 0.9)
FORECAST = np.array([1.0, 2.0, 3.0])
SPARSE = (0.0, 0.0, 8.0)


def drawn(past: list[float], context_length: int = 512) -> list[float]:
    values = np.array(past, float)[:, None]
    quantiles = np.tile(FORECAST[:, None, None], (1, 1, 4, 1)).reshape(1, 3, 4, 1)
    found = toward_past(quantiles, LEVELS, values, np.array([0, len(past)]), context_length)
    assert (found == found[:, :, :1]).all()
    return found[0, :, 0, 0].tolist()


def sparse(length: int, sale: float = 8.0) -> list[float]:
    return [sale if step % 4 == 0 else 0.0 for step in range(length)]


def mixed(weight: float) -> list[float]:
    """The forecast, with the quantiles of `sparse` for their share."""
    return [
        (1 - weight) * ours + weight * past for ours, past in zip(FORECAST, SPARSE, strict=True)
    ]


def test_quantiles_meet_those_of_the_past_part_of_the_way() -> None:
    assert drawn(sparse(40)) == pytest.approx(mixed(WEIGHT))
    assert drawn([*sparse(40), np.nan, np.nan]) == pytest.approx(mixed(WEIGHT))


@pytest.mark.parametrize(
    "past",
    [sparse(NONE_FROM), sparse(40, 8.5), sparse(40, -8), [8.0, 0.0, 0.0] * 12, [5.0] * 40],
    ids=["long", "no count", "negative", "often not zero", "never zero"],
)
def test_other_series_are_left_alone(past: list[float]) -> None:
    assert drawn(past) == FORECAST.tolist()


def test_the_weight_falls_with_what_is_known() -> None:
    middle = (FULL_UNTIL + NONE_FROM) // 2
    assert drawn([*sparse(middle - 3), 0.0, 0.0, 0.0]) == pytest.approx(mixed(WEIGHT / 2))


def test_only_the_context_is_the_past() -> None:
    assert drawn([*[1000.0] * 20, *sparse(40)], context_length=40) == pytest.approx(mixed(WEIGHT))


def test_forecasts_of_many_items_are_those_of_each(generator: np.random.Generator) -> None:
    model = Forecaster.from_pretrained("tsfm-small")
    pasts = [np.array(sparse(44)), generator.normal(size=60).cumsum(), np.array(sparse(30, 3.0))]
    joined = np.concatenate(pasts)[:, None]
    offsets = np.cumsum([0, *map(len, pasts)])
    together = model.forecast_arrays(joined, offsets, 6, LEVELS)
    plain = Forecaster(model.model, views=False).forecast_arrays(joined, offsets, 6, LEVELS)
    assert not np.array_equal(together[0], plain[0])
    np.testing.assert_array_equal(together[1], plain[1])
    for item, past in enumerate(pasts):
        alone = model.forecast_arrays(past[:, None], np.array([0, len(past)]), 6, LEVELS)
        np.testing.assert_array_equal(together[item], alone[0])
