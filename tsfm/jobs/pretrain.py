"""Pre-train a model from a recipe; the same command goes on after an interruption."""

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tsfm.config import Recipe, build_sections, dump
from tsfm.environment import commit, versions
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.models.backbone import count_parameters
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.models.timer import Timer, TimerConfig
from tsfm.objectives.next_patch import NextPatch, NextPatchConfig
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer
from tsfm.training.state import TrainingState
from tsfm.training.stream import StreamConfig, TrainingStream


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PretrainRunConfig:
    """The ``[run]`` section; `training_cutoff` is the last date that the data may hold."""

    seed: int = 0
    device: str = "cpu"
    output: str | None = None
    training_cutoff: str | None = None


SECTIONS: dict[str, type[Any]] = {
    "run": PretrainRunConfig,
    "data": StreamConfig,
    "model": TimerConfig,
    "objective": NextPatchConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "training": TrainingConfig,
    "tracking": TrackingConfig,
}


def run(recipe: Recipe) -> dict[str, Any]:
    """Train, save the checkpoint, write `report.json` last."""
    parts = build_sections(recipe, SECTIONS)
    settings: PretrainRunConfig = parts["run"]
    folder = Path(settings.output or Path("runs") / recipe.name / str(settings.seed))
    folder.mkdir(parents=True, exist_ok=True)
    resolved = {name: asdict(part) for name, part in parts.items()}
    (folder / "config.toml").write_text(dump(resolved))
    model = Timer(parts["model"])
    model.reset_parameters(torch.Generator().manual_seed(settings.seed))
    stream = TrainingStream(parts["data"], seed=settings.seed)
    state = TrainingState(
        model,
        make_optimizer(model, parts["optimizer"]),
        copy.deepcopy(model),
        torch.Generator().manual_seed(settings.seed + 1),
    )
    state.restore(folder / "resume")
    tracker = make_tracker(parts["tracking"])
    tracker.start(recipe.name, resolved)
    result = fit(
        model,
        NextPatch(parts["objective"]),
        stream,
        state,
        optimizer=parts["optimizer"],
        schedule=parts["schedule"],
        training=parts["training"],
        folder=folder / "resume",
        tracker=tracker,
        device=torch.device(settings.device),
    )
    real_share = parts["data"].real_share if stream.trained_on else 0.0
    provenance = Provenance(
        trained_on=stream.trained_on,
        training_cutoff=settings.training_cutoff,
        synthetic_share=1.0 - real_share,
        details={"name": recipe.name, **result},
    )
    longest = max(parts["data"].window_lengths)
    best = TimeSeriesModel("timer", state.average, longest, provenance)
    save_pretrained(best, folder / "checkpoint")
    report = {
        **result,
        "parameters": count_parameters(model),
        "commit": commit(),
        "versions": versions(),
    }
    tracker.artifact(folder / "checkpoint")
    tracker.finish("FINISHED")
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    return {**report, "message": f"loss {result['loss']:.4f}, checkpoint in {folder}/checkpoint"}
