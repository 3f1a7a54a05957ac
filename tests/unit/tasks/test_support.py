"""Forecasts must not say what cannot happen, and must stay as they are where anything can."""

import numpy as np
import pytest

from tsfm.tasks.forecasting.support import within_support

QUANTILES = np.array([-0.7, 0.2, 1.6])


def supported(*pasts: list[float]) -> np.ndarray:
    values = np.concatenate([np.array(past, float) for past in pasts])[:, None]
    offsets = np.cumsum([0, *map(len, pasts)])
    quantiles = np.tile(QUANTILES, (len(pasts), 1))[:, :, None, None]
    return within_support(quantiles, values, offsets, 64)[:, :, 0, 0]


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ([0, 2, 0, 1], [0, 0, 2]),
        ([0, 2, np.nan, 1], [0, 0, 2]),
        ([0.0, 2.5, 0.0, 1.0], [0, 0.2, 1.6]),
        ([-1, 2, 0, 1], [-0.7, 0.2, 1.6]),
        ([1, 2, 3, 4], [-0.7, 0.2, 1.6]),
        ([0, *range(1, 40)], [-0.7, 0.2, 1.6]),
        ([-1, *[0] * 64], [0, 0, 2]),
    ],
    ids=[
        "count",
        "count with a gap",
        "floor",
        "negative",
        "no zero",
        "one zero in many",
        "before the context",
    ],
)
def test_the_past_says_what_can_happen(past: list[float], expected: list[float]) -> None:
    assert supported(past)[0].tolist() == expected


def test_every_item_has_its_own_support() -> None:
    found = supported([0, 1, 0], [-5, 0, 0], [0.5, 0, 0])
    assert found.tolist() == [[0, 0, 2], [-0.7, 0.2, 1.6], [0, 0.2, 1.6]]


def test_rounded_quantiles_still_do_not_cross() -> None:
    quantiles = np.sort(np.random.default_rng(0).normal(size=(1, 9, 20, 1)), axis=1)
    found = within_support(quantiles, np.array([[0.0], [1.0]]), np.array([0, 2]), 64)
    assert (np.diff(found, axis=1) >= 0).all()


def test_an_item_without_steps_is_left_alone() -> None:
    quantiles = np.full((3, 1, 1, 1), -0.4)
    found = within_support(quantiles, np.zeros((2, 1)), np.array([0, 0, 2, 2]), 64)
    assert found.ravel().tolist() == [-0.4, 0.0, -0.4]
