"""A benchmark that was trained on is no benchmark: copies are found, and nobody else is accused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsfm.audits.overlap import CODES, DISTINCT, WINDOW, IndexBuilder, OverlapIndex, window_hashes
from tsfm.shapes import ndarray


def walk(seed: int, length: int = 600) -> ndarray:
    return np.random.default_rng(seed).normal(size=length).cumsum()


def ends(*series: ndarray) -> tuple[ndarray, ndarray]:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
    return np.concatenate(series), offsets


def index_of(*series: ndarray, stride: int = 8) -> OverlapIndex:
    builder = IndexBuilder(stride=stride)
    values, offsets = ends(*series)
    builder.add("benchmark", iter([(values, offsets, [f"s{i}" for i in range(len(series))])]))
    return builder.build()


def share(index: OverlapIndex, *training: ndarray) -> float:
    (benchmark,) = index.benchmarks
    found = np.zeros(len(index.hashes), bool)
    rows, _ = index.find(*ends(*training))
    found[rows] = True
    return float(found[benchmark.window].mean())


@given(
    st.integers(0, 10_000),
    st.floats(1e-3, 1e3),
    st.booleans(),
    st.floats(-1e3, 1e3),
    st.integers(0, 200),
)
@settings(max_examples=30)
def test_a_shifted_rescaled_and_cropped_copy_has_the_same_windows(
    seed: int, scale: float, is_turned: bool, shift: float, start: int
) -> None:
    original = walk(seed)
    copy = (-scale if is_turned else scale) * original[start : start + 300] + shift
    hashes, says = window_hashes(original, np.array([0, len(original)]))
    again, still = window_hashes(copy, np.array([0, len(copy)]))
    same = hashes[start : start + len(again)] == again
    # A step on the border of two codes may round to the other.
    assert same.mean() > 0.95
    assert says.all()
    assert still.all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_planted_copy_is_found_among_others(kind: type) -> None:
    original = [walk(seed) for seed in range(4)]
    copy = (0.01 * original[2][37:] - 5).astype(kind).astype(np.float64)
    index = index_of(*original)
    assert share(index, walk(100), copy, walk(101)) == pytest.approx(0.25, abs=0.03)
    rows, series = index.find(*ends(walk(100), copy, walk(101)))
    assert set(series) == {1}
    (benchmark,) = index.benchmarks
    assert set(benchmark.series[np.isin(benchmark.window, rows)]) == {2}


def test_whole_numbers_that_repeat_are_found_after_rescaling() -> None:
    counts = np.random.default_rng(0).poisson(20, 500).astype(np.float64)
    assert share(index_of(counts), counts / 3 + 0.1) == 1.0


def test_random_series_share_nothing() -> None:
    index = index_of(*(walk(seed, 5000) for seed in range(20)), stride=1)
    assert share(index, *(walk(seed, 5000) for seed in range(100, 120))) == 0.0
    season = [10 * np.sin(np.arange(5000) * 2 * np.pi / 24) + 0.1 * walk(i, 5000) for i in (1, 2)]
    assert share(index_of(season[0], stride=1), season[1]) == 0.0


def test_a_copy_that_was_rounded_is_found() -> None:
    original = walk(0, 3000)
    assert 0.01 < share(index_of(original), original.round(2)) < 1.0
    assert share(index_of(original), original.round(4)) > 0.9


@pytest.mark.parametrize(
    "dull",
    [
        np.full(300, 7.0),
        np.arange(300.0),
        np.tile([0.0, 1.0], 150),
        np.where(np.arange(300) % 30 == 0, 5.0, 0.0),
        np.where(np.arange(300) == 150, 1e6, 0.0),
        np.random.default_rng(0).poisson(0.05, 300).astype(np.float64),
    ],
    ids=["constant", "ramp", "two levels", "spikes", "a spike", "rare counts"],
)
def test_dull_windows_are_no_evidence(dull: ndarray) -> None:
    _, says = window_hashes(dull, np.array([0, len(dull)]))
    assert not says.any()
    (benchmark,) = index_of(dull).benchmarks
    assert len(benchmark.window) == 0
    assert benchmark.n_windows > 0


def test_a_window_lies_in_one_series_and_is_complete() -> None:
    values, offsets = ends(walk(0, 100), walk(1, 60), walk(2, 10))
    _, says = window_hashes(values, offsets)
    assert says.sum() == (100 - WINDOW + 1) + (60 - WINDOW + 1)
    values[20] = np.nan
    _, says = window_hashes(values, offsets)
    assert np.flatnonzero(says)[0] == 21
    assert says[:100].sum() == 100 - 21 - WINDOW + 1


@pytest.mark.parametrize("length", [0, 1, WINDOW - 1])
def test_series_shorter_than_a_window_have_none(length: int) -> None:
    hashes, says = window_hashes(walk(0, length), np.array([0, length]))
    assert len(hashes) == len(says) == 0
    index = index_of(walk(0, length))
    assert index.benchmarks[0].n_short == 1
    assert len(index.find(*ends(walk(0)))[0]) == 0


def slow_codes(values: ndarray, start: int) -> list[int]:
    """The definition, step by step."""
    codes = []
    for step in range(start + WINDOW - CODES, start + WINDOW):
        near = np.diff(values[step - (WINDOW - CODES) : step + 1])
        usual = np.sqrt(np.mean(near**2))
        ratio = near[-1] / (usual / 8) if usual > 0 else 0.0
        codes.append(int(np.clip(np.rint(ratio), -31, 31)))
    return codes


def test_hashes_are_equal_where_the_slow_codes_are() -> None:
    repeated = np.concatenate([walk(0, 120), walk(1, 50), walk(0, 120) * 2 + 1])
    hashes, says = window_hashes(repeated, np.array([0, len(repeated)]))
    slow = [tuple(slow_codes(repeated, start)) for start in range(len(hashes))]
    sign = [max(codes, tuple(-code for code in codes)) for codes in slow]
    for one in range(len(hashes)):
        for other in range(one):
            assert (hashes[one] == hashes[other]) == (sign[one] == sign[other])
    assert says.tolist() == [
        len(set(codes)) >= DISTINCT and np.count_nonzero(codes) >= CODES / 2 for codes in slow
    ]


def test_giants_in_one_place_do_not_blur_the_rest() -> None:
    original = walk(0)
    spiked = np.concatenate([[1e12, -1e12, 1e300], original])
    assert share(index_of(original), spiked) == 1.0
