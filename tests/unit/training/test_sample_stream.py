"""Pre-training on samples must see each once per epoch, and of the test part nothing at all."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError

from tsfm.errors import ConfigError
from tsfm.series.sample_form import SampleForm
from tsfm.series.windows import WindowBatch
from tsfm.training.sample_stream import SampleStream, SampleStreamConfig, SyntheticSamplesConfig
from tsfm.training.stream import STREAMS, BatchStream

N_TRAIN, N_TEST, LONGEST = 40, 10, 12
TEST_LEVEL = 1e6


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Sample i of the training part is i everywhere, and -i in a second channel; those of the test
    are huge, and longer."""
    frames = [
        samples_of(level=i, length=LONGEST - i % 3, name=f"TRAIN|{i:02}") for i in range(N_TRAIN)
    ]
    frames += [
        samples_of(level=TEST_LEVEL, length=LONGEST + 5, name=f"TEST|{i:02}") for i in range(N_TEST)
    ]
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    pl.concat(frames).write_parquet(tmp_path / "uea_cardanosentiment.parquet")
    return "uea_cardanosentiment"


def samples_of(*, level: float, length: int, name: str) -> pl.DataFrame:
    values = np.full(length, float(level))
    return pl.DataFrame(
        {
            "series_id": name,
            "timestamp": np.arange(length),
            "ch_00": values,
            "ch_01": -values,
            "split": name.partition("|")[0],
            "label": "0.5",
        }
    )


def stream(dataset: str = "", process: int = 0, seed: int = 0, **options: Any) -> SampleStream:
    config = SampleStreamConfig(dataset=dataset, samples_per_batch=6, **options)
    return SampleStream(config, seed=seed, process=process)


def epoch(found: SampleStream, number: int = 0) -> list[int]:
    """Samples of one epoch, in order."""
    first = number * found.batches_per_epoch
    batches = [found(first + place) for place in range(found.batches_per_epoch)]
    return [int(item) for batch in batches for item in batch.item]


def validation(found: SampleStream, n_batches: int = 2) -> list[WindowBatch]:
    return [found.validation(number) for number in range(n_batches)]


def test_an_epoch_has_every_sample_but_the_held_out_ones_once(card: str) -> None:
    found = stream(card)
    held = {int(item) for batch in validation(found) for item in batch.item}
    assert len(held) == N_TRAIN // 5
    assert sorted(epoch(found)) == sorted(set(range(N_TRAIN)) - held)
    assert epoch(found, 1) != epoch(found, 0)
    assert sorted(epoch(found, 1)) == sorted(epoch(found, 0))


