"""Few-shot curves and fine-tuning stand on this: every training window once, none of the test."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from tsfm.errors import ConfigError, DataError
from tsfm.series import cards
from tsfm.training.dataset_stream import DatasetStream, DatasetStreamConfig

ROWS, SPLIT, WINDOW = 500, (300, 100, 100), 64


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two channels that count their rows, so that a value tells where it was."""
    step = np.arange(ROWS, dtype=float)
    frame = pl.DataFrame(
        {"item_id": "one", "timestamp": np.arange(ROWS), "a": step, "b": step + 1000}
    )
    card = cards.load_card("ETTh1")
    changed = {
        "name": "count",
        "item_id": "item_id",
        "timestamp": "timestamp",
        "channels": ("a", "b"),
    }
    fake = cards.DatasetCard(**{**card.__dict__, **changed})
    monkeypatch.setattr("tsfm.series.ltsf_set.load_card", lambda _: fake)
    monkeypatch.setattr("tsfm.training.dataset_stream.load_card", lambda _: fake)
    monkeypatch.setattr("tsfm.series.card_series.load_dataset", lambda _: frame.lazy())
    return "count"


def stream(card: str, **changes: object) -> DatasetStream:
    config = DatasetStreamConfig(
        **{
            "dataset": card,
            "split": SPLIT,
            "window_length": WINDOW,
            "windows_per_batch": 50,
            **changes,
        }
    )
    return DatasetStream(config, seed=0)


def last_rows(found: DatasetStream, values: np.ndarray) -> np.ndarray:
    """Row of the last step of every window: values are standardised counts."""
    scale = found._pool.scaler.scale[0]
    rows = np.arange(SPLIT[0] + SPLIT[1], dtype=float)
    scaled = (rows - rows[: SPLIT[0]].mean()) / rows[: SPLIT[0]].std()
    assert scale == pytest.approx(1.0)
    return np.abs(values[:, -1, 0].numpy()[:, None] - scaled).argmin(1)


def test_an_epoch_has_every_training_window_once_and_no_other(card: str) -> None:
    found = stream(card)
    batches = [found(number) for number in range(found.batches_per_epoch)]
    pairs = [
        (int(item), int(row))
        for batch in batches
        for item, row in zip(batch.item, last_rows(found, batch.values), strict=True)
    ]
    assert sorted(pairs) == [(c, row) for c in (0, 1) for row in range(WINDOW - 1, SPLIT[0])]
    again = found(found.batches_per_epoch)
    assert last_rows(found, again.values).tolist() != last_rows(found, batches[0].values).tolist()


def test_validation_windows_end_in_the_validation_rows(card: str) -> None:
    found = stream(card)
    rows = np.concatenate([last_rows(found, found.validation(n).values) for n in range(4)])
    assert rows.min() >= SPLIT[0]
    assert rows.max() < SPLIT[0] + SPLIT[1]


@pytest.mark.parametrize(
    ("which", "first", "last"), [("earliest", 63, 86), ("latest", 276, 299), ("random", 63, 299)]
)
def test_few_shot_takes_its_share_of_every_channel(
    card: str, which: str, first: int, last: int
) -> None:
    found = stream(card, share=0.1, which=which, windows_per_batch=1000)
    batch = found(0)
    rows = last_rows(found, batch.values)
    assert np.bincount(batch.item.numpy()).tolist() == [24, 24]
    assert rows.min() >= first
    assert rows.max() <= last
    if which == "random":
        assert rows.max() - rows.min() > 100


def test_a_window_longer_than_the_training_rows_is_refused(card: str) -> None:
    with pytest.raises(ConfigError, match=r"at most the 300 training rows of count.*=301"):
        stream(card, window_length=301)


def test_only_validation_rows_are_targets_of_a_validation(card: str) -> None:
    found = stream(card)
    batch = found.validation(0)
    assert batch.supervised is not None
    ends = last_rows(found, batch.values)
    rows = ends[:, None] - WINDOW + 1 + np.arange(WINDOW)
    assert np.array_equal(batch.supervised[..., 0].numpy(), rows >= SPLIT[0])
    assert batch.observed.all()
    assert found(0).supervised is None


def test_channels_together_make_one_window(card: str) -> None:
    """Both channels count the same rows, so in a window they are equal; and each end comes once."""
    found = stream(card, channels="together")
    batches = [found(number) for number in range(found.batches_per_epoch)]
    assert batches[0].values.shape == (50, WINDOW, 2)
    for batch in batches:
        torch.testing.assert_close(batch.values[..., 0], batch.values[..., 1])
        assert batch.observed.all()
        assert batch.inside.all()
        assert not batch.item.any()
    rows = np.concatenate([last_rows(found, batch.values) for batch in batches])
    assert sorted(rows.tolist()) == list(range(WINDOW - 1, SPLIT[0]))
    held = found.validation(0)
    assert held.supervised is not None
    assert held.supervised.shape == held.values.shape
    assert last_rows(found, held.values).min() >= SPLIT[0]


def test_missing_values_are_refused_or_kept_as_missing(
    card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = np.arange(ROWS, dtype=float)
    gaps = np.where(step % 7 == 3, np.nan, step)
    frame = pl.DataFrame(
        {"item_id": "one", "timestamp": np.arange(ROWS), "a": gaps, "b": step + 1000}
    )
    monkeypatch.setattr("tsfm.series.card_series.load_dataset", lambda _: frame.lazy())
    with pytest.raises(DataError, match=r"without missing values, got .* and 71 missing"):
        stream(card)
    batch = stream(card, channels="together", missing="keep")(0)
    assert batch.observed[..., 1].all()
    share = batch.observed[..., 0].double().mean()
    assert share == pytest.approx(6 / 7, abs=0.01)
    assert not batch.values[~batch.observed].any()
    assert batch.values.isfinite().all()


def test_a_channel_without_a_training_value_is_refused(
    card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = np.arange(ROWS, dtype=float)
    late = np.where(step < SPLIT[0], np.nan, step)
    frame = pl.DataFrame({"item_id": "one", "timestamp": np.arange(ROWS), "a": step, "b": late})
    monkeypatch.setattr("tsfm.series.card_series.load_dataset", lambda _: frame.lazy())
    with pytest.raises(DataError, match="training value in every channel, got none in channel 1"):
        stream(card, missing="keep")
