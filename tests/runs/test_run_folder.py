"""A run by recipe never writes over what is of no run, or of a run of another verb."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import finetune, pretrain
from tsfm.jobs.run_folder import MARK
from tsfm.series.pool import SingleSeriesPool
from tsfm.series.pool_builder import save_pool
from tsfm.tracking import ListTracker

SHORT = ("training.steps=1", "data.config.bank_rows=128", "data.config.points_per_batch=512")


def trained(output: str | Path, *overrides: str) -> dict[str, object]:
    recipe = load_recipe("timer_tiny", [f"run.output={output}", *SHORT, *overrides])
    return pretrain.run(recipe, tracker=ListTracker())


@pytest.mark.parametrize(
    ("verb", "recipe", "name"),
    [
        ("pretrain", "timer_tiny", "config.toml"),
        ("pretrain", "timer_tiny", "log.jsonl"),
        ("finetune", "ltsf_finetune", "config.toml"),
        ("evaluate", "zero_shot", "config.toml"),
        ("evaluate", "zero_shot", "results.parquet"),
        ("backtest", "sspt_nasdaq_corrected", "config.toml"),
        ("backtest", "sspt_nasdaq_corrected", "report.json"),
    ],
)
def test_a_file_of_somebody_else_is_refused_and_stays(
    verb: str, recipe: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("# mine\n[run]\nseed = 0\n")
    job = import_module(f"tsfm.jobs.{verb}")
    with pytest.raises(ConfigError, match=rf"own, got \., where \['{name}'\] is of no run"):
        job.run(load_recipe(recipe, ["run.output=."]), tracker=ListTracker())
    assert Path(name).read_text() == "# mine\n[run]\nseed = 0\n"
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("verb", "recipe"), [("evaluate", "zero_shot"), ("backtest", "sspt_nasdaq_corrected")]
)
@pytest.mark.parametrize("below", ["", "/run"])
def test_a_file_is_no_place_for_a_run(verb: str, recipe: str, below: str, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    job = import_module(f"tsfm.jobs.{verb}")
    with pytest.raises(ConfigError, match=r"run\.output must be a folder, got .*/mine is a file;"):
        job.run(load_recipe(recipe, [f"run.output={tmp_path}/mine{below}"]), tracker=ListTracker())


def test_a_run_goes_on_in_its_folder_and_in_that_of_an_earlier_version(tmp_path: Path) -> None:
    first = trained(tmp_path)
    config = tmp_path / "config.toml"
    assert config.read_text().startswith(MARK)
    assert trained(tmp_path)["loss"] == first["loss"]
    config.write_text(config.read_text().removeprefix(MARK))
    assert trained(tmp_path)["loss"] == first["loss"]


def test_a_fine_tuning_does_not_go_on_with_a_pre_training(tmp_path: Path) -> None:
    trained(tmp_path)
    own = tmp_path / "own.toml"
    own.write_text(
        f"[start]\nmodel = {str(tmp_path / 'checkpoint')!r}\n[data]\nname = 'pool'\n"
        "[objective]\nname = 'next_patch'\n[training]\nsteps = 1\n"
    )
    recipe = load_recipe(own, [f"run.output={tmp_path}", *SHORT])
    with pytest.raises(ConfigError, match=r"with a run of tsfm pretrain; name another folder"):
        finetune.run(recipe, tracker=ListTracker())


def test_a_place_that_no_checkpoint_can_take_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="a checkpoint must be saved to a folder of its own"):
        trained(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_a_tilde_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    waves = SingleSeriesPool.from_series([np.sin(np.arange(200) / 3)])
    save_pool(waves, tmp_path / "home" / "pool")
    trained("~/mine", "data.config.pool=~/pool")
    assert (tmp_path / "home" / "mine" / "report.json").is_file()
    assert [file.name for file in tmp_path.iterdir()] == ["home"]
