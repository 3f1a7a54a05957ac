"""Samples must keep their labels, and those of the test must stay apart from training."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsfm.errors import DataError
from tsfm.series import cards
from tsfm.series.samples import SampleSet, held_out
from tsfm.tasks.samples.read import read_samples

NAN = float("nan")
RAGGED: list[Any] = [[[1.0, 2.0, NAN], [4.0, 5.0, 6.0]], [[7.0], [8.0]]]


def frame() -> pl.DataFrame:
    """Two samples whose names sort the other way round; one misses a step."""
    return pl.DataFrame(
        {
            "item_id": ["z", "z", "a", "a"],
            "timestamp": [0, 1, 5, 7],
            "x": [1.0, 2.0, 3.0, 4.0],
            "y": [10.0, None, 30.0, 40.0],
            "label": ["up", "up", "down", "down"],
            "split": ["TRAIN", "TRAIN", "test", "test"],
        }
    )


def from_frame(data: Any, **options: Any) -> SampleSet:
    return SampleSet.from_frame(data, target=["x", "y"], **options)


def test_lists_of_arrays_keep_their_lengths_and_their_gaps() -> None:
    samples = SampleSet.from_arrays(RAGGED, [3, 4])
    expected = [[1.0, 4.0], [2.0, 5.0], [NAN, 6.0], [7.0, 8.0]]
    np.testing.assert_array_equal(samples.values, expected)
    assert samples.offsets.tolist() == [0, 3, 4]
    assert samples.labels.tolist() == [3, 4]
    assert samples.is_train.all()


@pytest.mark.parametrize(
    "given_",
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(2, 1, 3),
        [[0, 1, 2], [3, 4, 5]],
        (np.arange(3), np.arange(3, 6)[None]),
        np.array([[0, 1, 2], [3, 4, 5]], dtype=object),
    ],
    ids=["matrix", "cube", "lists", "tuple of both", "objects"],
)
def test_every_usual_form_of_arrays_is_read(given_: Any) -> None:
    samples = SampleSet.from_arrays(given_)
    assert samples.values[:, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert samples.lengths.tolist() == [3, 3]


def test_channels_come_before_steps_in_an_array() -> None:
    cube = np.arange(12.0).reshape(2, 2, 3)
    assert SampleSet.from_arrays(cube).take(np.array([1])).values.tolist() == cube[1].T.tolist()


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "pyarrow"])
def test_a_frame_of_any_kind_gives_samples_in_order_of_appearance(kind: str) -> None:
    data: Any = frame()
    if kind == "lazy":
        data = data.lazy()
    elif kind != "polars":
        data = data.to_pandas() if kind == "pandas" else data.to_arrow()
    assert isinstance(data, pl.DataFrame | pl.LazyFrame | pd.DataFrame | pa.Table)
    samples = from_frame(data, label_column="label", split_column="split", freq=None)
    assert samples.lengths.tolist() == [2, 3]
    expected = [[1.0, 10.0], [2.0, NAN], [3.0, 30.0], [NAN, NAN], [4.0, 40.0]]
    np.testing.assert_array_equal(samples.values, expected)
    assert samples.labels.tolist() == ["up", "down"]
    assert samples.is_train.tolist() == [True, False]
    assert samples.train.labels.tolist() == ["up"]
    assert samples.test.values[0].tolist() == [3.0, 30.0]


def test_a_frame_without_an_id_is_one_sample() -> None:
    samples = from_frame(frame().drop("item_id"), label_column=None)
    assert len(samples) == 1
    only = frame().drop("item_id").with_columns(label=pl.lit("up"))
    assert from_frame(only, label_column="label").labels.tolist() == ["up"]


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        (
            {"label": ["up", "no", "d", "d"]},
            {"label_column": "label"},
            "'z', column 'label'.*got 2",
        ),
        ({"label": ["u", None, "d", "d"]}, {"label_column": "label"}, "1 missing"),
        ({"split": ["dev"] * 4}, {"split_column": "split"}, r"train or test, got \['dev'\]"),
        ({}, {"label_column": "class"}, "column 'class' must be there"),
    ],
)
def test_labels_and_parts_of_a_frame_must_be_one_per_sample(
    changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    data = frame().with_columns(**{k: pl.Series(v) for k, v in changes.items()})
    with pytest.raises(DataError, match=message):
        from_frame(data, **options)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(3), r"\(sample, time\) or \(sample, channel, time\), got shape \(3,\)"),
        (np.zeros((2, 1, 1, 3)), r"got shape \(2, 1, 1, 3\)"),
        ([], "must be at least one, got 0"),
        ([[1.0], []], "sample 1 must have at least one step and 1 channels like the first, got 0"),
        ([[1.0], [[1.0], [2.0]]], "sample 1 must have .* got 1 steps and 2 channels"),
        ([[1.0, 2.0], [1.0, np.inf]], r"sample 1 must be finite .* \(inf\) at step 1"),
        ([[1.0], ["many"]], "sample 1 must hold numbers, got: could not convert"),
        ([[1.0], [1j]], "Complex data not supported, got it in sample 1"),
        (
            [pd.DataFrame({"a": [1.0], "b": [2.0]})],
            r"sample 0 .*, got a DataFrame; pass .*numpy\(\).T",
        ),
        ([np.array(["2020-01-01"], "M8[D]")], "sample 0 must hold numbers, got stamps; cast them"),
        (np.array(None), r"\(sample, time\) or \(sample, channel, time\), got NoneType"),
        (np.array({"a": [1.0]}), r"\(sample, time\) or \(sample, channel, time\), got dict"),
        ([[1.0], 3.0], r"sample 1 must be \(time,\) or \(channel, time\), got shape \(\)"),
    ],
)
def test_what_cannot_be_samples_is_named(samples: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SampleSet.from_arrays(samples)


@pytest.mark.parametrize("cubic", [False, True])
def test_what_is_masked_is_missing(cubic: bool) -> None:
    mask = np.array([[False, True, False], [False, False, False]])
    samples = np.ma.masked_array(np.where(mask, -999, 1), mask)
    found = read_samples(samples[:, None] if cubic else samples, {})
    np.testing.assert_array_equal(found.values[:, 0], [1, np.nan, 1, 1, 1, 1])


def test_sparse_arrays_are_refused() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match="dense arrays, got a sparse csr_matrix"):
        SampleSet.from_arrays(sparse.csr_matrix(np.eye(2)))


def test_samples_are_taken_whole_in_the_order_asked_for() -> None:
    samples = SampleSet.from_arrays([[1.0], [2.0, 3.0], [4.0, 5.0, 6.0]], ["a", "b", "c"])
    taken = samples.take(np.array([2, 0, 2]))
    assert taken.values[:, 0].tolist() == [4, 5, 6, 1, 4, 5, 6]
    assert taken.labels.tolist() == ["c", "a", "c"]
    assert len(samples.take(np.array([], int))) == 0


def test_scaling_is_by_channel_over_all_steps_of_the_samples_it_was_fitted_on() -> None:
    samples = SampleSet.from_arrays(RAGGED)
    first = samples.take(np.array([0]))
    scaler = first.fit_scaler()
    assert scaler.loc.tolist() == [1.5, 5.0]
    np.testing.assert_allclose(scaler.scale, [0.5, np.std([4, 5, 6])])
    scaled = samples.scaled(scaler)
    np.testing.assert_allclose(scaled.values[:, 0], [-1, 1, NAN, 11])
    assert scaled.offsets is samples.offsets


def test_windows_hold_whole_samples_on_the_right() -> None:
    samples = SampleSet.from_arrays(RAGGED)
    batch = samples.windows(np.array([1, 0]), 4)
    assert batch.values[..., 0].tolist() == [[0, 0, 0, 7], [0, 1, 2, 0]]
    assert batch.values[..., 1].tolist() == [[0, 0, 0, 8], [0, 4, 5, 6]]
    assert batch.inside.tolist() == [[False] * 3 + [True], [False] + [True] * 3]
    assert batch.observed[1, :, 0].tolist() == [False, True, True, False]
    assert batch.observed[..., 1].equal(batch.inside)
    assert batch.item.tolist() == [1, 0]


def test_of_a_sample_longer_than_the_window_the_last_steps_are_taken() -> None:
    batch = SampleSet.from_arrays([np.arange(5.0), np.arange(2.0)]).windows(np.arange(2), 3)
    assert batch.values[..., 0].tolist() == [[2, 3, 4], [0, 0, 1]]
    assert batch.inside.tolist() == [[True] * 3, [False, True, True]]


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=6),
    share=st.sampled_from([0.1, 0.2, 0.25, 0.5]),
    seed=st.integers(0, 1000),
)
def test_every_class_gives_its_share_and_keeps_a_sample(
    counts: list[int], share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    if len(labels) == len(counts):
        return  # no two alike: not classes
    fitted, held = held_out(labels, share, np.random.default_rng(seed))
    assert sorted([*fitted, *held]) == list(range(len(labels)))
    block = round(1 / share)
    for code, count in enumerate(counts):
        n_held = int((labels[held] == code).sum())
        assert abs(n_held - count / block) <= 2
        assert count > 1 or n_held == 0


def test_a_target_is_held_out_over_its_whole_range() -> None:
    target = np.random.default_rng(0).normal(size=100)
    _, held = held_out(target, 0.2, np.random.default_rng(1))
    assert len(held) == 20
    ranks = np.sort(target.argsort().argsort()[held])
    assert (ranks // 5 == np.arange(20)).all()


def test_what_is_held_out_is_random_and_repeats() -> None:
    labels = np.repeat([0, 1], 50)
    first, again, other = (
        held_out(labels, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(("n_samples", "share"), [(10, 0.0), (3, 0.2)])
def test_nothing_is_held_out_without_a_share_or_of_too_few(n_samples: int, share: float) -> None:
    fitted, held = held_out(np.zeros(n_samples), share, np.random.default_rng(0))
    assert fitted.tolist() == list(range(n_samples))
    assert len(held) == 0


@pytest.fixture
def make_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a frame as the file of a card."""

    def make(name: str, data: pl.DataFrame) -> None:
        card = cards.load_card(name)
        data.write_parquet(tmp_path / card.file)
        monkeypatch.setenv("TSFM_DATA", str(tmp_path))

    return make


