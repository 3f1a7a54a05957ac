"""What holds for every fill: units, order, neighbours and the future do not matter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.tasks.impute import Imputer

KINDS = ("walk", "wave", "tails")
LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def two_sided() -> Imputer:
    return Imputer.from_pretrained("tsfm-fill", device="cpu")


@pytest.fixture(scope="module")
def causal() -> Imputer:
    return Imputer.from_pretrained("tsfm-small", device="cpu")


def draw(kind: str, n_steps: int, seed: int) -> np.ndarray:
    """Draw a series with single values and a stretch of them missing, but not all."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=n_steps)
    values = {
        "walk": noise.cumsum(),
        "wave": np.sin(np.arange(n_steps) / generator.uniform(1, 9)) + 0.1 * noise,
        "tails": generator.standard_t(1.5, n_steps),
    }[kind]
    values[generator.random(n_steps) < 0.15] = np.nan
    first = generator.integers(0, n_steps)
    values[first : first + generator.integers(1, 40)] = np.nan
    values[generator.integers(0, n_steps)] = 1.0
    return values


SERIES = st.builds(draw, st.sampled_from(KINDS), st.integers(2, 150), st.integers(0, 10**6))
MANY = st.lists(SERIES, min_size=2, max_size=6)


def fill(model: Imputer, *series: np.ndarray, **options) -> np.ndarray:
    """Return levels by step."""
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    return model.impute_arrays(np.concatenate(series)[:, None], offsets, LEVELS, **options)[..., 0]


def spread(series: np.ndarray) -> float:
    return float(np.nanstd(series)) + 1e-9 * float(np.nanmax(np.abs(series)))


@pytest.mark.parametrize("mode", ["two_sided", "causal"])
@given(series=SERIES)
@settings(max_examples=6)
def test_what_was_there_stays_and_levels_rise(request, mode: str, series: np.ndarray) -> None:
    found = fill(request.getfixturevalue(mode), series)
    seen = np.isfinite(series)
    assert np.array_equal(found[:, seen], np.repeat(series[None, seen], len(LEVELS), 0))
    missing = np.isnan(found)
    if mode == "two_sided":
        assert not missing.any()
    assert (np.diff(found, axis=0)[~missing[1:]] >= 0).all()


@given(series=SERIES, shift=st.floats(-100, 100), scale=st.floats(1e-3, 1e3))
@settings(max_examples=20)
def test_units_do_not_matter(two_sided, series: np.ndarray, shift: float, scale: float) -> None:
    before = fill(two_sided, series)
    after = fill(two_sided, series * scale + shift)
    size = spread(series) * scale + 1e-6 * abs(shift)
    np.testing.assert_allclose(after, before * scale + shift, atol=1e-3 * size, rtol=0)


@given(value=st.floats(-1e9, 1e9), seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_a_constant_series_is_filled_with_its_constant(two_sided, value: float, seed: int) -> None:
    series = np.where(np.isnan(draw("walk", 80, seed)), np.nan, value)
    assert (fill(two_sided, series) == value).all()


# Every gap costs the causal mode a forecast.
FEW = st.lists(
    st.builds(draw, st.sampled_from(KINDS), st.integers(2, 40), st.integers(0, 10**6)),
    min_size=2,
    max_size=3,
)


@pytest.mark.parametrize("mode", ["two_sided", "causal"])
@given(data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=6)
def test_the_order_of_items_and_the_batch_do_not_matter(
    request, mode: str, data: st.DataObject, seed: int
) -> None:
    model = request.getfixturevalue(mode)
    series = data.draw(MANY if mode == "two_sided" else FEW)
    together = np.split(fill(model, *series), np.cumsum([len(one) for one in series])[:-1], axis=1)
    order = np.random.default_rng(seed).permutation(len(series))
    shuffled = fill(model, *(series[number] for number in order), batch_size=2)
    shuffled = np.split(shuffled, np.cumsum([len(series[number]) for number in order])[:-1], axis=1)
    for place, number in enumerate(order):
        alone = fill(model, series[number])
        size = spread(series[number])
        np.testing.assert_allclose(shuffled[place], together[number], atol=1e-5 * size, rtol=1e-9)
        np.testing.assert_allclose(alone, together[number], atol=1e-5 * size, rtol=1e-9)


@given(series=SERIES, seed=st.integers(0, 10**6), where=st.floats(0, 1))
@settings(max_examples=10)
def test_in_causal_mode_nothing_after_a_step_has_a_say(
    causal, series: np.ndarray, seed: int, where: float
) -> None:
    cutoff = round(where * len(series))
    generator = np.random.default_rng(seed)
    other = series.copy()
    other[cutoff:] = 50 * generator.normal(size=len(series) - cutoff)
    other[cutoff:][generator.random(len(series) - cutoff) < 0.5] = np.nan
    before, after = fill(causal, series)[:, :cutoff], fill(causal, other)[:, :cutoff]
    assert np.array_equal(np.isnan(before), np.isnan(after))
    np.testing.assert_allclose(after, before, atol=1e-5 * spread(series), rtol=1e-6)


def test_what_is_far_away_does_not_matter_and_windows_have_no_seams(two_sided) -> None:
    """A gap in a long series is filled as in a part of it that has the same window."""
    generator = np.random.default_rng(0)
    series = np.sin(np.arange(6000) / 7) + 0.1 * generator.normal(size=6000)
    series[generator.random(6000) < 0.2] = np.nan
    far = series.copy()
    far[:2000] += 5
    before, after = fill(two_sided, series), fill(two_sided, far)
    np.testing.assert_array_equal(before[:, 4000:], after[:, 4000:])
    assert not np.array_equal(before[:, :2000] + 5, after[:, :2000])
