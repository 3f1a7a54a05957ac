"""A Timer that was trained without seasons learns to use them, from where it was."""

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


def started(tmp_path: Path, model: str) -> Path:
    """Write a recipe that goes on from a checkpoint with seasons."""
    sections = dict(load_recipe("timer_tiny").sections)
    del sections["model"]
    sections["start"] = {"model": model, "seasons": True}
    file = tmp_path / "seasons.toml"
    file.write_text("# Goes on.\n" + dump(sections), encoding="utf-8")
    return file


def test_a_checkpoint_goes_on_with_seasons_and_is_loaded_with_them(tmp_path: Path) -> None:
    first = tmp_path / "first"
    pretrain.run(load_recipe("timer_tiny", [f"run.output={first}", *SHORT]), tracker=ListTracker())
    before = load_pretrained(first / "checkpoint")
    assert before.backbone.season is None
    file = started(tmp_path, str(first / "checkpoint"))
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
    with pytest.raises(ConfigError, match="plain Timer to start from, got TimerFill"):
        finetune.run(load_recipe(started(tmp_path, "tsfm-fill")), tracker=ListTracker())
