"""A model card is what people believe: its numbers must be those of reports about these weights."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
import torch

from tsfm.config import load_recipe
from tsfm.jobs import evaluate
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.tracking import ListTracker

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script, which finds its neighbour as it does when it is run."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("model_card", BENCHMARKS / "model_card.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


def _checkpoint(folder: Path, seen: tuple[str, ...]) -> Path:
    config = TimerConfig(patch_length=4, d_model=8, n_heads=2, n_layers=1, d_ff=16)
    backbone = Timer(config)
    backbone.reset_parameters(torch.Generator().manual_seed(0))
    return save_pretrained(TimeSeriesModel("timer", backbone, 64, Provenance(seen)), folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A checkpoint, and the evaluations of it with all of the context and with 16 steps."""
    folder = tmp_path_factory.mktemp("card")
    (folder / "data" / "published").mkdir(parents=True)
    (folder / "data" / "published" / "chronos_results.csv").write_text(
        "dataset,model,MASE,WQL,evaluation,source,our_dataset\n"
        "monash_hospital,tirex,0.7,0.1,zero-shot,fev,hospital\n"
    )
    months = pl.datetime_range(
        pl.datetime(2000, 1, 1), pl.datetime(2003, 12, 1), "1mo", time_unit="ms", eager=True
    )
    generator = np.random.default_rng(0)
    for name in ("hospital", "car_parts"):
        values = generator.normal(20, 3, 48)
        frame = pl.DataFrame({"series_id": "a", "timestamp": months, "target": values})
        frame.write_parquet(folder / "data" / f"{name}.parquet")
    checkpoint = _checkpoint(folder / "toy", ("el_nino", "no_such_set"))
    (folder / "small.toml").write_text(
        '[evaluate]\nprotocol = "zero_shot"\n'
        f'models = ["{checkpoint}"]\n'
        '[evaluate.groups]\n"two sets" = ["hospital", "car_parts"]\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSFM_DATA", str(folder / "data"))
        for name, extra in (("all", []), ("short", ["evaluate.context_length=16"])):
            recipe = load_recipe(folder / "small.toml", extra)
            evaluate.run(recipe, output=folder / name, tracker=ListTracker())
    return checkpoint, folder / "all", folder / "short"


def test_the_card_has_the_numbers_of_the_reports(script: ModuleType, folders, capsys) -> None:
    checkpoint, whole, short = folders
    script.main([str(checkpoint), str(whole), str(short)])
    assert "README.md from 2 reports" in capsys.readouterr().out
    text = " ".join((checkpoint / "README.md").read_text().split())  # cells are padded
    report = json.loads((whole / "report.json").read_text())
    (summary,) = [row for row in report["summary"] if row["model"] == "toy"]
    assert f"| **toy** | zero-shot | {summary['mase_ratio']:.3f} [" in text
    by_frequency = text.partition("## By frequency")[2].partition("## ")[0]
    expected = f"| months | 2 | {summary['mase_ratio']:.3f} | {summary['wql_ratio']:.3f} |"
    assert expected in by_frequency
    (row,) = [
        row
        for row in json.loads((short / "report.json").read_text())["summary"]
        if row["model"] == "toy"
    ]
    assert f"| 16 | two sets | 2 | {row['mase_ratio']:.3f} |" in text
    assert "| `el_nino` | Sea-surface temperature" in text
    assert "| `no_such_set` | no card here" in text
    assert "| period 30.44 | " in text
    drawing = (checkpoint / "failures.svg").read_text()
    assert drawing.count("<polyline") == 5 * 4
    assert "nan" not in drawing + text


def test_reports_of_other_weights_are_refused(script: ModuleType, folders, tmp_path) -> None:
    _, whole, short = folders
    reports = [json.loads((folder / "report.json").read_text()) for folder in (whole, short)]
    other = _checkpoint(tmp_path / "toy", ("hospital",))
    with pytest.raises(ValueError, match=r"weights in the folder, got other \['trained_on'\]"):
        script.model_card(other, reports)
    nobody = _checkpoint(tmp_path / "nobody", ())
    with pytest.raises(ValueError, match="a report must be of tsfm evaluate zero_shot with 'nob"):
        script.model_card(nobody, reports)


def test_a_second_report_must_have_a_context(script: ModuleType, folders) -> None:
    checkpoint, whole, _ = folders
    report = json.loads((whole / "report.json").read_text())
    with pytest.raises(ValueError, match=r"must have evaluate\.context_length set, got none"):
        script.model_card(checkpoint, [report, report])


def test_the_command_needs_a_checkpoint_and_a_run(script: ModuleType) -> None:
    with pytest.raises(SystemExit, match="usage: model_card"):
        script.main(["tsfm-small"])
