"""A batch must depend on its number alone, or a resumed run would see other data."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tsfm.errors import ConfigError
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool
from tsfm.synthetic.mixture import SHARES
from tsfm.training.pool_stream import PoolStream, PoolStreamConfig
from tsfm.training.stream import BatchStream


@pytest.fixture
def config(tmp_path: Path, generator: np.random.Generator) -> PoolStreamConfig:
    series = [generator.normal(size=length).cumsum() for length in (900, 40, 300)]
    save_pool(SingleSeriesPool.from_series(series, name="walks"), tmp_path / "pool")
    return PoolStreamConfig(
        pool=str(tmp_path / "pool"),
        points_per_batch=2048,
        window_lengths=(64, 256),
        length_shares=(0.5, 0.5),
        bank_rows=256,
        refresh_every=2,
    )


def test_batches_depend_on_seed_process_and_number_only(config: PoolStreamConfig) -> None:
    forwards = PoolStream(config, seed=1)
    ahead = [forwards(number) for number in range(6)]
    backwards = PoolStream(config, seed=1)
    for number in (5, 0, 3):
        assert torch.equal(backwards(number).values, ahead[number].values)
        assert torch.equal(backwards(number).observed, ahead[number].observed)
    assert not torch.equal(PoolStream(config, seed=2)(0).values, ahead[0].values)
    assert not torch.equal(PoolStream(config, seed=1, process=1)(0).values, ahead[0].values)


def test_batches_keep_the_promises_of_window_batch(config: PoolStreamConfig) -> None:
    stream = PoolStream(config, seed=0)
    for number in range(20):
        batch = stream(number)
        assert batch.values.shape[0] * batch.values.shape[1] == 2048
        assert not batch.values[~batch.observed].any()
        assert not (batch.observed[..., 0] & ~batch.inside).any()
        assert batch.values.isfinite().all()
        real = (batch.item >= 0).sum()
        assert real == len(batch) // 2


def test_validation_windows_end_where_training_windows_never_do(config: PoolStreamConfig) -> None:
    pool = SingleSeriesPool.open(config.pool)
    changed = pool.values.copy()
    for offset, length, train in zip(pool.offsets, pool.lengths, pool.train_lengths, strict=False):
        changed[offset + train : offset + length] = 77.0
    stream, other = PoolStream(config, seed=0), PoolStream(config, seed=0)
    for sampler in (other._sampler, other._validation_sampler):
        object.__setattr__(sampler.pool, "values", changed)
    assert all(torch.equal(stream(n).values, other(n).values) for n in range(8))
    assert not torch.equal(stream.validation(0).values, other.validation(0).values)


def test_validation_is_the_same_in_every_process(config: PoolStreamConfig) -> None:
    first, second = (PoolStream(config, seed=0, process=rank) for rank in (0, 1))
    assert torch.equal(first.validation(3).values, second.validation(3).values)


@pytest.mark.parametrize("has_pool", [True, False])
def test_validation_is_the_same_for_every_seed(config: PoolStreamConfig, has_pool: bool) -> None:
    config = config if has_pool else replace(config, pool="")
    first, second = (PoolStream(config, seed=seed) for seed in (0, 7))
    assert torch.equal(first.validation(2).values, second.validation(2).values)
    assert not torch.equal(first(2).values, second(2).values)


def test_windows_are_as_long_in_every_process(config: PoolStreamConfig) -> None:
    first, second = (PoolStream(config, seed=0, process=rank) for rank in (0, 1))
    shapes = [first(number).values.shape for number in range(12)]
    assert [second(number).values.shape for number in range(12)] == shapes
    assert len(set(shapes)) == 2


def test_a_stream_says_what_it_reads(config: PoolStreamConfig) -> None:
    stream = PoolStream(config, seed=0)
    assert isinstance(stream, BatchStream)
    assert stream.trained_on == ("walks",)
    (found,) = stream.inputs
    assert (found.name, len(found.digest)) == ("pool", 64)
    assert stream.synthetic_share == 0.5
    alone = PoolStream(PoolStreamConfig(bank_rows=128), seed=0)
    assert (alone.trained_on, alone.inputs, alone.synthetic_share) == ((), (), 1.0)


def test_families_of_the_prior_can_weigh_more_or_nothing() -> None:
    nothing = {name: 0.0 for name in SHARES if name != "counts"}
    config = PoolStreamConfig(bank_rows=128, synthetic_shares=nothing)
    drawn = PoolStream(config, seed=0)._mixture.sample(32, np.random.default_rng(0))
    assert (drawn == drawn.round()).all()
    with pytest.raises(ConfigError, match="shares must name"):
        PoolStream(PoolStreamConfig(synthetic_shares={"waves": 1.0}), seed=0)
