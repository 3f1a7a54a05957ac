"""What is delivered can keep a share of the weights that training started from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tsfm.config import dump, load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import finetune, pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.tracking import ListTracker

SHORT = ("training.steps=3", "training.log_every=1")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoint" / "model.safetensors")


def tuned(tmp_path: Path, name: str, **start: object) -> Path:
    """Go on from the checkpoint in `first`."""
    sections = dict(load_recipe("timer_tiny").sections)
    del sections["model"]
    sections["start"] = {"model": str(tmp_path / "first" / "checkpoint"), **start}
    file = tmp_path / f"{name}.toml"
    file.write_text("# Goes on.\n" + dump(sections), encoding="utf-8")
    output = tmp_path / name
    finetune.run(load_recipe(file, [f"run.output={output}", *SHORT]), tracker=ListTracker())
    return output


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


def test_from_scratch_there_is_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="set kept_share or scratch"):
        tuned(tmp_path, "scratch", scratch=True, kept_share=0.5)
