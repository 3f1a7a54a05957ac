"""A smaller Timer goes on with seasons or more layers, from where it was."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import finetune, pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.toml_text import dump
from tsfm.tracking import ListTracker

SHORT = ("training.steps=3", "training.log_every=1")


def started(tmp_path: Path, model: str, **start: object) -> Path:
    """Write a recipe that goes on from a checkpoint."""
    sections = dict(load_recipe("timer_tiny").sections)
    del sections["model"]
    sections["start"] = {"model": model, **start}
    file = tmp_path / "grown.toml"
    file.write_text("# Goes on.\n" + dump(sections), encoding="utf-8")
    return file


def test_a_checkpoint_goes_on_with_seasons_and_is_loaded_with_them(tmp_path: Path) -> None:
    first = tmp_path / "first"
    pretrain.run(load_recipe("timer_tiny", [f"run.output={first}", *SHORT]), tracker=ListTracker())
    before = load_pretrained(first / "checkpoint")
    assert before.backbone.season is None
    file = started(tmp_path, str(first / "checkpoint"), seasons=True)
    output = f"run.output={tmp_path / 'second'}"
    finetune.run(load_recipe(file, [output, *SHORT]), tracker=ListTracker())
    after = load_pretrained(tmp_path / "second" / "checkpoint")
    assert after.backbone.config.seasons
    weights = load_file(tmp_path / "second" / "checkpoint" / "model.safetensors")
    moved = [name for name, one in weights.items() if name.startswith("season") and one.any()]
    assert {"season.toward.weight", "season.embedding.skip.weight"} <= set(moved)
    values = torch.sin(torch.arange(96.0) / 2)[None, :, None]
    windows = values, torch.ones_like(values).bool(), torch.ones(1, 96).bool()
    forecasts = [one.backbone.forecast_patches(*windows).values for one in (before, after)]
    assert not torch.equal(*forecasts)


def test_a_model_that_cannot_read_seasons_is_refused_before_any_data_is_read(
    tmp_path: Path,
) -> None:
    file = started(tmp_path, "tsfm-fill", seasons=True)
    with pytest.raises(ConfigError, match="plain Timer to start from, got TimerFill"):
        finetune.run(load_recipe(file), tracker=ListTracker())


def test_a_checkpoint_goes_on_with_more_layers_and_is_loaded_with_them(tmp_path: Path) -> None:
    first = tmp_path / "first"
    pretrain.run(load_recipe("timer_tiny", [f"run.output={first}", *SHORT]), tracker=ListTracker())
    layers = load_pretrained(first / "checkpoint").backbone.config.n_layers
    file = started(tmp_path, str(first / "checkpoint"), layers=layers + 1, kept_share=0.5)
    output = f"run.output={tmp_path / 'second'}"
    finetune.run(load_recipe(file, [output, *SHORT]), tracker=ListTracker())
    after = load_pretrained(tmp_path / "second" / "checkpoint").backbone
    assert after.config.n_layers == layers + 1
    assert after.blocks[layers].attention.output.weight.any()


def test_fewer_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"layers must be \d or more, which the checkpoint has"):
        finetune.run(load_recipe(started(tmp_path, "tsfm-small", layers=1)), tracker=ListTracker())
