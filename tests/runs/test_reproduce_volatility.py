"""The table of volatilities from panel to page, on a panel that the package makes."""

import subprocess
import sys
from pathlib import Path

import polars as pl

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "volatility.py"


def test_every_model_has_a_variance_and_values_at_risk(tmp_path: Path) -> None:
    words = ["--smoke", "--no-tracking", "--output", str(tmp_path)]
    words += ["--datasets", "stock_us20_1990_2017"]
    command = [sys.executable, str(SCRIPT), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = pl.read_parquet(tmp_path / "volatility.parquet")
    plain = {"tsfm-small", "EWMA", "HAR"}
    filtered = {f"{name}, filtered" for name in plain}
    assert set(rows["model"]) == {*plain, *filtered, "history"}
    assert set(rows.filter(metric="variance")["model"]) == {*plain, "history"}
    assert rows["value"].is_finite().all()
    shares = rows.filter(pl.col("setting") == "exceeded")["value"]
    assert shares.is_between(0, 0.5).all()
    page = (tmp_path / "volatility.md").read_text()
    assert "zero-shot, of a time seen" in page
    assert "20 US stocks: value at risk, 5%" in page
