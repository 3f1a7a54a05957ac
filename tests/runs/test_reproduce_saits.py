"""The table of SAITS runs from training to page; without PyPOTS it is said what is missing."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "saits.py"
HAS_PYPOTS = importlib.util.find_spec("pypots") is not None


@pytest.mark.skipif("TSFM_DATA" not in os.environ, reason="needs TSFM_DATA: ETTh1")
def test_both_are_trained_and_scored(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--smoke", "--no-tracking"]
    command += ["--output", str(tmp_path), "--work", str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = pl.read_parquet(tmp_path / "saits.parquet")
    wanted = {"linear", "seasonal linear, 24", "tsfm-fill", "tsfm-fill, fine-tuned"}
    if HAS_PYPOTS:
        assert done.returncode == 0, done.stderr
        wanted |= {"SAITS"}
    else:
        assert "pip install 'tsfm-kit[pypots]'" in done.stderr
    assert set(rows["model"]) == wanted
    assert set(rows["metric"]) == {"MAE of points", "MAE of segments"}
