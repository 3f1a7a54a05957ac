"""The table of covariates runs from made demand to page."""

import subprocess
import sys
from pathlib import Path

import polars as pl

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "covariates.py"


def test_all_arms_are_scored_on_made_demand(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(SCRIPT), "--smoke", "--no-tracking", "--sets", "promotions"),
        *("--output", str(tmp_path), "--work", str(tmp_path / "work")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = pl.read_parquet(tmp_path / "covariates.parquet")
    found = dict(rows.select("model", "value").iter_rows())
    assert set(found) == {"seasonal naive", "tsfm-small", "ridge", "fine-tuned", "channels"}
    assert found["ridge"] < found["tsfm-small"]
    assert "channels" in (tmp_path / "covariates.md").read_text()
