"""Fine-tuned on a random walk a model is not trusted by held-out rows; on a wave it is."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import finetune, pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.tracking import ListTracker

ROWS, SPLIT = 900, (600, 150, 150)
SHORT = ("run.device=cpu", "training.save_every=0")


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    recipe = load_recipe("timer_tiny", [f"run.output={folder}", "training.steps=3", *SHORT])
    pretrain.run(recipe, tracker=ListTracker())
    return folder / "checkpoint"


def trust(folder: Path, start: Path, values: np.ndarray, *more: str) -> float:
    """Fine-tune on the set and return how far its validation rows trust the model."""
    names = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    frame = pl.DataFrame(values, schema=names)
    stamps = pl.datetime_range(
        pl.datetime(2020, 1, 1), pl.datetime(2021, 1, 1), "1h", time_unit="ms", eager=True
    )
    frame.insert_column(0, stamps[:ROWS].alias("timestamp"))
    frame.insert_column(0, pl.Series("series_id", ["ETTh1"] * ROWS))
    frame.write_parquet(folder / "ETTh1.parquet")
    output = folder / "tuned"
    settings = (f"run.output={output}", f"start.model={start}", f"data.config.split={list(SPLIT)}")
    sizes = ("data.config.window_length=128", "objective.config.context_length=96")
    steps = ("training.steps=80", "training.validate_every=20", "optimizer.learning_rate=3e-3")
    recipe = load_recipe(
        "timer_ltsf", [*settings, *sizes, *steps, *SHORT, "trust.batches=4", *more]
    )
    finetune.run(recipe, tracker=ListTracker())
    return load_pretrained(output / "checkpoint").trust


def test_a_walk_is_not_trusted_and_a_wave_is(
    tmp_path: Path,
    pretrained: Path,
    monkeypatch: pytest.MonkeyPatch,
    generator: np.random.Generator,
) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    walk = generator.normal(size=(ROWS, 7)).cumsum(0)
    of_walk = trust(tmp_path, pretrained, walk)
    wave = np.sin(2 * np.pi * np.arange(ROWS)[:, None] / 12 + np.arange(7))
    of_wave = trust(tmp_path, pretrained, wave + 0.05 * generator.normal(size=(ROWS, 7)))
    assert of_walk < 0.5 < 0.8 < of_wave


def test_it_must_know_where_held_out_windows_are_forecast_from(pretrained: Path) -> None:
    settings = (f"start.model={pretrained}", "trust.batches=4")
    with pytest.raises(ConfigError, match=r"trust\.batches needs objective\.config\.context_len"):
        finetune.run(load_recipe("ltsf_finetune", settings), tracker=ListTracker())


def test_held_out_windows_must_reach_beyond_what_is_read(
    tmp_path: Path,
    pretrained: Path,
    monkeypatch: pytest.MonkeyPatch,
    generator: np.random.Generator,
) -> None:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    walk = generator.normal(size=(ROWS, 7)).cumsum(0)
    with pytest.raises(ConfigError, match=r"needs windows longer than .*=128, got 128 steps"):
        trust(tmp_path, pretrained, walk, "objective.config.context_length=128")
    assert not (tmp_path / "tuned" / "checkpoint").exists()
