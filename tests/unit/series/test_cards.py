"""Names must lead to the right file on every machine, or to a message that says what to do."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from tsfm.errors import DataError
from tsfm.series import cards

TEXT = """name = "toy"
title = "A toy"
role = "pretrain"
source = "made up"
licence = "CC0"
sha256 = "0"
file = "toy.parquet"
format = "parquet"
item_id = "item_id"
timestamp = "timestamp"
channels = ["target"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cards that holds one."""
    (tmp_path / "cards" / "toy").mkdir(parents=True)
    (tmp_path / "cards" / "toy" / "card.toml").write_text(TEXT)
    monkeypatch.setattr(cards, "CARD_FOLDERS", (tmp_path / "nowhere", tmp_path / "cards"))
    monkeypatch.delenv("TSFM_DATA", raising=False)
    return tmp_path / "cards"


def test_cards_of_the_checkout_are_found_by_name() -> None:
    assert {"el_nino", "ETTh1", "uk_grid"} <= set(cards.list_cards())
    assert cards.load_card("el_nino").freq == "MS"


def test_a_card_with_only_what_is_required_has_defaults(folder: Path) -> None:
    card = cards.load_card("toy")
    assert (card.seasonality, card.freq, card.zero_shot, card.ltsf) == (1, None, None, None)


def test_an_unknown_name_is_answered_with_near_ones(folder: Path) -> None:
    with pytest.raises(DataError, match=r"got 'tou'; did you mean toy\?"):
        cards.load_card("tou")
    with pytest.raises(DataError, match="got 'zzz'; tsfm data list shows them all"):
        cards.load_card("zzz")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TEXT + 'licens = "x"\n', "licens: Unexpected keyword"),
        (TEXT.replace('role = "pretrain"', 'role = "other"'), "role: Input should be 'sample'"),
        (TEXT.replace('sha256 = "0"\n', ""), "sha256: Field required"),
        (TEXT.replace('name = "toy"', 'name = "joy"'), "must be that of its folder, got 'joy'"),
        (TEXT + "[zero_shot]\nprediction_length = 3\n", "zero_shot.seasonality: Field required"),
        (TEXT + "=", "a card must be valid TOML"),
    ],
)
def test_a_malformed_card_is_refused(folder: Path, text: str, problem: str) -> None:
    (folder / "toy" / "card.toml").write_text(text)
    with pytest.raises(DataError, match=problem):
        cards.load_card("toy")


def test_a_file_in_place_of_a_card_is_led_to_what_reads_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("mine.csv").touch()
    said = "got 'mine.csv'; files of your own are for tsfm.cross_validation, tsfm data build and"
    with pytest.raises(DataError, match=said):
        cards.load_card("mine.csv")


def test_splits_are_rows_or_shares(folder: Path) -> None:
    for split in ("[8, 2, 2]", "[0.7, 0.1, 0.2]"):
        (folder / "toy" / "card.toml").write_text(f"{TEXT}[ltsf]\nsplit = {split}\n")
        ltsf = cards.load_card("toy").ltsf
        assert ltsf is not None
        assert str(list(ltsf.split)) == split


def test_a_file_beside_its_card_comes_before_the_folder_of_the_environment(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = cards.load_card("toy")
    assert cards.find_file(card) is None
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    (tmp_path / "toy.parquet").touch()
    assert cards.find_file(card) == tmp_path / "toy.parquet"
    (folder / "toy" / "toy.parquet").touch()
    assert cards.find_file(card) == folder / "toy" / "toy.parquet"


def test_a_file_that_is_not_here_is_named_with_its_source(folder: Path) -> None:
    with pytest.raises(DataError, match=r"toy.parquet must be in .*not set.*made up"):
        cards.load_dataset("toy")


def test_a_data_set_is_opened_and_not_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    frame = pl.DataFrame({"item_id": ["a"], "timestamp": [1], "target": [2.0]})
    frame.write_parquet(tmp_path / "toy.parquet")
    opened = cards.load_dataset("toy")
    assert isinstance(opened, pl.LazyFrame)
    assert opened.collect().equals(frame)


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ('["target", "target"]', "must name columns once each, got .*'target', 'target'"),
        ('["item_id"]', "must name columns once each, got"),
        ("[]", "channels: .* at least 1 item"),
    ],
)
def test_a_card_names_every_column_once(folder: Path, channels: str, said: str) -> None:
    (folder / "toy" / "card.toml").write_text(TEXT.replace('["target"]', channels))
    with pytest.raises(DataError, match=said):
        cards.load_card("toy")


def test_a_file_that_cannot_be_read_or_lacks_a_column_is_named(folder: Path) -> None:
    file = folder / "toy" / "toy.parquet"
    file.write_text("no Parquet")
    with pytest.raises(DataError, match=r"toy.parquet must be a readable parquet file, got: .*"):
        cards.load_dataset("toy")
    pl.DataFrame({"timestamp": [0], "y": [1.0]}).write_parquet(file)
    with pytest.raises(DataError, match=r"without \['item_id', 'target'\]; correct the card"):
        cards.load_dataset("toy")


def test_the_csv_sample_has_real_stamps() -> None:
    frame = cards.load_dataset("mauna_loa_co2").collect()
    assert frame.schema["timestamp"].is_temporal()
    assert frame.height == 2225


def test_a_digest_is_that_of_the_whole_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192 + b"end"
    (tmp_path / "file").write_bytes(content)
    assert cards.file_digest(tmp_path / "file") == hashlib.sha256(content).hexdigest()
