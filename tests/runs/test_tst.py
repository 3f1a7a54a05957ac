"""The tiny recipe stands for every TST: it learns, goes on where it stopped, and is loaded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tsfm.config import load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import pretrain
from tsfm.models.pretrained import load_pretrained
from tsfm.tasks.classify import SeriesClassifier
from tsfm.tracking import ListTracker

Trained = tuple[Path, ListTracker, dict[str, Any]]
SHORT = ("training.steps=36", "training.save_every=6", "training.log_every=6")


class StoppedError(Exception):
    pass


class Stopping(ListTracker):
    """Ends the run at a step, after some state was saved."""

    def log(self, step: int, metrics: dict[str, float]) -> None:
        super().log(step, metrics)
        if step == 24:
            raise StoppedError


def run(output: Path, *overrides: str, tracker: ListTracker | None = None) -> dict[str, Any]:
    settings = [f"run.output={output}", "training.validate_every=12", *SHORT, *overrides]
    return pretrain.run(load_recipe("tst_tiny", settings), tracker=tracker or ListTracker())


def losses(tracker: ListTracker, name: str) -> list[float]:
    logged = [content[1] for event, content in tracker.events if event == "log"]
    return [metrics[name] for metrics in logged if name in metrics]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Folder, record and report of one run."""
    folder, tracker = tmp_path_factory.mktemp("tst"), ListTracker()
    return folder, tracker, run(folder, tracker=tracker)


def test_the_loss_falls_on_samples_it_is_not_trained_on(trained: Trained) -> None:
    _, tracker, report = trained
    training, validation = losses(tracker, "train/loss"), losses(tracker, "validation/loss")
    assert training[-1] < 0.5 * training[0]
    assert validation[-1] < 0.5 * validation[0]
    assert report["validation_loss"] == pytest.approx(min(validation))


def test_a_run_that_was_stopped_ends_like_one_that_was_not(
    trained: Trained, tmp_path: Path
) -> None:
    folder, _, whole = trained
    with pytest.raises(StoppedError):
        run(tmp_path, tracker=Stopping())
    resumed = run(tmp_path)
    assert resumed["loss"] == whole["loss"]
    assert resumed["validation_loss"] == whole["validation_loss"]
    ours, theirs = (
        load_file(one / "checkpoint" / "model.safetensors") for one in (tmp_path, folder)
    )
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_what_was_learned_is_loaded_head_and_all(trained: Trained) -> None:
    """The head fills a hidden value of a loaded model better than the mean does."""
    folder, *_ = trained
    model = load_pretrained(folder / "checkpoint")
    assert model.context_length == 48
    assert (model.trained_on, model.provenance.synthetic_share) == ((), 1.0)
    head: Any = model.heads["reconstruction"]
    parts = pretrain.sections(load_recipe(folder / "config.toml"))
    assert parts["model.config"] == model.backbone.config
    stream = pretrain.STREAMS["samples"](parts["data.config"], seed=0)
    batch = stream.validation(0)
    visible = batch.observed.clone()
    visible[:, 20:22, 0] = False
    hidden = batch.observed & ~visible
    with torch.no_grad():
        tokens = model.backbone.encode(batch.values, visible, batch.inside)
    error = (head(tokens, 48) - batch.values)[hidden].square().mean()
    assert error < 0.7 * batch.values[hidden].square().mean()


@pytest.mark.parametrize("mode", ["full", "head"])
def test_a_classifier_starts_from_the_checkpoint(trained: Trained, mode: str) -> None:
    samples = np.random.default_rng(0).normal(size=(20, 3, 48))
    samples[::2, :, 20:30] += 3
    options = {"max_epochs": 3, "learning_rate": 0.01, "random_state": 0, "mode": mode}
    found = SeriesClassifier.from_pretrained(trained[0] / "checkpoint", **options)
    assert found.fit(samples, [1, 0] * 10).score(samples, [1, 0] * 10) > 0.9
    assert set(found.model_.heads) == {"class"}
    assert found.model_.provenance.details["name"] == "tst_tiny"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("objective.name=next_patch", "NextPatch needs a NextPatchModel, got Tst; choose another"),
        ("objective.config.mean_run=1.0", r"objective\.config: mean_run must be at least 1 /"),
        ("model.config.n_channels=2", "n_channels=2 .* got 3 channels and 48 steps"),
        ("model.config.context_length=40", "context_length=40 steps, got 3 channels and 48"),
        ("data.config.validation_share=0", r"data\.config\.validation_share: "),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, override)


@pytest.mark.slow
def test_timer_learns_by_filling_too(tmp_path: Path) -> None:
    """It reads forwards only, every channel by itself, so there is less to learn."""
    recipe = load_recipe(
        "tst_tiny", [f"run.output={tmp_path}", *SHORT, "training.steps=60", "training.log_every=10"]
    )
    sizes = {"d_model": 16, "n_heads": 2, "n_layers": 1, "d_ff": 16, "patch_length": 4}
    sections = {
        **recipe.sections,
        "model": {"name": "timer", "config": sizes},
        "optimizer": {"learning_rate": 0.01},
    }
    tracker = ListTracker()
    pretrain.run(replace(recipe, sections=sections), tracker=tracker)
    training = losses(tracker, "train/loss")
    assert training[-1] < 0.9 * training[0]
    loaded = load_pretrained(tmp_path / "checkpoint")
    assert loaded.heads["reconstruction"].config.patch_length == 4
