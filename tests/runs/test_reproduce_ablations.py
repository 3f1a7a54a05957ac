"""The ablations run from recipe to page, on generated series."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "ablations.py"


def test_arms_are_trained_and_kept(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(SCRIPT), "--smoke", "--no-tracking", "--seeds", "1"),
        *("--output", str(tmp_path), "--work", str(tmp_path / "work")),
        *("--arms", "as it is", "AdamW"),
    ]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "AdamW" not in done.stdout  # it was scored by the first run
    rows = pl.read_parquet(tmp_path / "ablations.parquet")
    assert set(rows["model"]) == {"as it is", "AdamW"}
    assert set(rows["setting"]) == {"steps", "training loss"}
    assert "spread over seeds is not known" in (tmp_path / "ablations.md").read_text()


def test_an_arm_with_several_seeds_is_judged_by_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("ablations", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    values = {"as it is": [0.60, 0.62, 0.61], "in one run": [0.5, 0.6], "AdamW": [0.62]}
    frame = pl.DataFrame(
        [
            {"setting": "WQL ratio", "model": model, "value": value, "label": "zero-shot"}
            for model, found in values.items()
            for value in found
        ]
    )
    (lines,) = script.verdict(SimpleNamespace(frame=frame))
    assert lines.splitlines() == [
        "- in one run: WQL -9.8%, better.",
        "- AdamW: WQL +1.6%, no different beyond the spread.",
    ]
