"""The table of anomalies from series to page, and its protocol on a series made by hand."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tsfm.evaluation.detection_sets import LabelledSeries
from tsfm.tasks.forecasting.baselines import SeasonalNaive

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce" / "anomaly.py"


@pytest.fixture
def anomaly(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("anomaly", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def series(n_rows: int = 1000, start: int = 990, size: float = 9.0) -> LabelledSeries:
    values, labels = np.sin(np.arange(n_rows) * 2 * np.pi / 24)[:, None], np.zeros(n_rows, bool)
    labels[start : start + 10] = True
    values[labels] += size
    return LabelledSeries("toy", values, labels, 150)


def test_segments_tile_the_test_part_and_the_tail_is_one_of_them(anomaly):
    starts, stops, hits = anomaly.segments(series())
    assert starts[0] == 150
    assert (starts[1:] == stops[:-1]).all()
    assert stops[-1] == 1000
    assert stops[-1] - starts[-1] == 850 % 96
    assert hits.tolist() == [False] * 8 + [True]


def test_an_anomaly_in_the_tail_is_found_by_its_error_and_not_by_default(anomaly):
    assert anomaly.alpha(series(), SeasonalNaive(24)) == 1 / 9
    # Without any deviation the errors are rounding, and the tail is not first by itself.
    assert anomaly.alpha(series(size=0.0), SeasonalNaive(1)) > 1 / 9


def test_a_larger_anomaly_never_has_a_worse_rank(anomaly):
    found = [anomaly.alpha(series(start=500, size=one), SeasonalNaive(24)) for one in (0.5, 5, 500)]
    assert found == sorted(found, reverse=True)


def test_any_order_finds_an_anomaly_anywhere_equally_often(anomaly):
    found = anomaly.random_alphas(series(), np.random.default_rng(0))
    assert np.mean(found) == pytest.approx(5 / 9, abs=0.1)
    # The one hit among nine segments is first in a ninth of all orders.
    assert np.mean(np.array(found) <= 1 / 9) == pytest.approx(1 / 9, abs=0.08)


@pytest.mark.skipif("TSFM_DATA" not in os.environ, reason="needs TSFM_DATA: nab_shared")
def test_the_table_runs_and_says_that_the_published_rows_are_of_another_archive(
    tmp_path: Path,
) -> None:
    command = [sys.executable, str(SCRIPT), "--smoke", "--no-tracking", "--output", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "anomaly.md").read_text()
    assert "UCR archive, not comparable" in page
    rows = pl.read_parquet(tmp_path / "anomaly.parquet")
    assert rows["value"].is_between(0, 100).all()
    arms = {"scratch", "self", "fine-tuned", "zero-shot"}
    assert arms <= {model.split(", ")[-1] for model in rows["model"]}