def long_frame(**columns: Any) -> pl.DataFrame:
    data = {
        "series_id": ["s2", "s2", "s1"],
        "timestamp": [0, 1, 0],
        "split": ["TRAIN", "TRAIN", "TEST"],
        "label": ["1", "1", "2"],
    }
    return pl.DataFrame(data | columns)


def test_a_card_says_where_everything_is(make_card: Any) -> None:
    make_card("uea_plaid", long_frame(ch_00=[1.0, 2.0, 3.0]))
    samples = SampleSet.from_card("uea_plaid")
    assert samples.values[:, 0].tolist() == [1, 2, 3]
    assert samples.labels.tolist() == ["1", "2"]
    assert len(samples.train) == len(samples.test) == 1


def test_one_of_several_sets_in_a_file_is_named_behind_a_slash(make_card: Any) -> None:
    data = long_frame(target=[1.0, 2.0, 3.0], dataset=["Coffee", "Coffee", "Beef"])
    make_card("ucr_classification", data)
    assert SampleSet.from_card("ucr_classification/Beef").values.tolist() == [[3.0]]
    for wrong in ("ucr_classification", "ucr_classification/Tea"):
        with pytest.raises(
            DataError, match=r"followed by one of \['Beef', 'Coffee'\], got '(Tea)?'"
        ):
            SampleSet.from_card(wrong)


def test_a_card_without_labelled_samples_is_refused(make_card: Any) -> None:
    with pytest.raises(DataError, match="el_nino must have the columns 'split' and 'label', got"):
        SampleSet.from_card("el_nino")
    make_card("uea_plaid", long_frame(ch_00=[1.0, 2.0, 3.0]))
    with pytest.raises(DataError, match="uea_plaid is one set, got uea_plaid/a; leave out /a"):
        SampleSet.from_card("uea_plaid/a")
