"""A number without the code and versions that made it cannot be made again."""

import re
from pathlib import Path

from tsfm import environment


def test_versions_name_the_packages_that_numbers_depend_on() -> None:
    assert {"torch", "numpy", "polars"} <= environment.versions().keys()


def test_the_commit_is_a_hash_or_unknown() -> None:
    found = environment.commit()
    assert found is None or re.fullmatch(r"[0-9a-f]{40,64}", found)


def test_outside_of_a_checkout_there_is_no_commit(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "tsfm" / "environment.py"))
    assert environment.commit() is None


def test_peak_memory_is_that_of_a_python_process() -> None:
    peak = environment.peak_memory_mb()
    assert peak is None or 10 < peak < 100_000
