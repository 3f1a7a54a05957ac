"""The table of pretext tasks from runs to page, on a panel that the package makes."""

import subprocess
import sys
from pathlib import Path

import polars as pl

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "pretext.py"


def test_the_table_runs_and_goes_on_where_it_was(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(SCRIPT), "--smoke", "--no-tracking", "--modes", "frozen"),
        *("--output", str(tmp_path), "--work", str(tmp_path / "work"), "--tasks", "none"),
    ]
    for tasks in ((), ("average",)):
        done = subprocess.run([*command, *tasks], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "none, frozen" not in done.stdout  # it was scored by the first run
    rows = pl.read_parquet(tmp_path / "pretext.parquet")
    assert set(rows["model"]) == {"none, frozen", "average, frozen"}
    assert set(rows["seed"]) == {0, 1}
    page = (tmp_path / "pretext.md").read_text()
    assert "frozen: pre-trained on average, the rank IC moves by" in page
