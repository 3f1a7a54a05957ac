"""Whatever we raise on purpose is one of ours, so that callers can catch it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tsfm import errors

OURS = {name for name in dir(errors) if name.endswith("Error")}
# What Python itself, pydantic's validators and command-line converters expect.
ALSO = {"AttributeError", "NotImplementedError", "StopIteration"}
# pydantic turns these into problems of a recipe, which become a ConfigError.
IN_VALIDATORS = {"ValueError"}


def _raised(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield node.lineno, ast.unparse(node.exc.func)


def _validator_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            decorators = " ".join(ast.unparse(part) for part in node.decorator_list)
            if "validator" in decorators or node.name == "__post_init__":
                lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def test_every_error_says_when_it_is_raised() -> None:
    for name in OURS - {"TsfmError"}:
        assert (getattr(errors, name).__doc__ or "").startswith("Raised when"), name


@pytest.mark.parametrize("room", ["series", "tasks", "jobs", "models"])
def test_what_a_room_raises_is_ours(checkout: Path, room: str) -> None:
    for file in (checkout / "tsfm" / room).rglob("*.py"):
        tree = ast.parse(file.read_text())
        validators = _validator_lines(tree)
        for line, name in _raised(tree):
            allowed = OURS | ALSO | (IN_VALIDATORS if line in validators else set())
            assert name in allowed, f"{file}:{line} raises {name}"


@pytest.mark.parametrize("room", ["series", "tasks", "jobs"])
def test_input_is_never_checked_by_an_assertion(checkout: Path, room: str) -> None:
    for file in (checkout / "tsfm" / room).rglob("*.py"):
        found = [
            n.lineno for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Assert)
        ]
        assert not found, f"{file}:{found}"
