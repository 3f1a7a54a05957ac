"""A card is the whole description of a data set: it must be right, and the file must be as it says.

The files themselves are not kept here; those that TSFM_DATA names are checked against their cards.
"""

import os
import tomllib
from pathlib import Path

import polars as pl
import pytest
from from_packages.command import PACKAGES

from tsfm.series.cards import find_file, list_cards, load_card, load_dataset
from tsfm.series.frequency import parse_alias

NAMES = list_cards()
PUBLISHED = {
    "car_parts": (12, 12, "monash_car_parts", "zero"),
    "exchange_rate": (30, 5, "exchange_rate", "keep"),
    "hospital": (12, 12, "monash_hospital", "keep"),
    "m1_monthly": (18, 12, "monash_m1_monthly", "keep"),
    "m1_quarterly": (8, 4, "monash_m1_quarterly", "keep"),
    "m4_hourly": (48, 24, "m4_hourly", "keep"),
    "nn5_daily": (56, 1, "nn5", "weekday_median"),
    "tourism_monthly": (24, 12, "monash_tourism_monthly", "keep"),
}


def test_every_folder_of_data_has_a_card(checkout: Path) -> None:
    folders = {path.name for path in (checkout / "data").iterdir() if path.is_dir()}
    assert folders - {"from_packages"} == set(NAMES)


def test_every_held_out_set_has_a_maker_and_every_maker_a_card() -> None:
    made = {name: package for package, sets in PACKAGES.items() for name in sets}
    cards = {name: load_card(name) for name in NAMES if load_card(name).role == "held_out"}
    assert set(cards) == set(made)
    for name, card in cards.items():
        assert card.source.startswith(f"PyPI {made[name]}, ")
        assert card.file == f"{name}.parquet"


def test_the_makers_are_not_in_the_wheel(checkout: Path) -> None:
    settings = tomllib.loads((checkout / "pyproject.toml").read_text())
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["sources"] == {"data": "tsfm/_data"}
    assert wheel["exclude"] == ["data/from_packages"]


@pytest.mark.parametrize("name", NAMES)
def test_a_card_is_complete(name: str) -> None:
    card = load_card(name)
    assert len(card.sha256) == 64
    assert len(set(card.channels)) == len(card.channels) > 0
    assert card.seasonality >= 1
    if card.freq not in (None, "step"):
        parse_alias(card.freq)
    if card.role != "benchmark":
        assert card.zero_shot is card.ltsf is None


def test_sets_with_published_scores_are_scored_as_published() -> None:
    found = {}
    for name in NAMES:
        zero_shot = load_card(name).zero_shot
        if zero_shot is not None and zero_shot.published_name:
            found[name] = (
                zero_shot.prediction_length,
                zero_shot.seasonality,
                zero_shot.published_name,
                zero_shot.missing,
            )
    assert found == PUBLISHED


def test_recipes_and_cards_agree_on_splits_and_missing_values(checkout: Path) -> None:
    recipes = checkout / "tsfm" / "recipes"
    splits = tomllib.loads((recipes / "ltsf.toml").read_text())["evaluate"].get("splits", {})
    for name, rows in splits.items():
        ltsf = load_card(name).ltsf
        assert ltsf is not None
        assert list(ltsf.split) == rows
    missing = tomllib.loads((recipes / "zero_shot.toml").read_text())["evaluate"].get("missing", {})
    for name, rule in missing.items():
        zero_shot = load_card(name).zero_shot
        assert zero_shot is not None
        assert zero_shot.missing == rule


@pytest.mark.skipif(
    "TSFM_DATA" not in os.environ, reason="TSFM_DATA must name the folder of the data files"
)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_as_its_card_says(name: str) -> None:
    card = load_card(name)
    if find_file(card) is None:
        pytest.skip(f"{card.file} is not in TSFM_DATA")
    frame = load_dataset(name)
    schema = frame.collect_schema()
    assert {card.item_id, card.timestamp, *card.channels} <= set(schema)
    assert (card.freq == "step") == schema[card.timestamp].is_integer()
    counts = frame.select(
        rows=pl.len(),
        series=pl.col(card.item_id).n_unique(),
        values=pl.sum_horizontal(pl.col(channel).count() for channel in card.channels),
    ).collect()
    if card.n_rows is not None:
        assert counts.row(0) == (card.n_rows, card.n_series, card.n_obs)
