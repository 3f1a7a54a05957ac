"""`import tsfm` is in every script: it must cost nothing and pull nothing in."""

import json
import subprocess
import sys

import pytest

import tsfm

HEAVY = ("torch", "mlflow", "pandas", "plotly", "polars", "numpy")


def _modules_after(code: str) -> tuple[float, list[str]]:
    script = (
        "import json, sys, time; start = time.perf_counter();"
        f"{code}; print(json.dumps([time.perf_counter() - start, list(sys.modules)]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    seconds, modules = json.loads(answer.stdout)
    return seconds, modules


def test_importing_the_package_is_quick_and_pulls_nothing_in() -> None:
    seconds, modules = _modules_after("import tsfm")
    assert seconds < 0.5
    assert not set(HEAVY) & set(modules)


def test_the_command_line_pulls_nothing_in_before_a_verb_runs() -> None:
    _, modules = _modules_after("import tsfm.cli, tsfm.config")
    assert not set(HEAVY) & set(modules)


def test_reading_an_error_class_pulls_nothing_in() -> None:
    _, modules = _modules_after("import tsfm; tsfm.DataError")
    assert not set(HEAVY) & set(modules)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'tsfm' has no attribute 'forcast'"):
        tsfm.forcast  # noqa: B018
