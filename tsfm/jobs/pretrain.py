"""Pre-train a model from a recipe; the same command goes on after an interruption.

With torchrun (``torchrun --nproc-per-node 2 -m tsfm pretrain timer_tiny``) several processes train
together; the first one writes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from tsfm.config import Choice, Recipe, build_sections, discover_all, dump
from tsfm.environment import commit, peak_memory_mb, versions
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.models.backbone import BACKBONES, count_parameters
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.objectives.objective import OBJECTIVES
from tsfm.tracking import FileTracker, NoTracker, Tracker, recorded
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer
from tsfm.training.processes import Processes, joined
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep
from tsfm.training.stream import STREAMS, BatchStream

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class PretrainRunConfig:
    """The ``[run]`` section.

    Parameters
    ----------
    device
        ``"auto"`` takes a GPU when there is one.
    precision
        Of the products inside the model; ``"bfloat16"`` pays on a GPU only.
    output
        Folder of the run; by default ``runs/<recipe>/<seed>``.
    training_cutoff
        The last date that the data may hold; it travels with the weights.
    """

    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    output: str | None = None
    training_cutoff: str | None = None


def sections(recipe: Recipe) -> dict[str, Any]:
    """Build every section of a recipe; the names in it decide which configs are read.

    Raises
    ------
    ConfigError
        With the problems of all sections together.
    """
    discover_all()
    chosen = {
        section: registry[recipe.sections.get(section, {}).get("name", "")]
        for section, registry in (
            ("data", STREAMS),
            ("model", BACKBONES),
            ("objective", OBJECTIVES),
        )
    }
    classes: dict[str, type[Any]] = {"run": PretrainRunConfig}
    for section, entry in chosen.items():
        classes |= {section: Choice, f"{section}.config": entry.Config}
    classes |= {
        "optimizer": OptimizerConfig,
        "schedule": ScheduleConfig,
        "training": TrainingConfig,
        "tracking": TrackingConfig,
    }
    return build_sections(recipe, classes)


def build_step(parts: dict[str, Any]) -> TrainingStep:
    """Return backbone and objective with weights that are not yet drawn."""
    backbone = BACKBONES[parts["model"].name](parts["model.config"])
    objective = OBJECTIVES[parts["objective"].name](parts["objective.config"])
    return TrainingStep(backbone, objective)


def run(recipe: Recipe, *, tracker: Tracker | None = None) -> dict[str, Any]:
    """Train, save the checkpoint, write `report.json` last.

    Writes ``config.toml``, ``log.jsonl``, ``resume/``, ``checkpoint/`` and ``report.json`` to the
    run's folder.

    Parameters
    ----------
    tracker
        By default an MLflow run, at the recipe's or the environment's address.

    Raises
    ------
    ConfigError
        When the recipe is wrong.
    CheckpointError
        When the folder holds the state of another model.
    """
    parts = sections(recipe)
    settings: PretrainRunConfig = parts["run"]
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    folder = Path(settings.output or Path("runs") / recipe.name / str(settings.seed))
    with joined(device) as processes:
        return _run(recipe, parts, folder, device, processes, tracker)


def _run(
    recipe: Recipe,
    parts: dict[str, Any],
    folder: Path,
    device: torch.device,
    processes: Processes,
    tracker: Tracker | None,
) -> dict[str, Any]:
    seed = parts["run"].seed
    stream = STREAMS[parts["data"].name](parts["data.config"], seed=seed, process=processes.rank)
    trained = build_step(parts)
    trained.backbone.reset_parameters(torch.Generator().manual_seed(seed))
    state = TrainingState(trained.to(device), make_optimizer(trained, parts["optimizer"]))
    state.restore(folder / "resume")
    resolved = resolve(parts)
    if processes.is_first:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").unlink(missing_ok=True)
        (folder / "config.toml").write_text(dump(resolved), encoding="utf-8")
        tracker = tracker or make_tracker(parts["tracking"], run_id=state.run_id)
        tracker = FileTracker(folder / "log.jsonl", tracker)
    else:
        tracker = NoTracker()
    with recorded(tracker, recipe.name, resolved):
        state.run_id = tracker.run_id
        for data in stream.inputs:
            tracker.log_input(data.name, data.digest, source=data.source, context="training")
        result = fit(
            state,
            stream,
            seed=seed,
            optimizer=parts["optimizer"],
            schedule=parts["schedule"],
            training=parts["training"],
            folder=folder / "resume",
            tracker=tracker,
            device=device,
            processes=processes,
            precision=PRECISIONS[parts["run"].precision],
            validate=_validation(stream, parts["training"], seed, device),
        )
        if not processes.is_first:
            return {}
        model = _delivered(recipe, parts, state, stream, result)
        save_pretrained(model, folder / "checkpoint")
        report = {
            "recipe": recipe.name,
            "config": resolved,
            **result,
            "parameters": count_parameters(model.backbone),
            "processes": processes.count,
            "commit": commit(),
            "versions": versions(),
            "peak_memory_mb": peak_memory_mb(),
        }
        (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        for name in ("checkpoint", "config.toml", "report.json"):
            tracker.artifact(folder / name)
    return {**report, "message": f"loss {result['loss']:.4f}, checkpoint in {folder}/checkpoint"}


def _validation(
    stream: BatchStream, training: TrainingConfig, seed: int, device: torch.device
) -> Callable[[TrainingStep], float] | None:
    """Return what measures the loss on held-out windows, the same ones every time."""
    if not training.validate_every:
        return None

    @torch.no_grad()
    def measure(trained: TrainingStep) -> float:
        trained.eval()
        total, count = 0.0, 0
        for number in range(training.validation_batches):
            generator = torch.Generator().manual_seed(seed + number)
            loss = trained(stream.validation(number).to(device), generator)
            total, count = total + loss.total.item() * loss.count, count + loss.count
        return total / max(count, 1)

    return measure


def _delivered(
    recipe: Recipe,
    parts: dict[str, Any],
    state: TrainingState,
    stream: BatchStream,
    result: dict[str, Any],
) -> TimeSeriesModel:
    trained = state.delivered(best=parts["training"].keep == "best").cpu().eval()
    provenance = Provenance(
        trained_on=stream.trained_on,
        training_cutoff=parts["run"].training_cutoff,
        synthetic_share=stream.synthetic_share,
        details={"name": recipe.name, "run_id": state.run_id, **result},
    )
    return TimeSeriesModel(parts["model"].name, trained.backbone, stream.context_length, provenance)


def resolve(parts: dict[str, Any]) -> dict[str, Any]:
    """Return all values of a run as they stand in a recipe."""
    resolved: dict[str, Any] = {}
    for name, part in parts.items():
        section, _, inner = name.partition(".")
        if inner:
            resolved[section][inner] = asdict(part)
        else:
            resolved[section] = asdict(part)
    return resolved
