"""The ablations run from recipe to page, on generated series."""

import subprocess
import sys
from pathlib import Path

import polars as pl

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
