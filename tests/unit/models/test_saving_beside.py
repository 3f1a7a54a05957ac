"""Saving never costs a user a file, and says where it cannot go."""

from pathlib import Path

import pytest

from tsfm.errors import ConfigError
from tsfm.models.pretrained import load_pretrained, save_pretrained


@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors"])
@pytest.mark.parametrize("text", ["my own", "{}", "[]"])
def test_files_of_somebody_else_are_not_written_over(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    message = rf"saved to a folder of its own, got .*\['{name}'\] is of no checkpoint; name another"
    with pytest.raises(ConfigError, match=message):
        save_pretrained(load_pretrained("tsfm-small"), tmp_path)
    assert [file.read_text() for file in tmp_path.iterdir()] == [text]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match=rf"that can be made, got .*{name}: .*; name another"):
        save_pretrained(load_pretrained("tsfm-small"), tmp_path / name)


def test_a_checkpoint_is_written_over_another_and_over_half_of_one(tmp_path: Path) -> None:
    model = load_pretrained("tsfm-small")
    (tmp_path / "notes.txt").write_text("mine")
    for missing in (None, None, "config.json", "model.safetensors"):
        save_pretrained(model, tmp_path)
        assert load_pretrained(tmp_path).name == model.name
        if missing is not None:
            (tmp_path / missing).unlink()
    (tmp_path / "config.json").unlink()
    save_pretrained(model, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
