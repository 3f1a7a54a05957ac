"""Few-shot curves and fine-tuning stand on this: every training window once, none of the test."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.errors import ConfigError
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
