"""Recipes: TOML read into frozen dataclasses, with every problem of a file reported at once.

A config lives beside the code that it configures; here they are only found, overridden and checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass

from tsfm.errors import ConfigError
from tsfm.overrides import override
from tsfm.recipe_files import find_recipe, read_recipe, suggestion
from tsfm.registry import discover

T = TypeVar("T")


@dataclass(frozen=True)
class Recipe:
    """A recipe with its overrides applied.

    Parameters
    ----------
    name
        Stem of the file.
    source
        The file, for messages and for the record.
    sections
        Section name -> raw values.
    """

    name: str
    source: Path
    sections: Mapping[str, Any]


@pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Choice:
    """A section that names an entry of a registry, whose own config is the section within.

    Parameters
    ----------
    name
        As registered.
    config
        Read by the entry's own config class.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)


def discover_all() -> None:
    """Import every room that registers backbones, objectives or data streams."""
    discover("tsfm.models", "tsfm.objectives", "tsfm.training", "tsfm.stocks")


# The section that only the recipes of a verb have.
SECTION_OF_VERB = {
    "pretrain": "model",
    "finetune": "start",
    "evaluate": "evaluate",
    "backtest": "backtest",
}


def load_recipe(name: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Parameters
    ----------
    name
        Name of a recipe of this package, or path of a TOML file. Its first key may be
        ``extends = "another"``: then it says only what is different from that recipe.
    overrides
        Assignments ``section.key=value``; later ones win.

    Raises
    ------
    ConfigError
        When there is no such recipe, it is no TOML, an override is malformed, or recipes extend
        each other in a circle or from within a section.
    """
    source = find_recipe(name)
    sections = read_recipe(source)
    override(sections, overrides)
    return Recipe(source.stem, source, sections)


def check_verb(recipe: Recipe, verb: str) -> None:
    """Raise when a recipe has the section of another verb and not that of its own.

    Raises
    ------
    ConfigError
        Naming the verb that the recipe is for.
    """
    others = [other for other, section in SECTION_OF_VERB.items() if section in recipe.sections]
    if others and verb in SECTION_OF_VERB and verb not in others:
        raise ConfigError(
            f"{recipe.source}: tsfm {verb} must have a recipe with a section "
            f"[{SECTION_OF_VERB[verb]}], got one for tsfm {others[0]}; run tsfm {others[0]} "
            f"{recipe.name}"
        )


def build(cls: type[T], values: Mapping[str, Any], *, section: str, source: str | Path) -> T:
    """Turn one section into its dataclass.

    Raises
    ------
    ConfigError
        With one line per problem: ``file: section.key: what is wrong, got value``.
    """
    built, problems = _checked(cls, values, section, source)
    if problems or built is None:
        raise ConfigError("\n".join(problems))
    return built


def build_sections(recipe: Recipe, classes: Mapping[str, type[Any]]) -> dict[str, Any]:
    """Turn every section of a recipe into its dataclass; absent sections take their defaults.

    Parameters
    ----------
    classes
        Section name -> dataclass. A dotted name such as ``model.config`` is a section within
        one, for which the outer dataclass has a field of any type.

    Raises
    ------
    ConfigError
        With the problems of all sections together, unknown sections included.
    """
    known = {name.split(".")[0] for name in classes}
    problems = [
        f"{recipe.source}: {name}: the section must be one of {sorted(known)}"
        f"{suggestion(name, known)}"
        for name in recipe.sections
        if name not in known
    ]
    built = {}
    for name, cls in classes.items():
        values: Any = recipe.sections
        for part in name.split("."):
            values = values.get(part, {}) if isinstance(values, Mapping) else {}
        built[name], found = _checked(cls, values, name, recipe.source)
        problems += found
    if problems:
        raise ConfigError("\n".join(problems))
    return built


def _checked(
    cls: type[T], values: Any, section: str, source: str | Path
) -> tuple[T | None, list[str]]:
    if not isinstance(values, Mapping):
        return None, [f"{source}: {section}: must be a section [{section}], got {values!r}"]
    try:
        built = TypeAdapter(cls).validate_python(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [f"{source}: {_place(section, one)}: {_words(one)}" for one in found]
    return built, [
        f"{source}: {section}.{name}: must be a number, got {value!r}"
        for name, value in values.items()  # pydantic takes true for one
        if isinstance(value, bool) and not isinstance(getattr(built, name, value), bool)
    ]


def _place(section: str, problem: Any) -> str:
    return ".".join([section, *(str(part) for part in problem["loc"])])


def _words(problem: Any) -> str:
    if problem["type"] == "missing":
        return "must be given, got nothing"
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"there is no such key, got {problem['input']!r}; remove it or correct its name"
    message = problem["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}"
    # A rule between fields says itself what it got; the whole section would bury that.
    is_own = problem["type"] == "value_error" and ", got " in message
    return message if is_own else f"{message}, got {problem['input']!r}"
