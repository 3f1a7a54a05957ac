"""The smallest run of the two-sided model: it learns something, and what it learned is kept."""

import json
from pathlib import Path

import numpy as np

from tsfm.config import load_recipe
from tsfm.evaluation.imputation_fillers import filler_of
from tsfm.jobs import pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.tasks.imputation.interpolation import linear
from tsfm.tracking import ListTracker


def test_the_loss_falls_below_that_of_lines_and_the_checkpoint_fills_gaps(tmp_path: Path) -> None:
    recipe = load_recipe("timer_fill_tiny", [f"run.output={tmp_path}"])
    report = pretrain.run(recipe, tracker=ListTracker())
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [row["train/loss"] for row in log if "train/loss" in row]
    # Linear interpolation has a loss of 0.5, and the untrained model is just that.
    assert losses[0] > 0.46
    assert np.mean(losses[-3:]) < 0.46
    assert report["parameters"] < 100_000
    model = load_pretrained(tmp_path / "checkpoint")
    assert model.context_length == 128
    assert model.trained_on == ()
    assert model.provenance.synthetic_share == 1
    step = np.arange(128)
    windows = np.stack([np.sin(step / 4 + phase) for phase in range(8)])
    hidden = np.random.default_rng(0).random(windows.shape) < 0.4
    shown = np.where(hidden, np.nan, windows)
    ours, lines = (fill(shown)[hidden] for fill in (filler_of(model, "tiny").fill, linear))
    truth = windows[hidden]
    assert np.abs(ours - truth).mean() < 0.97 * np.abs(lines - truth).mean()
    again = filler_of(load_pretrained(tmp_path / "checkpoint"), "tiny").fill(shown)
    assert np.array_equal(again[hidden], ours)
