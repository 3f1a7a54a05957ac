"""What the model reads must be the last steps of each series, on a scale that loses nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.tasks.forecasting.contexts import TOKENS_PER_BATCH, context_batches, has_value

NAN = float("nan")


def batches_of(*series, context_length=64, patch_length=4, extra_tokens=0, batch_size=256):
    values = np.concatenate([np.array(one, np.float64) for one in series])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    return list(
        context_batches(
            values,
            offsets,
            context_length=context_length,
            patch_length=patch_length,
            extra_tokens=extra_tokens,
            batch_size=batch_size,
        )
    )


def only(*series, **options):
    (batch,) = batches_of(*series, **options)
    return batch


def test_a_series_is_right_aligned_and_padded_to_whole_patches():
    batch = only([1, 2, NAN, 4, 5, 9])
    assert batch.values.shape == (1, 8)
    np.testing.assert_array_equal(batch.inside[0], [False] * 2 + [True] * 6)
    np.testing.assert_array_equal(
        batch.observed[0], [False] * 2 + [True, True, False, True] * 1 + [True] * 2
    )
    assert batch.values[0, -1] == batch.values.max()
    np.testing.assert_array_equal(batch.values[~batch.observed], 0)


def test_only_the_last_steps_of_a_longer_series_are_read():
    batch = only([1e9, 1e9, 1, 2, 3], context_length=3)
    np.testing.assert_array_equal(batch.inside[0], [False, True, True, True])
    np.testing.assert_allclose(batch.loc, [2])


@given(
    st.lists(st.floats(-1e300, 1e300, allow_subnormal=False) | st.just(NAN), min_size=1, max_size=9)
)
def test_scaled_values_go_back_to_what_they_were(series):
    batch = only(series)
    back = batch.values * batch.scale[:, None] + batch.loc[:, None]
    expected = np.array(series)[np.isfinite(series)]
    largest = np.abs(expected).max(initial=0)
    np.testing.assert_allclose(back[batch.observed], expected, rtol=0, atol=1e-14 * largest)


def test_scaled_values_have_mean_zero_and_deviation_one_over_what_is_observed():
    batch = only([NAN, 3e30, 5e30, NAN, -7e30])
    seen = batch.values[batch.observed]
    np.testing.assert_allclose([seen.mean(), seen.std()], [0, 1], atol=1e-15)


@pytest.mark.parametrize("value", [0.0, 0.1, -3.7, 1e300, 1.7e308, -1e-30, 1e-310])
def test_a_constant_is_found_to_the_bit(value):
    batch = only([value, NAN, value, value, value, value, value])
    assert batch.loc[0] == value
    assert batch.scale[0] == 0
    np.testing.assert_array_equal(batch.values, 0)


def test_a_small_movement_on_a_high_level_is_kept():
    low, high = only([0, 1, 2, 4]), only([1e15, 1e15 + 1, 1e15 + 2, 1e15 + 4])
    np.testing.assert_allclose(high.values, low.values, rtol=1e-15)


def test_a_context_without_values_has_no_level():
    batch = only([NAN, NAN], [1, 2])
    np.testing.assert_array_equal(np.isnan(batch.loc), [True, False])
    batch = only([1, NAN, NAN], context_length=2)
    assert np.isnan(batch.loc[0])


def test_a_series_begins_with_its_first_value():
    batch = only([NAN, NAN, NAN, NAN, NAN, 7, NAN, 9])
    np.testing.assert_array_equal(batch.inside, [[False, True, True, True]])
    batch = only([7, 8, NAN, NAN, NAN, NAN, NAN, 3], context_length=6)
    np.testing.assert_array_equal(batch.inside, [[False, False, False, True]])


def test_a_series_without_steps_has_no_level():
    batch = only([], [1, 2])
    np.testing.assert_array_equal(np.isnan(batch.loc), [True, False])
    assert not batch.inside[0].any()


@given(st.lists(st.integers(1, 70), min_size=1, max_size=40), st.integers(1, 50))
def test_every_series_comes_once_with_series_of_as_many_tokens(lengths, batch_size):
    batches = batches_of(*(np.arange(n) for n in lengths), batch_size=batch_size)
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch.rows) <= batch_size
        kept = np.minimum(np.array(lengths)[batch.rows], 64)
        np.testing.assert_array_equal(-(-kept // 4) * 4, batch.values.shape[1])
        np.testing.assert_array_equal(batch.inside.sum(1), kept)


def test_a_batch_holds_no_more_tokens_than_fit():
    batches = batches_of(*([[1, 2, 3, 4]] * 50), extra_tokens=TOKENS_PER_BATCH // 10)
    assert max(len(batch.rows) for batch in batches) == 9


def test_a_value_counts_only_within_the_context():
    values = np.array([[1.0, NAN], [NAN, NAN], [NAN, 2.0], [3.0, NAN]])
    offsets = np.array([0, 3, 4])
    np.testing.assert_array_equal(has_value(values, offsets, 9), [[True, True], [True, False]])
    np.testing.assert_array_equal(has_value(values, offsets, 2), [[False, True], [True, False]])
