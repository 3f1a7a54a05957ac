"""Windows per second: the pool must never be what training waits for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool
from tsfm.series.windows import WindowArrays, WindowSampler

N_WINDOWS, LENGTH = 256, 512
SLOWEST_WINDOWS_PER_SECOND = 100_000
Benchmark = Callable[[Callable[[], WindowArrays]], WindowArrays]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A thousand long and a thousand short series."""
    generator = np.random.default_rng(0)
    lengths = [10_000] * 1000 + [100] * 1000
    series = [generator.standard_normal(length) for length in lengths]
    folder = tmp_path_factory.mktemp("pools") / "pool"
    save_pool(SingleSeriesPool.from_series(series), folder)
    return folder


@pytest.mark.parametrize("down_sample", [1, 4])
@pytest.mark.parametrize("series_exponent", [1.0, 0.0], ids=["whole", "half_padded"])
def test_windows_per_second(
    benchmark: Benchmark, folder: Path, series_exponent: float, down_sample: int
) -> None:
    sampler = WindowSampler(SingleSeriesPool.open(folder), series_exponent=series_exponent)
    generator = np.random.default_rng(0)
    benchmark(lambda: sampler.sample(N_WINDOWS, LENGTH, generator, down_sample=down_sample))
    stats = getattr(benchmark, "stats", None)  # None when benchmarks are disabled
    if stats is not None and down_sample == 1:
        assert N_WINDOWS / stats.stats.median > SLOWEST_WINDOWS_PER_SECOND
