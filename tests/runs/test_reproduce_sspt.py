"""The table of SSPT from runs to page, on a panel that the package makes: no data are needed."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "sspt.py"


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("sspt")
    words = ["--smoke", "--no-tracking", "--panels", "nasdaq", "--arms", "SSPT, scratch"]
    return [
        *(sys.executable, str(SCRIPT), *words),
        *("--output", str(folder), "--work", str(folder / "work")),
    ]


def test_the_table_runs_and_a_second_run_has_nothing_to_do(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = Path(command[command.index("--output") + 1])
    page = (folder / "sspt.md").read_text()
    for heading in ("NASDAQ, corrected: scores", "NASDAQ, faithful: LOOK-AHEAD: the 5 best"):
        assert f"## {heading}" in page
    assert "is owed to the future" in page
    assert "| StockMixer" in page
    assert "| boosted trees on the same features | rival, LOOK-AHEAD" in page

    rows = pl.read_parquet(folder / "sspt.parquet")
    ours = rows.filter(pl.col("model") == "SSPT, pre-trained on the panel")
    # Whatever looks ahead says so, wherever it stands.
    looks = ours.filter(pl.col("dataset").str.contains("LOOK-AHEAD"))
    of_future = looks.filter(pl.col("metric") == "IC and the future")
    assert set(looks["label"]) == {"LOOK-AHEAD", *of_future["label"]}
    assert of_future["setting"].str.contains("LOOK-AHEAD|future hidden").all()
    assert set(ours.filter(~pl.col("dataset").str.contains("LOOK-AHEAD"))["label"]) == {"held-out"}
    sizes = {f"the {size} best" for size in (1, 5, 10)}
    assert sizes < set(ours["metric"])
    costs = {f"{name}, {cost} bp" for name in ("Sharpe", "IRR") for cost in (0, 5, 10, 20)}
    assert set(ours.filter(pl.col("metric").is_in(sizes))["setting"]) == costs

    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert pl.read_parquet(folder / "sspt.parquet").equals(rows)
    assert "seed 0" not in again.stdout  # nothing was scored again
