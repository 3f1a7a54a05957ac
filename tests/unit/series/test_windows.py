"""Every objective trains on these rows: they must be the series, and drawn as often as promised."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import ConfigError
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.scaling import SeriesScaler
from tsfm.series.windows import WindowSampler, gather


def pool_of_lengths(*lengths, missing=False, datasets=None, train_share=0.9) -> SingleSeriesPool:
    """Series whose scaled values name their item and step: item + step / 1000."""
    steps = np.concatenate([np.arange(length) for length in lengths])
    items = np.repeat(np.arange(len(lengths)), lengths)
    values = (items + 1 + steps / 1000).astype(np.float32)
    observed = (steps % 3 != 1) | (not missing)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    dataset = np.array(datasets if datasets is not None else np.zeros(len(lengths)), np.int32)
    return SingleSeriesPool(
        values=np.where(observed, values, 0).astype(np.float32),
        observed=observed,
        offsets=offsets,
        dataset=dataset,
        train_lengths=np.maximum(1, np.floor(np.array(lengths) * train_share)).astype(np.int64),
        scaler=SeriesScaler(np.zeros(len(lengths)), np.ones(len(lengths))),
        datasets=tuple(f"set {number}" for number in range(dataset.max() + 1)),
        item_ids=tuple(str(number) for number in range(len(lengths))),
    )


def slow_gather(pool, item, end, span):
    """The same as `gather`, one step at a time."""
    shape = (len(item), span)
    values, observed, inside = (
        np.zeros(shape, np.float32),
        np.zeros(shape, bool),
        np.zeros(shape, bool),
    )
    for row in range(len(item)):
        for column in range(span):
            step = end[row] - span + column
            if step >= 0:
                place = pool.offsets[item[row]] + step
                inside[row, column] = True
                observed[row, column] = pool.observed[place]
                values[row, column] = pool.values[place]
    return values, observed, inside


@given(st.data())
def test_gathering_equals_a_loop(data) -> None:
    lengths = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=5))
    pool = pool_of_lengths(*lengths, missing=True)
    item = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=6)))
    end = np.array([data.draw(st.integers(1, lengths[one])) for one in item])
    span = data.draw(st.integers(1, 30))
    for fast, slow in zip(
        gather(pool, item, end, span), slow_gather(pool, item, end, span), strict=True
    ):
        assert (fast == slow).all()


@pytest.mark.parametrize("length", [1, 7, 32, 100])
def test_windows_end_in_the_training_part_and_are_contiguous(length, generator) -> None:
    pool = pool_of_lengths(50, 3, 200, missing=True)
    windows = WindowSampler(pool).sample(500, length, generator)
    assert windows.values.shape == (500, length)
    assert (windows.values[~windows.observed] == 0).all()
    assert (windows.inside | ~windows.observed).all()
    assert windows.inside[:, -1].all()
    assert (np.diff(windows.inside.astype(int), axis=1) >= 0).all()
    step = np.round((windows.values - windows.item[:, None] - 1) * 1000).astype(int)
    last = pool.train_lengths[windows.item] - 1
    assert (step[windows.observed] <= np.repeat(last[:, None], length, 1)[windows.observed]).all()
    n_inside = windows.inside.sum(1)
    assert (n_inside == np.minimum(length, pool.train_lengths[windows.item])).all()
    for row in range(50):
        seen = np.flatnonzero(windows.observed[row])
        assert (np.diff(step[row, seen]) == np.diff(seen)).all()


def test_validation_windows_end_after_the_training_part(generator) -> None:
    pool = pool_of_lengths(50, 1, 200)
    windows = WindowSampler(pool, part="validation").sample(500, 16, generator)
    # A single step is for training, and leaves none to validate.
    last = np.round((windows.values[:, -1] - windows.item - 1) * 1000).astype(int)
    assert set(windows.item) == {0, 2}
    assert (last >= pool.train_lengths[windows.item]).all()
    assert (last < pool.lengths[windows.item]).all()


def test_all_windows_of_a_series_are_equally_likely(generator) -> None:
    windows = WindowSampler(pool_of_lengths(12, train_share=1.0)).sample(9000, 4, generator)
    starts = np.round((windows.values[:, 0] - 1) * 1000).astype(int)
    counts = np.bincount(starts)
    assert len(counts) == 9
    assert counts == pytest.approx(np.full(9, 1000), abs=150)


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({"temperature": 1.0, "series_exponent": 1.0}, [0.1, 0.4, 0.5]),
        ({"temperature": 0.0, "series_exponent": 1.0}, [0.1, 0.4, 0.5]),
        ({"temperature": 0.0, "series_exponent": 0.0}, [0.25, 0.25, 0.5]),
        ({"temperature": 0.0, "series_exponent": 0.5}, [1 / 6, 1 / 3, 0.5]),
        ({"temperature": 0.0, "factors": {"set 1": 0.0}}, [1 / 3, 2 / 3, 0.0]),
        (
            {"temperature": 0.0, "series_exponent": 1.0, "factors": {"set 1": 3.0}},
            [0.05, 0.2, 0.75],
        ),
    ],
)
def test_weights_of_sets_and_series(settings, shares, generator) -> None:
    pool = pool_of_lengths(100, 400, 500, datasets=[0, 0, 1], train_share=1.0)
    windows = WindowSampler(pool, **settings).sample(20_000, 8, generator)
    assert np.bincount(windows.item, minlength=3) / 20_000 == pytest.approx(shares, abs=0.015)


def test_temperature_lifts_small_sets(generator) -> None:
    pool = pool_of_lengths(10, 10_000, datasets=[0, 1], train_share=1.0)
    windows = WindowSampler(pool, temperature=0.5).sample(20_000, 8, generator)
    expected = 10**0.5 / (10**0.5 + 10_000**0.5)
    assert (windows.item == 0).mean() == pytest.approx(expected, abs=0.01)


def test_the_same_generator_gives_the_same_windows() -> None:
    sampler = WindowSampler(pool_of_lengths(50, 80))
    first, second = (sampler.sample(9, 8, np.random.default_rng(3)) for _ in range(2))
    assert all((one == two).all() for one, two in zip(first, second, strict=True))


@pytest.mark.parametrize("average", [True, False])
def test_down_sampling_equals_a_loop(average, generator) -> None:
    pool = pool_of_lengths(40, 7, missing=True, train_share=1.0)
    seed = generator.integers(1 << 30)
    fine = WindowSampler(pool).sample(50, 12, np.random.default_rng(seed))
    coarse = WindowSampler(pool).sample(
        50, 4, np.random.default_rng(seed), down_sample=3, average=average
    )
    for row in range(50):
        for block in range(4):
            part = slice(3 * block, 3 * block + 3)
            seen = fine.values[row, part][fine.observed[row, part]]
            if average:
                expected, observed = seen.mean() if len(seen) else 0, len(seen) > 0
            else:
                expected = fine.values[row, part][-1]
                observed = fine.observed[row, part][-1]
            assert coarse.values[row, block] == pytest.approx(expected, rel=1e-5)
            assert coarse.observed[row, block] == observed
            assert coarse.inside[row, block] == fine.inside[row, part].any()


def test_a_batch_has_one_channel_and_moves_to_a_device(generator) -> None:
    batch = WindowSampler(pool_of_lengths(50)).sample(5, 8, generator).to_batch().to("cpu")
    assert len(batch) == 5
    assert batch.values.shape == batch.observed.shape == (5, 8, 1)
    assert batch.inside.shape == (5, 8)
    assert (batch.values.dtype, batch.item.dtype) == (torch.float32, torch.int64)


def test_factors_must_name_sets_of_the_pool() -> None:
    with pytest.raises(ConfigError, match=r"got \['x'\]; it has \['set 0'\]"):
        WindowSampler(pool_of_lengths(9), factors={"x": 1.0})


@pytest.mark.parametrize("factor", [-1.0, np.inf, np.nan])
def test_factors_must_be_finite(factor) -> None:
    with pytest.raises(ConfigError, match=r"zero or positive, got \{'set 0'"):
        WindowSampler(pool_of_lengths(9), factors={"set 0": factor})


@pytest.mark.parametrize("settings", [{"factors": {"set 0": 0.0}}, {"part": "validation"}])
def test_something_must_be_left_to_draw(settings) -> None:
    with pytest.raises(ConfigError, match="must have a series with a weight, got 1 series"):
        WindowSampler(pool_of_lengths(9, train_share=1.0), **settings)


@pytest.mark.parametrize("arguments", [(0, 4, 1), (4, 0, 1), (4, 4, 0)])
def test_sizes_must_be_positive(arguments, generator) -> None:
    n_windows, length, factor = arguments
    with pytest.raises(ConfigError, match=f"n_windows={n_windows}, window_length={length}, down"):
        WindowSampler(pool_of_lengths(9)).sample(n_windows, length, generator, down_sample=factor)
