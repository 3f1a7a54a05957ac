"""Series per second of every family: the prior must never be what training waits for."""

from collections.abc import Callable

import numpy as np
import pytest

from tsfm.synthetic.mixture import FAMILIES, SyntheticMixture

N_SERIES, LENGTH = 256, 1024
# On one loaded core; half of what the slowest family reached when it was written.
SLOWEST_SERIES_PER_SECOND = 250
Benchmark = Callable[[Callable[[], np.ndarray]], np.ndarray]


@pytest.mark.parametrize("name", [*FAMILIES, "mixture"])
def test_series_per_second(benchmark: Benchmark, name: str) -> None:
    generator = np.random.default_rng(0)
    if name == "mixture":
        mixture = SyntheticMixture(length=LENGTH)
        benchmark(lambda: mixture.sample(N_SERIES, generator))
    else:
        family = FAMILIES[name]
        benchmark(lambda: family(generator, N_SERIES, LENGTH))
    stats = getattr(benchmark, "stats", None)  # None when benchmarks are disabled
    if stats is not None:
        assert N_SERIES / stats.stats.median > SLOWEST_SERIES_PER_SECOND
