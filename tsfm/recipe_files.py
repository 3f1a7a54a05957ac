"""Recipes as files: where they are, and one on top of another that it extends."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from tsfm.errors import ConfigError


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes inside this package.

    Examples
    --------
    >>> all(name.isidentifier() for name in recipe_names())
    True
    """
    folder = files("tsfm") / "recipes"
    names = (Path(entry.name) for entry in folder.iterdir())
    return tuple(sorted(name.stem for name in names if name.suffix == ".toml"))


def find_recipe(name: str | Path) -> Path:
    """Return the file of a recipe of the package, or of that path."""
    text = str(name)
    names = recipe_names()
    if text in names:
        return Path(str(files("tsfm") / "recipes" / f"{text}.toml"))
    if Path(text).is_file():
        return Path(text)
    raise ConfigError(
        f"recipe must be one of {list(names)} or the path of a TOML file, got {text!r}"
        f"{suggestion(text, names)}"
    )


def read_recipe(source: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the sections of a recipe on top of those that it extends."""
    try:
        sections = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: a recipe must be valid TOML: {error}") from error
    _refuse_extends_below(sections, source)
    extended = sections.pop("extends", None)
    if extended is None:
        return sections
    # A path is meant from where the recipe that names it lies.
    beside = source.parent / str(extended)
    try:
        found = beside if beside.is_file() else find_recipe(extended)
    except ConfigError as error:
        raise ConfigError(f"{source}: extends: {error}") from None
    found = found.resolve()
    if found in (*below, source.resolve()):
        raise ConfigError(
            f"{source}: extends must not lead back to the recipe itself, got {extended!r}; name "
            "another or remove it"
        )
    return _on_top(sections, read_recipe(found, (*below, source.resolve())))


def _refuse_extends_below(sections: Mapping[str, Any], source: Path, above: str = "") -> None:
    """Refuse an `extends` that TOML counts to a section, since it stands below its header."""
    for name, value in sections.items():
        if not isinstance(value, Mapping):
            continue
        place = f"{above}{name}"
        if isinstance(value.get("extends"), str):
            raise ConfigError(
                f"{source}: extends must stand above the first section, got it below [{place}], to "
                "which it would belong; move it to the top of the file"
            )
        _refuse_extends_below(value, source, f"{place}.")


def _on_top(own: Mapping[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    """Return `of` with all that `own` has, table by table."""
    merged = {**of, **own}
    for key, value in own.items():
        if isinstance(value, Mapping) and isinstance(of.get(key), Mapping):
            merged[key] = _on_top(value, of[key])
    return merged


def suggestion(name: str, names: Sequence[str] | set[str]) -> str:
    """Ask whether a name that is close was meant; nothing where none is."""
    close = difflib.get_close_matches(name, sorted(names), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
