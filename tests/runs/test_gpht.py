"""The tiny GPHT goes the whole way: it learns, survives a stop to the bit, and forecasts frames."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from tsfm.config import load_recipe
from tsfm.jobs import pretrain
from tsfm.models.backbone import count_parameters
from tsfm.models.pretrained import load_pretrained
from tsfm.tasks.forecast import Forecaster
from tsfm.tracking import ListTracker

SHORT = (
    "training.steps=16",
    "training.log_every=2",
    "training.save_every=4",
    "schedule.warmup_steps=4",
    "data.config.points_per_batch=2048",
    "data.config.bank_rows=128",
)


class StoppingTracker(ListTracker):
    """Is told to stop at a step, as by Ctrl-C."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def log(self, step: int, metrics: dict[str, float]) -> None:
        super().log(step, metrics)
        if step >= self.step:
            raise KeyboardInterrupt


def run(output: Path, *overrides: str, tracker: ListTracker | None = None) -> dict[str, Any]:
    recipe = load_recipe("gpht_tiny", [f"run.output={output}", *SHORT, *overrides])
    return pretrain.run(recipe, tracker=tracker or ListTracker())


def test_the_tiny_recipe_learns_and_its_model_forecasts_any_horizon(
    tmp_path: Path, tiny_frame: pl.DataFrame
) -> None:
    tracker = ListTracker()
    report = run(tmp_path, "training.steps=40", "optimizer.learning_rate=0.01", tracker=tracker)
    losses = [
        content[1]["train/loss"]
        for event, content in tracker.events
        if event == "log" and "train/loss" in content[1]
    ]
    assert losses[-1] < 0.7 * losses[0]
    model = load_pretrained(tmp_path / "checkpoint")
    assert report["parameters"] == count_parameters(model.backbone)
    assert json.loads((tmp_path / "report.json").read_text())["loss"] == report["loss"]
    for horizon in (1, 32, 50):
        found = Forecaster(model, device="cpu").predict(
            tiny_frame, prediction_length=horizon, quantile_levels=[0.1, 0.9]
        )
        assert len(found) == 2 * horizon
        assert (found["0.1"] <= found["predictions"]).all()
        assert (found["predictions"] <= found["0.9"]).all()


# Dropout draws random numbers of its own, which must go on where they were.
DROPOUT = "model.config.dropout=0.1"
PUBLISHED = (
    DROPOUT,
    "model.config.normalization=window",
    "model.config.quantile_levels=[]",
    "model.config.n_output_patches=1",
    "objective.config.units=input",
)


@pytest.mark.parametrize(
    "variant", [(DROPOUT,), pytest.param(PUBLISHED, marks=pytest.mark.slow)], ids=["tiny", "window"]
)
def test_a_stopped_run_ends_with_the_same_weights_to_the_bit(
    tmp_path: Path, variant: tuple[str, ...]
) -> None:
    whole = run(tmp_path / "whole", *variant)
    output = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        run(output, *variant, tracker=StoppingTracker(10))
    assert not (output / "report.json").exists()
    tracker = ListTracker()
    assert run(output, *variant, tracker=tracker)["loss"] == whole["loss"]
    # It went on from step 8, the last one saved.
    assert min(content[0] for event, content in tracker.events if event == "log") == 10
    ours, theirs = (
        load_file(folder / "checkpoint" / "model.safetensors")
        for folder in (output, tmp_path / "whole")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
