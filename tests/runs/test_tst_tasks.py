"""From pre-training to every task, by command: classes, values, gaps, forecasts; and at no point
may the test part decide anything."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

import tsfm
from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import finetune, pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.series.ltsf_set import read_ltsf_set
from tsfm.tasks.imputation.reconstruct import reconstruct
from tsfm.tracking import ListTracker

SAMPLES, SERIES = "uea_cardanosentiment", "ETTh1"
LENGTH, N_TRAIN, N_TEST = 20, 60, 30
ROWS, SPLIT = 900, (600, 150, 150)
TINY = ("model.config.d_model=16", "model.config.n_heads=2", "model.config.n_layers=1")
SHORT = ("training.log_every=20", "training.save_every=0", "run.device=cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TSFM_DATA", str(tmp_path))
    return tmp_path


def write_samples(folder: Path, *, kind: str, test_seed: int = 0) -> None:
    """A bump early or late, high or low; the label is its place or its height."""
    frames = []
    for part, count, seed in (("TRAIN", N_TRAIN, 7), ("TEST", N_TEST, 100 + test_seed)):
        generator = np.random.default_rng(seed)
        for number in range(count):
            values = 0.2 * generator.standard_normal((2, LENGTH))
            height = generator.uniform(1, 4)
            place = 3 if number % 2 else 13
            values[0, place : place + 4] += height
            columns = {
                "series_id": f"{part}|{number:03}",
                "timestamp": np.arange(LENGTH),
                "ch_00": values[0],
                "ch_01": values[1],
                "split": part,
                "label": ("late", "early")[number % 2] if kind == "class" else str(height),
            }
            frames.append(pl.DataFrame(columns))
    pl.concat(frames).write_parquet(folder / f"{SAMPLES}.parquet")


def read_test(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    frame = pl.read_parquet(folder / f"{SAMPLES}.parquet").filter(split="TEST")
    values = frame.select("ch_00", "ch_01").to_numpy().reshape(N_TEST, LENGTH, 2)
    return values.transpose(0, 2, 1), frame["label"].to_numpy()[::LENGTH]


def write_series(folder: Path, *, missing: float = 0.0, test_level: float = 0.0) -> np.ndarray:
    """Seven channels, each a day's wave of its own phase with noise; the test rows may differ."""
    generator = np.random.default_rng(0)
    step = np.arange(ROWS)[:, None]
    values = np.sin(2 * np.pi * step / 24 + np.arange(7)) + 0.1 * generator.normal(size=(ROWS, 7))
    values = 50 + 10 * values
    values[sum(SPLIT[:2]) :] += test_level
    shown = np.where(generator.random(values.shape) < missing, np.nan, values)
    stamps = pl.datetime_range(
        pl.datetime(2020, 1, 1), pl.datetime(2021, 1, 1), "1h", time_unit="ms", eager=True
    )
    names = ["HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT"]
    frame = pl.DataFrame(shown, schema=names)
    frame.insert_column(0, stamps[:ROWS].alias("timestamp"))
    frame.insert_column(0, pl.Series("series_id", [SERIES] * ROWS))
    frame.write_parquet(folder / f"{SERIES}.parquet")
    return values


def run(job: Any, recipe: str, output: Path, *overrides: str) -> dict[str, Any]:
    settings = [f"run.output={output}", *SHORT, *overrides]
    report: dict[str, Any] = job.run(load_recipe(recipe, settings), tracker=ListTracker())
    return report


def tuned(folder: Path, kind: str, name: str) -> Path:
    """Pre-train on the samples, then learn their labels; return the checkpoint."""
    of_set = f"data.config.dataset={SAMPLES}"
    sizes = ("model.config.n_channels=2", f"model.config.context_length={LENGTH}", *TINY)
    first, second = folder / f"{name}_first", folder / f"{name}_second"
    run(pretrain, "tst_pretrain", first, of_set, *sizes, "training.steps=10")
    task = {"class": "tst_classification", "value": "tst_regression"}[kind]
    start = f"start.model={first / 'checkpoint'}"
    learn = ("training.steps=60", "optimizer.learning_rate=0.01")
    run(finetune, task, second, of_set, start, *learn)
    return second / "checkpoint"


def test_values_are_learned_by_command_and_read_by_the_estimator(folder: Path) -> None:
    write_samples(folder, kind="value")
    regressor = tsfm.SeriesRegressor.from_pretrained(tuned(folder, "value", "a"), device="cpu")
    samples, labels = read_test(folder)
    assert regressor.score(samples, labels.astype(float)) > 0.7


