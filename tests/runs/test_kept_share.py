"""What is delivered can keep a share of the weights that training started from."""

import json
from pathlib import Path
from typing import Any

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


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint" / "model.safetensors")


def tuned(tmp_path: Path, name: str, *options: str, begin: str = "first", **start: object) -> Path:
    """Go on from the checkpoint in `begin`."""
    sections = dict(load_recipe("timer_tiny").sections)
    del sections["model"]
    sections["start"] = {"model": str(tmp_path / begin / "checkpoint"), **start}
    file = tmp_path / f"{name}.toml"
    file.write_text("# Goes on.\n" + dump(sections), encoding="utf-8")
    output = tmp_path / name
    overrides = [f"run.output={output}", *SHORT, *options]
    finetune.run(load_recipe(file, overrides), tracker=ListTracker())
    return output


def report(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("mode", ["full", "lora"])
def test_the_share_of_the_weights_before_is_as_asked(tmp_path: Path, mode: str) -> None:
    first = tmp_path / "first"
    pretrain.run(load_recipe("timer_tiny", [f"run.output={first}", *SHORT]), tracker=ListTracker())
    plain, mixed = (
        tuned(tmp_path, "plain", mode=mode),
        tuned(tmp_path, "mixed", mode=mode, kept_share=0.25),
    )
    before, after = weights(first), weights(plain)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    for name, found in weights(mixed).items():
        torch.testing.assert_close(found, 0.75 * after[name] + 0.25 * before[name])
    assert load_pretrained(mixed / "checkpoint").provenance.details["kept_share"] == 0.25
    assert "kept_share" not in load_pretrained(plain / "checkpoint").provenance.details


def test_the_report_has_the_loss_of_what_is_delivered(tmp_path: Path) -> None:
    first = tmp_path / "first"
    pretrain.run(load_recipe("timer_tiny", [f"run.output={first}", *SHORT]), tracker=ListTracker())
    validated = ("training.validate_every=3", "training.validation_batches=2")
    mixed = report(tuned(tmp_path, "mixed", *validated, kept_share=0.5))
    still = ("training.steps=1", "optimizer.learning_rate=1e-12")
    after = report(tuned(tmp_path, "after", *validated, *still, begin="mixed"))
    assert mixed["delivered_validation_loss"] == pytest.approx(after["validation_loss"], rel=1e-5)
    assert mixed["delivered_validation_loss"] != mixed["validation_loss"]
    assert "delivered_validation_loss" not in after


def test_from_scratch_there_is_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set kept_share or scratch"):
        tuned(tmp_path, "scratch", scratch=True, kept_share=0.5)
