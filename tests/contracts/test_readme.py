"""The first thing a newcomer types must work as printed."""

import re
from pathlib import Path

import pytest

from tsfm import cli
from tsfm.config import load_recipe
from tsfm.errors import DataError
from tsfm.jobs import finetune
from tsfm.tracking import NoTracker

README = Path(__file__).parents[2] / "README.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), flags=re.DOTALL)


def test_the_python_blocks_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = _blocks("python")
    assert blocks
    scope: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), scope)
    assert (tmp_path / "forecast.parquet").is_file()


def test_the_recipe_for_files_of_ones_own_lacks_the_pool_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (README.parent / "data" / "README.md").read_text()
    (recipe,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    Path("mine.toml").write_text(recipe)
    with pytest.raises(DataError, match=r"a pool must have a readable index.json, got pool: "):
        finetune.run(load_recipe("mine.toml"), tracker=NoTracker())


def test_every_verb_stands_in_the_readme() -> None:
    text = README.read_text()
    for name in cli.app:
        if not name.startswith("-"):
            assert f"tsfm {name}" in text, name


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in set(re.findall(r"`?make ([a-z]+)", README.read_text())):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_the_tree_names_what_is_there() -> None:
    (tree,) = _blocks("text")
    for line in tree.splitlines():
        name = line.split()[0]
        assert (README.parent / name).exists(), name
