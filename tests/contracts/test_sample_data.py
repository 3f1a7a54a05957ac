"""The sample series travel with the package: small, unchanged, free to give away."""

import hashlib
import tomllib
from pathlib import Path

import polars as pl
import pytest

SAMPLES = {"el_nino": (732, 0), "mauna_loa_co2": (2225, 59)}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_what_its_card_says(name: str, checkout: Path) -> None:
    folder = checkout / "data" / name
    card = tomllib.loads((folder / "card.toml").read_text())
    content = (folder / card["file"]).read_bytes()
    assert card["name"] == name
    assert card["role"] == "sample"
    assert card["licence"] == "public domain"
    assert hashlib.sha256(content).hexdigest() == card["sha256"]
    frame = pl.read_csv(content, try_parse_dates=True)
    assert [card["item_id"], card["timestamp"], *card["channels"]] == frame.columns
    assert len(frame) == SAMPLES[name][0]


def test_the_weekly_sample_has_the_gaps_that_its_title_names(checkout: Path) -> None:
    frame = pl.read_csv(checkout / "data/mauna_loa_co2/mauna_loa_co2.csv", try_parse_dates=True)
    stamps = frame["timestamp"]
    weeks = (stamps.max() - stamps.min()).days // 7 + 1
    assert weeks - len(frame) == SAMPLES["mauna_loa_co2"][1]


def test_what_the_wheel_carries_is_small(checkout: Path) -> None:
    size = sum(file.stat().st_size for file in (checkout / "data").rglob("*") if file.is_file())
    assert size < 1_000_000
