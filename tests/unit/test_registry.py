"""A registry is the only place where a name in a recipe becomes a class."""

import sys
from pathlib import Path

import pytest

from tsfm.errors import ConfigError
from tsfm.registry import Registry, discover


@pytest.fixture
def colours() -> Registry[type]:
    registry: Registry[type] = Registry("colour")
    registry.register("red")(int)
    registry.register("blue")(str)
    return registry


def test_a_registered_class_is_found_by_its_name(colours: Registry[type]) -> None:
    assert colours["red"] is int


def test_names_come_sorted_and_counted(colours: Registry[type]) -> None:
    assert list(colours) == ["blue", "red"]
    assert len(colours) == 2


def test_an_unknown_name_lists_the_valid_ones(colours: Registry[type]) -> None:
    with pytest.raises(ConfigError, match=r"colour must be one of \['blue', 'red'\], got 'green'"):
        colours["green"]


def test_a_name_cannot_be_taken_twice(colours: Registry[type]) -> None:
    with pytest.raises(ConfigError, match="colour 'red' is registered twice; choose another"):
        colours.register("red")(float)


def test_registering_the_same_class_again_changes_nothing(colours: Registry[type]) -> None:
    colours.register("red")(int)
    assert len(colours) == 2


def test_discover_imports_every_module_of_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "found_by_discover"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("seen = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    discover("found_by_discover")
    assert sys.modules["found_by_discover.part"].seen
