"""Rooms import downwards only, and every one of them stands in the list of layers."""

import subprocess
import sys
import tomllib
from pathlib import Path

LAZY = ("import importlib", "from typing import TYPE_CHECKING")


def _layers(checkout: Path) -> list[str]:
    settings = tomllib.loads((checkout / "pyproject.toml").read_text())
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    return [name for line in contract["layers"] for name in line.split(" | ")]


def test_imports_point_downwards(checkout: Path) -> None:
    answer = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout


def test_every_room_is_a_layer(checkout: Path) -> None:
    package = checkout / "tsfm"
    rooms = {f"tsfm.{file.parent.name}" for file in package.glob("*/__init__.py")}
    files = {f"tsfm.{file.stem}" for file in package.glob("[!_]*.py")}
    assert rooms | files == set(_layers(checkout))


def test_an_init_of_a_room_does_no_work(checkout: Path) -> None:
    for file in (checkout / "tsfm").glob("*/**/__init__.py"):
        code = [
            line
            for line in file.read_text().splitlines()
            if line.startswith(("import ", "from ", "def ", "class "))
        ]
        # The stocks room is public as a whole: its face imports a name when it is first used.
        if file.parent.name == "stocks":
            code = [line for line in code if not line.startswith(("def __", *LAZY))]
        assert not code, file


def test_a_lazy_room_brings_nothing_until_it_is_asked() -> None:
    script = "import sys, tsfm.stocks; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
