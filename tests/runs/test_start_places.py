"""What a run started from is found again, wherever it is asked for."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tsfm import cli
from tsfm.config import load_recipe
from tsfm.errors import CheckpointError
from tsfm.jobs import finetune, pretrain
from tsfm.jobs.training_recipe import check_same_run, resolve
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool
from tsfm.toml_text import dump
from tsfm.tracking import ListTracker

SHORT = ("training.steps=2", "data.config.bank_rows=64", "data.config.points_per_batch=512")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe that starts from a checkpoint that is named from where we are."""
    monkeypatch.chdir(tmp_path)
    backbone = Timer(TimerConfig(patch_length=32, d_model=8, n_heads=2, n_layers=1, d_ff=16))
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    for name in ("first", "second"):
        save_pretrained(TimeSeriesModel("timer", backbone, 64, Provenance()), tmp_path / name)
    sections = dict(load_recipe("timer_tiny").sections)
    del sections["model"]
    file = tmp_path / "further.toml"
    file.write_text("# Goes on.\n" + dump({**sections, "start": {"model": "first"}}))
    return file


def tuned(recipe: Path, *overrides: str) -> dict[str, object]:
    settings = [*SHORT, "run.output=tuned", *overrides]
    return finetune.run(load_recipe(recipe, settings), tracker=ListTracker())


def test_a_fine_tuning_is_replayed_from_another_folder(
    tracking_uri: str, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["finetune", str(recipe), "--set", *SHORT, "run.output=tuned"]) == 0
    described = json.loads(Path("tuned/checkpoint/config.json").read_text())
    run_id = described["details"]["run_id"]
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert cli.main(["replay", run_id]) == 0
    assert json.loads(Path(f"runs/replay/{run_id}/report.json").read_text())["differences"] == []


def test_a_run_goes_on_that_recorded_its_start_as_it_was_given(recipe: Path) -> None:
    first = tuned(recipe)
    config = Path("tuned/config.toml")
    absolute = f'model = "{Path("first").absolute()}"'
    assert absolute in config.read_text()
    config.write_text(config.read_text().replace(absolute, 'model = "first"'))
    assert tuned(recipe)["loss"] == first["loss"]


def test_a_run_goes_on_after_it_moved(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tuned(recipe)
    moved = Path("moved")
    moved.mkdir()
    for name in ("first", "second", "tuned"):
        Path(name).rename(moved / name)
    monkeypatch.chdir(moved)
    assert tuned(recipe)["loss"] == first["loss"]


def test_a_run_does_not_go_on_from_another_start(recipe: Path) -> None:
    tuned(recipe)
    with pytest.raises(CheckpointError, match=r"go on as it began, got start\.model='/.*/second'"):
        tuned(recipe, "start.model=second")


def test_a_training_on_a_pool_is_replayed_from_another_folder(
    tracking_uri: str, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves = [np.sin(np.arange(200) / one) for one in (3, 5)]
    save_pool(SingleSeriesPool.from_series(waves), Path("mine"))
    settings = [*SHORT, "run.output=tuned", "data.config.pool=mine"]
    assert cli.main(["finetune", str(recipe), "--set", *settings]) == 0
    described = json.loads(Path("tuned/checkpoint/config.json").read_text())
    run_id = described["details"]["run_id"]
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert cli.main(["replay", run_id]) == 0
    assert json.loads(Path(f"runs/replay/{run_id}/report.json").read_text())["differences"] == []


def test_bars_are_recorded_from_the_root_and_known_again_as_they_were_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("bars.csv", "others.csv"):
        Path(name).write_text("ticker,date,close\n")
    setting = "data.config.panel.dataset=bars.csv"
    parts = pretrain.sections(load_recipe("sspt_tiny", [setting]))
    bars = str(tmp_path / "bars.csv")
    config = dump(resolve(parts))
    assert f'"{bars}"' in config
    for before in ("bars.csv", bars, "/gone/bars.csv"):
        Path("config.toml").write_text(config.replace(f'"{bars}"', f'"{before}"'))
        check_same_run(Path("config.toml"), parts, 1)
    Path("config.toml").write_text(config.replace(f'"{bars}"', '"others.csv"'))
    with pytest.raises(CheckpointError, match=r"got data\.config\.panel\.dataset=.*others\.csv"):
        check_same_run(Path("config.toml"), parts, 1)