def test_classes_are_learned_by_command_and_no_test_sample_changes_a_weight_or_a_choice(
    folder: Path,
) -> None:
    """The best step as well is chosen on training samples."""
    weights = []
    for seed in (0, 1):
        write_samples(folder, kind="class", test_seed=seed)
        checkpoint = tuned(folder, "class", str(seed))
        weights.append(load_file(checkpoint / "model.safetensors"))
    assert set(weights[0]) == set(weights[1])
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    classifier = tsfm.SeriesClassifier.from_pretrained(checkpoint, device="cpu")
    assert classifier.classes_.tolist() == ["early", "late"]
    samples, labels = read_test(folder)
    assert classifier.score(samples, labels) > 0.9
    provenance = load_pretrained(checkpoint).provenance
    assert provenance.trained_on == (SAMPLES,)
    assert provenance.details["started_from"]["name"] == "tst_pretrain"


def test_labels_need_a_stream_that_has_them(folder: Path) -> None:
    write_series(folder)
    first = folder / "first"
    split = f"data.config.split={list(SPLIT)}"
    run(pretrain, "tst_imputation_pretrain", first, split, *TINY, "training.steps=1")
    recipe = load_recipe("tst_imputation", [f"start.model={first / 'checkpoint'}", split])
    recipe.sections["objective"].clear()
    recipe.sections["objective"]["name"] = "class"
    with pytest.raises(ConfigError, match="objective 'class' needs samples with labels, got data"):
        finetune.run(recipe, tracker=ListTracker())


@pytest.mark.parametrize("norm", ["batch", pytest.param("layer", marks=pytest.mark.slow)])
def test_gaps_are_filled_from_a_set_with_missing_values(folder: Path, norm: str) -> None:
    """Missing is masked: a fifth of the values is missing in training and in use alike."""
    truth = write_series(folder, missing=0.2)
    data = (f"data.config.split={list(SPLIT)}", "data.config.missing=keep")
    small = (*TINY, "data.config.window_length=48", "model.config.context_length=48")
    steps = ("training.steps=60", "optimizer.learning_rate=0.01", "schedule.warmup_steps=5")
    variant = f"model.config.norm={norm}"
    first = run(pretrain, "tst_imputation_pretrain", folder / "a", *data, *small, *steps, variant)
    start = f"start.model={folder / 'a' / 'checkpoint'}"
    window = "data.config.window_length=48"
    run(finetune, "tst_imputation", folder / "b", start, *data, window, *steps[:1])
    assert np.isfinite(first["loss"])
    model = load_pretrained(folder / "b" / "checkpoint")
    data_set = read_ltsf_set(SERIES, SPLIT, missing="keep")
    shown = data_set.values[data_set.test_start :][: 3 * 48].reshape(3, 48, 7)
    raw = np.where(np.isnan(shown), np.nan, truth[data_set.test_start :][:144].reshape(3, 48, 7))
    gone = np.isnan(shown)
    filled = reconstruct(model, raw)
    error = (filled - truth[data_set.test_start :][:144].reshape(3, 48, 7))[gone]
    level = np.broadcast_to(np.nanmean(raw, axis=1, keepdims=True), raw.shape)
    of_mean = (level - truth[data_set.test_start :][:144].reshape(3, 48, 7))[gone]
    assert np.square(error).mean() < 0.5 * np.square(of_mean).mean()
    assert (filled[~gone] == raw[~gone]).all()


def test_a_hidden_tail_is_forecast_better_than_by_the_last_value(folder: Path) -> None:
    truth = write_series(folder)
    split = f"data.config.split={list(SPLIT)}"
    window = "data.config.window_length=72"
    steps = ("model.config.patch_length=6", "model.config.kernel_length=1")
    small = (*TINY[:2], "model.config.context_length=72", *steps)
    first = folder / "first"
    run(pretrain, "tst_forecasting_pretrain", first, split, window, *small, "training.steps=10")
    start = (f"start.model={first / 'checkpoint'}", "objective.config.tail_length=24")
    learn = ("training.steps=120", "optimizer.learning_rate=0.01", "schedule.warmup_steps=5")
    run(finetune, "tst_forecasting", folder / "second", *start, split, window, *learn)
    model = load_pretrained(folder / "second" / "checkpoint")
    windows = truth[-72:][None].copy()
    shown = np.where(np.arange(72)[:, None] < 48, windows, np.nan)
    found = reconstruct(model, shown)[0, -24:]
    error = np.square(found - windows[0, -24:]).mean()
    naive = np.square(windows[0, 47] - windows[0, -24:]).mean()
    assert error < 0.3 * naive


def test_other_test_rows_change_no_weight_and_no_choice(folder: Path) -> None:
    weights = []
    for level in (0.0, 1e4):
        write_series(folder, test_level=level)
        split = f"data.config.split={list(SPLIT)}"
        output = folder / str(level)
        steps = ("training.steps=4", "training.validate_every=2")
        run(pretrain, "tst_imputation_pretrain", output, split, *TINY, *steps)
        weights.append(load_file(output / "checkpoint" / "model.safetensors"))
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
