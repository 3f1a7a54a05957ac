"""The tables of TST: their words must follow from their numbers, and their scripts must run."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "reproduce"
NAMES = {"scratch": "tst, scratch", "target": "tst, target", "pool": "pool"}
GUN_POINT = "ucr_classification/GunPoint"
SCRIPTS = {
    "tst": (
        "--sets",
        "uea_cardanosentiment",
        "ucr_classification/ItalyPowerDemand",
        "uea_pickupgesturewiimotez",
    ),
    "tst_imputation": (),
    "tst_forecasting": (),
}


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("tst_verdicts", FOLDER / "tst_verdicts.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(dataset: str, metric: str, **values: list[float]) -> pl.DataFrame:
    """Scores of models by seed; words of arms stand for their names."""
    found = []
    for model, scores in values.items():
        label = "baseline" if model in ("ridge", "mean") else "fine-tuned"
        for seed, value in enumerate(scores):
            name = NAMES.get(model, model)
            found.append(
                {"dataset": dataset, "metric": metric, "model": name, "label": label, "seed": seed}
                | {"value": value}
            )
    return pl.DataFrame(found)


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        ([0.02, 0.03, 0.04], "beats scratch (+0.0300 ± 0.0058)"),
        ([-0.02, -0.03, -0.04], "is worse than scratch (-0.0300 ± 0.0058)"),
        ([0.05, -0.05, 0.02], "does not differ from scratch beyond two standard errors"),
        ([0.0, 0.0, 0.0], "does not differ from scratch beyond two standard errors"),
    ],
)
def test_a_gain_counts_beyond_two_standard_errors(
    verdicts: Any, gains: list[float], says: str
) -> None:
    assert verdicts.gain(np.array(gains)).startswith(says)


def test_the_bar_is_the_published_deep_model_or_else_the_best_rival(verdicts: Any) -> None:
    classes = rows(GUN_POINT, "accuracy", mean=[0.5], scratch=[0.98, 1.0], target=[1.0, 1.0])
    (text,) = verdicts.verdicts(classes, NAMES)
    assert "the bar is InceptionTime at 1.0000, scratch misses it by 0.0100" in text
    assert "target meets it by 0.0000" in text
    values = {"mean": [0.3], "ridge": [0.2], "scratch": [0.25, 0.25], "target": [0.1, 0.2]}
    (text,) = verdicts.verdicts(rows("uea_cardanosentiment", "rmse", **values), NAMES)
    assert "the bar is ridge at 0.2000, scratch misses it by 0.0500 and target meets it by" in text
    # Lower is better here, so a lower error is a gain.
    assert "target beats scratch" not in text
    assert "(+0.1000 ± 0.0500)" in text


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_writes_its_page(script: str, tmp_path: Path) -> None:
    if not os.environ.get("TSFM_DATA"):
        pytest.skip("needs the data sets of TSFM_DATA")
    words = ["--smoke", "--no-tracking", "--output", str(tmp_path), "--work", str(tmp_path / "w")]
    command = [sys.executable, str(FOLDER / f"{script}.py"), *words, *SCRIPTS[script]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"`python benchmarks/reproduce/{script}.py`" in (tmp_path / f"{script}.md").read_text()
    assert pl.read_parquet(tmp_path / f"{script}.parquet")["value"].is_finite().all()