def test_nothing_of_the_test_part_is_seen_not_even_its_scale(card: str) -> None:
    found = stream(card)
    levels = np.array(epoch(found), float)
    steps = np.repeat(levels, [LONGEST - int(level) % 3 for level in levels])
    for batch in [found(0), *validation(found)]:
        expected = (batch.item.double() - steps.mean()) / steps.std()
        torch.testing.assert_close(batch.values[:, -1, 0].double(), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(batch.values[..., 1], -batch.values[..., 0])
        assert batch.item.max() < N_TRAIN
    assert found.context_length == LONGEST


def test_a_form_is_given_to_every_sample_and_the_head_is_told(card: str) -> None:
    form = SampleForm(scaling="sample", stretched_to=7)
    found = stream(card, form=form)
    batch = found(0)
    assert batch.values.shape == (6, 7, form.n_channels(2))
    assert found.context_length == 7
    # The level of a sample, which is its number, is all that differs, but for the length.
    assert not batch.values[..., :2].any()
    order = batch.values[:, 0, 2].argsort()
    assert torch.equal(order, batch.item.argsort())
    assert found.labelled is not None
    assert found.labelled.form == form


def test_windows_have_one_length_and_end_together(card: str) -> None:
    batch = stream(card)(0)
    assert batch.values.shape == (6, LONGEST, 2)
    lengths = batch.inside.sum(1)
    assert lengths.tolist() == [LONGEST - int(item) % 3 for item in batch.item]
    assert batch.inside[:, -1].all()
    assert torch.equal(batch.observed.all(-1), batch.inside)


def test_the_same_number_is_the_same_batch_whatever_came_before(card: str) -> None:
    first, other = stream(card), stream(card)
    other(20)
    for number in (9, 2):
        assert torch.equal(first(number).item, other(number).item)
        assert torch.equal(first(number).values, other(number).values)


def test_processes_see_other_orders_and_hold_out_the_same(card: str) -> None:
    first, second = stream(card), stream(card, process=1)
    assert epoch(first) != epoch(second)
    assert sorted(epoch(first)) == sorted(epoch(second))
    assert sorted(epoch(first)) != sorted(epoch(stream(card, seed=1)))


def test_validation_batches_are_all_held_out_samples_and_then_again(card: str) -> None:
    found = stream(card)
    sizes = [len(batch) for batch in validation(found, 4)]
    assert sizes == [6, 2, 6, 2]
    assert torch.equal(found.validation(0).item, found.validation(2).item)


def test_a_shorter_window_has_the_last_steps(card: str) -> None:
    found = stream(card, window_length=5)
    assert found.context_length == 5
    batch = found(0)
    assert batch.inside.all()
    assert batch.values.shape == (6, 5, 2)


def test_it_says_what_it_reads(card: str) -> None:
    found = stream(card)
    assert isinstance(found, BatchStream)
    assert STREAMS["samples"] is SampleStream
    assert found.trained_on == (card,)
    assert found.synthetic_share == 0.0
    (data,) = found.inputs
    assert data.name == card
    assert len(data.digest) == 64


def test_a_set_in_a_file_of_several_is_known_by_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    frames = [samples_of(level=i, length=4, name=f"TRAIN|{i}") for i in range(5)]
    data = pl.concat(frames).rename({"ch_00": "target"}).with_columns(dataset=pl.lit("Beef"))
    data.write_parquet(tmp_path / "ucr_classification.parquet")
    found = stream("ucr_classification/Beef")
    assert found.trained_on == ("ucr_classification",)
    assert found(0).values.shape == (4, 4, 1)


def test_synthetic_samples_are_of_several_lengths_and_explain_one_another() -> None:
    options = SyntheticSamplesConfig(n_samples=60, n_steps=40, n_channels=4, missing_share=0.1)
    found = stream(synthetic=options)
    assert (found.trained_on, found.synthetic_share, found.inputs) == ((), 1.0, ())
    assert found.context_length == 40
    batches = [found(number) for number in range(found.batches_per_epoch)]
    lengths = torch.cat([batch.inside.sum(1) for batch in batches])
    assert lengths.min() >= 30
    assert len(lengths.unique()) > 3
    observed = torch.cat([batch.observed[batch.inside] for batch in batches])
    assert 0.05 < 1 - observed.double().mean() < 0.15
    # Two factors and a little noise: two of four directions have nearly all of the variance.
    whole = [batch.values[batch.observed.all(-1)] for batch in batches]
    variances = np.linalg.eigvalsh(np.cov(torch.cat(whole).double().numpy().T))[::-1]
    assert variances[:2].sum() > 0.95 * variances.sum()
    again = stream(synthetic=options)
    assert torch.equal(again(0).values, batches[0].values)
    assert not torch.equal(stream(synthetic=options, seed=1)(0).values, batches[0].values)


def test_too_few_samples_to_hold_one_out_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"must hold out a sample, got 0\.2 of 3 training"):
        stream(synthetic=SyntheticSamplesConfig(n_samples=3))


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_validation_share_is_needed(share: float) -> None:
    with pytest.raises(ValidationError, match="validation_share"):
        SampleStreamConfig(validation_share=share)


def test_the_held_out_samples_are_of_all_sizes_when_asked(card: str, tmp_path: Path) -> None:
    """Labels as text, as cards have them, are ordered as the numbers they are."""
    file = tmp_path / f"{card}.parquet"
    number = pl.col("series_id").str.split("|").list.last().cast(pl.Int64)
    pl.read_parquet(file).with_columns(label=(2.0 * number).cast(pl.String)).write_parquet(file)
    held = sorted(int(i) for batch in validation(stream(card, stratified=True)) for i in batch.item)
    assert [item // 5 for item in held] == list(range(N_TRAIN // 5))


def test_labels_travel_with_the_samples_and_synthetic_ones_have_none(card: str) -> None:
    found = stream(card).labelled
    assert found is not None
    assert (found.longest, len(found.samples)) == (LONGEST, N_TRAIN)
    assert set(found.samples.labels.tolist()) == {"0.5"}
    assert stream().labelled is None
    with pytest.raises(ConfigError, match="stratified must be false for synthetic samples, which"):
        stream(stratified=True)
