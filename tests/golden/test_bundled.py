"""The bundled models are what users meet first: small, honest about their data, and useful."""

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

import tsfm
from tsfm.models.backbone import count_parameters
from tsfm.models.pretrained import bundled_models, load_pretrained
from tsfm.series.cards import list_cards, load_card
from tsfm.tasks.forecast import Forecaster

NAMES = bundled_models()
DAY, HORIZON = 24, 48


def folder_of(name: str) -> Path:
    return Path(tsfm.__file__).parent / "checkpoints" / name


def test_the_default_model_is_bundled() -> None:
    assert "tsfm-small" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_is_small_and_no_pickle(name: str) -> None:
    files = {file.name: file.stat().st_size for file in folder_of(name).iterdir()}
    assert set(files) - {"failures.svg"} == {"config.json", "model.safetensors", "README.md"}
    assert sum(files.values()) <= 12 * 2**20
    assert count_parameters(load_pretrained(name)) <= 3_000_000


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_model_says_what_it_has_seen(name: str) -> None:
    provenance = load_pretrained(name).provenance
    assert provenance.training_cutoff is not None
    assert date.fromisoformat(provenance.training_cutoff) <= date.today()
    assert provenance.licence
    assert 0 <= provenance.synthetic_share <= 1
    assert set(provenance.trained_on) <= set(list_cards())
    for card in map(load_card, provenance.trained_on):
        assert card.role != "benchmark", card.name
        assert not card.non_commercial, card.name


@pytest.mark.parametrize("name", NAMES)
def test_card_and_config_of_a_bundled_model_agree(name: str) -> None:
    config = json.loads((folder_of(name) / "config.json").read_text(encoding="utf-8"))
    card = (folder_of(name) / "README.md").read_text(encoding="utf-8")
    assert config["format"] == 1
    assert f"{count_parameters(load_pretrained(name)):,} parameters" in card
    assert f"licence of the weights: {config['licence']}" in card
    assert f"training cut-off: {config['training_cutoff']}" in card
    of_data = card[card.index("## Training data") :]
    assert re.findall(r"^(?:- |\| )`(\w+)`", of_data, re.MULTILINE) == config["trained_on"]


def errors(noise: float, phase: int) -> tuple[float, float, float]:
    """Mean absolute errors of model, last value and last season against a clean daily wave."""
    step = np.arange(14 * DAY + HORIZON)
    wave = 10 + 2 * np.sin(2 * np.pi * step / DAY + phase)
    seen = (wave + noise * np.random.default_rng(phase).normal(size=len(wave)))[:-HORIZON]
    model = Forecaster.from_pretrained("tsfm-small", device="cpu")
    median = model.forecast_arrays(seen[:, None], np.array([0, len(seen)]), HORIZON, (0.5,))
    rivals = np.full(HORIZON, seen[-1]), np.tile(seen[-DAY:], HORIZON // DAY)
    first, second, third = (
        float(np.abs(forecast - wave[-HORIZON:]).mean())
        for forecast in (median[0, 0, :, 0], *rivals)
    )
    return first, second, third


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_clean_wave_is_continued(phase: int) -> None:
    model, last_value, _ = errors(0.0, phase)
    assert model < 0.1 * last_value


@pytest.mark.parametrize("phase", [0, 1, 2])
def test_a_noisy_wave_is_continued_better_than_by_its_last_season(phase: int) -> None:
    model, _, last_season = errors(0.6, phase)
    assert model < 0.7 * last_season
