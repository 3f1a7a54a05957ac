"""Training draws from these families for hours: one bad row would poison a run or stop it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.synthetic.mixture import FAMILIES, SyntheticMixture

SEEDS = st.integers(0, 2**32 - 1)
LENGTHS = st.integers(16, 160)


@pytest.mark.parametrize("name", FAMILIES)
@given(seed=SEEDS, n_series=st.integers(1, 12), length=LENGTHS)
@settings(max_examples=20)
def test_a_family_draws_finite_rows_of_the_shape_asked_for(
    name: str, seed: int, n_series: int, length: int
) -> None:
    rows = FAMILIES[name](np.random.default_rng(seed), n_series, length)
    assert rows.shape == (n_series, length)
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("name", FAMILIES)
@given(seed=SEEDS, length=LENGTHS)
@settings(max_examples=20)
def test_the_same_seed_draws_the_same_rows(name: str, seed: int, length: int) -> None:
    first, second = (FAMILIES[name](np.random.default_rng(seed), 5, length) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", FAMILIES)
@given(seed=SEEDS)
@settings(max_examples=20)
def test_most_rows_of_a_family_move_and_differ(name: str, seed: int) -> None:
    rows = FAMILIES[name](np.random.default_rng(seed), 40, 128)
    assert (rows.std(1) > 1e-6).mean() > 0.6
    assert len(np.unique(rows.round(6), axis=0)) > 24


@given(seed=SEEDS, n_series=st.integers(1, 30), length=LENGTHS)
@settings(max_examples=20)
def test_the_mixture_draws_finite_rows_that_depend_on_the_seed_alone(
    seed: int, n_series: int, length: int
) -> None:
    mixture = SyntheticMixture(length=length)
    first, second = (mixture.sample(n_series, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == (n_series, length)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
