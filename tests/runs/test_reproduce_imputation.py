"""The imputation table from runs to page: arms that differ only in where they start."""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tsfm.models.pretrained import load_pretrained

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "imputation.py"


@pytest.mark.skipif("TSFM_DATA" not in os.environ, reason="needs TSFM_DATA: ETTh1")
def test_the_table_runs_and_a_second_run_has_nothing_to_do(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--smoke", "--no-tracking", "--sets", "ETTh1"]
    command += ["--output", str(tmp_path), "--work", str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "imputation.md").read_text()
    assert "## ETTh1: MSE of segments" in page
    assert "## ETTh1: gain of pre-training, %" in page
    assert "| Timer " in page
    rows = pl.read_parquet(tmp_path / "imputation.parquet")
    arms = {
        f"{model}, {arm}"
        for model in ("two-sided", "as released")
        for arm in ("pool", "scratch", "self")
    }
    assert arms | {"linear", "pchip", "two-sided, zero-shot"} <= set(rows["model"])
    # The causal model fills segments only.
    of_points = rows.filter(pl.col("metric") == "MSE of points")
    assert not of_points["model"].str.contains("as released").any()
    by_arm = dict(rows.filter(metric="MSE of segments").select("model", "value").iter_rows())
    for row, arm in {"gain": "pool", "gain of self": "self"}.items():
        (gain,) = rows.filter(model=f"as released, {row}")["value"]
        left = by_arm[f"as released, {arm}"] / by_arm["as released, scratch"]
        assert gain == pytest.approx(100 * (1 - left))
    own = tmp_path / "work" / "ETTh1" / "two-sided_self_pretrained" / "0" / "checkpoint"
    assert load_pretrained(own).provenance.trained_on == ("ETTh1",)

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert pl.read_parquet(tmp_path / "imputation.parquet").equals(rows)
