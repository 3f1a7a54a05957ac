"""Tables of results are read as facts: what stands on a page must be what was measured."""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tsfm.jobs import data as data_job

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "reproduce"


@pytest.fixture(scope="module")
def tables() -> Any:
    spec = importlib.util.spec_from_file_location("tables", FOLDER / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


def options(tables: Any, folder: Path, *words: str) -> argparse.Namespace:
    parser = tables.arguments("ltsf", "A table.")
    found: argparse.Namespace = parser.parse_args(
        ["--output", str(folder), "--no-tracking", *words]
    )
    return found


def score(tables: Any, value: float, **changes: Any) -> Any:
    words = {"dataset": "ETTh1", "setting": "96", "model": "ours", "metric": "mse"}
    return tables.Score(**words | {"value": value, "label": "fine-tuned"} | changes)


def table(tables: Any, folder: Path, *words: str, **changes: Any) -> Any:
    settings = {"title": "A table", "notes": ("A note.",), "compare": {"ours": "GPHT, heads tuned"}}
    return tables.Table("ltsf", options=options(tables, folder, *words), **settings | changes)


def row_of(page: str, model: str) -> list[str]:
    (line,) = [one for one in page.splitlines() if one.startswith(f"| {model} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_page_has_the_mean_over_seeds_its_error_and_the_published_number(
    tables: Any, tmp_path: Path
) -> None:
    with table(tables, tmp_path) as found:
        found.add(*(score(tables, value, seed=seed) for seed, value in enumerate((0.4, 0.5, 0.6))))
        found.add(score(tables, 1.25, model="naive", label="baseline", seconds=2.0))
    page = (tmp_path / "ltsf.md").read_text()
    error = np.std([0.4, 0.5, 0.6], ddof=1) / np.sqrt(3)
    assert row_of(page, "ours")[1:4] == ["fine-tuned", "3", f"0.5000 ± {error:.4f}"]
    assert row_of(page, "naive")[3:5] == ["1.2500", "2"]
    assert row_of(page, "GPHT, heads tuned")[3] == "0.3630"
    assert row_of(page, "ours, less GPHT, heads tuned")[3] == f"{100 * (0.5 / 0.363 - 1):+.1f} %"


def test_the_average_is_that_of_the_settings_and_absent_where_one_is_missing(
    tables: Any, tmp_path: Path
) -> None:
    with table(tables, tmp_path) as found:
        found.add(score(tables, 0.2), score(tables, 0.4, setting="192"))
        found.add(score(tables, 0.7, model="half"))
    page = (tmp_path / "ltsf.md").read_text()
    assert row_of(page, "ours")[3:6] == ["0.2000", "0.4000", "0.3000"]
    assert row_of(page, "half")[3:6] == ["0.7000", "", ""]


def test_a_table_that_was_stopped_goes_on_and_forgets_only_when_asked(
    tables: Any, tmp_path: Path
) -> None:
    def stopped() -> None:
        with table(tables, tmp_path) as found:
            found.add(score(tables, 0.4, seed=1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not (tmp_path / "ltsf.md").exists()
    again = table(tables, tmp_path)
    assert again.has(dataset="ETTh1", model="ours", seed=1)
    assert not again.has(dataset="ETTh1", model="ours", seed=2)
    assert not again.has(dataset="ETTh1", model="ours", seed=1, setting="192")
    assert not table(tables, tmp_path, "--fresh").has(dataset="ETTh1", model="ours", seed=1)


def test_published_numbers_have_a_source_and_stand_once() -> None:
    known = pl.read_csv(FOLDER / "published.csv", schema_overrides={"setting": pl.String})
    assert known["source"].null_count() == 0
    assert known["value"].null_count() == 0
    keys = ["table", "dataset", "setting", "model", "metric"]
    assert known.select(keys).is_duplicated().sum() == 0


def test_every_committed_page_is_what_its_scores_say(tables: Any) -> None:
    for file in sorted(tables.RESULTS.glob("*.parquet")):
        page = file.with_suffix(".md").read_text(encoding="utf-8")
        for (model,), _ in pl.read_parquet(file).group_by(["model"]):
            assert f"| {model} " in page, f"{file.name}: {model}"


@pytest.mark.skipif("TSFM_DATA" not in os.environ, reason="needs TSFM_DATA: ETTh1")
@pytest.mark.parametrize("script", ["ltsf", "few_shot"])
def test_the_long_term_tables_run(script: str, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    data_job.build([str(ROOT / "data" / "el_nino" / "el_nino.csv")], pool)
    command = [sys.executable, str(FOLDER / f"{script}.py"), "--smoke", "--no-tracking"]
    command += ["--pool", str(pool), "--sets", "ETTh1", "--output", str(tmp_path)]
    command += ["--work", str(tmp_path / "work")]
    if script == "ltsf":
        command += ["--models", "timer", "--arms", "pool"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / f"{script}.md").read_text()
    assert "## ETTh1: mse" in page
    assert "| timer, " in page
