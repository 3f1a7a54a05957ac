"""Overrides of a recipe, as ``--set section.key=value`` gives them."""

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from tsfm.errors import ConfigError

# A dot with an even number of quotes after it, so that it is within none.
DOT = re.compile(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)')


def override(sections: dict[str, Any], overrides: Sequence[str]) -> None:
    """Put the values of assignments into nested sections; later ones win.

    Raises
    ------
    ConfigError
        When one is malformed, or reaches into a value that is no section.
    """
    for path, value in parse_overrides(overrides):
        _assign(sections, path, value)


def parse_overrides(overrides: Sequence[str]) -> list[tuple[tuple[str, ...], Any]]:
    """Split assignments into path and value; a value is TOML, or else the text as it stands.

    Quotes stand around a part of the path as in TOML, and keep its dots together.

    Raises
    ------
    ConfigError
        When an assignment has not that form, or a value in brackets is no TOML.

    Examples
    --------
    >>> parse_overrides(["training.steps=100", "run.device=cpu", 'a."v1.5"=true'])
    [(('training', 'steps'), 100), (('run', 'device'), 'cpu'), (('a', 'v1.5'), True)]
    """
    assignments = []
    for override in overrides:
        key, sign, text = override.partition("=")
        path = tuple(part.strip().strip('"') for part in DOT.split(key))
        if not sign or len(path) < 2 or not all(path):
            raise ConfigError(
                f"an override must read section.key=value, got {override!r}; "
                "for instance training.steps=100"
            )
        assignments.append((path, _value(text.strip())))
    return assignments


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if text[:1] + text[-1:] in ("[]", "{}"):
            raise ConfigError(
                f"a list or table must be valid TOML, got {text!r}; the shell takes quotes away "
                "that are within no others, so write 'section.key=[\"one\"]'"
            ) from None
        return text


def _assign(sections: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    place = sections
    for depth, part in enumerate(path[:-1], 1):
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise ConfigError(
                f"{'.'.join(path[:depth])} must be a section to set {'.'.join(path)}, got {place!r}"
            )
    place[path[-1]] = value
