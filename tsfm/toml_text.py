"""Nested values as TOML text; the standard library only reads it."""

from collections.abc import Mapping
from datetime import date, time
from typing import Any


def dump(sections: Mapping[str, Any]) -> str:
    """Write sections as TOML; what `tomllib` reads back is equal, None values left out.

    Examples
    --------
    >>> print(dump({"run": {"seed": 1, "name": "first"}}), end="")
    [run]
    seed = 1
    name = "first"
    """
    return "\n".join(_tables((), sections))


def _tables(path: tuple[str, ...], values: Mapping[str, Any]) -> list[str]:
    """Lines of one table and of those within it, with an empty line between tables."""
    plain = {k: v for k, v in values.items() if not isinstance(v, Mapping) and v is not None}
    lines = [f"[{'.'.join(map(_key, path))}]"] if path and (plain or not values) else []
    lines += [f"{_key(key)} = {_literal(value)}" for key, value in plain.items()]
    text = ["\n".join(lines) + "\n"] if lines else []
    for key, value in values.items():
        if isinstance(value, Mapping):
            text += _tables((*path, key), value)
    return text


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if is_bare else _literal(key)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_literal(part) for part in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_literal(v)}" for k, v in value.items()) + "}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08X}" for c in escaped) + '"'
