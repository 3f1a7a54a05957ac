"""A training run: from its parts to a checkpoint and a report; pretrain and finetune share it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.config import Choice, Recipe, build_sections, discover_all
from tsfm.environment import commit, peak_memory_mb, versions
from tsfm.errors import ConfigError
from tsfm.mlflow_tracker import TrackingConfig, make_tracker
from tsfm.models.backbone import count_parameters
from tsfm.models.model import USUAL_CONTEXT, Provenance, TimeSeriesModel
from tsfm.models.pretrained import save_pretrained
from tsfm.objectives.objective import OBJECTIVES
from tsfm.registry import Registry
from tsfm.tasks.arguments import find_device
from tsfm.toml_text import dump
from tsfm.tracking import FileTracker, NoTracker, Tracker, recorded
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer
from tsfm.training.policies import merge
from tsfm.training.processes import Processes, joined
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep
from tsfm.training.stream import STREAMS, BatchStream

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrainingRunConfig:
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
    usual_context
        Steps that a forecast reads when nobody says how many; it travels with the weights. None
        reads all that the model can.
    """

    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    output: str | None = None
    training_cutoff: str | None = None
    usual_context: int | None = Field(default=None, ge=1)


@plain_dataclass(frozen=True)
class Start:
    """What a run begins with.

    Parameters
    ----------
    backbone
        Its name in the registry.
    seen
        Where the weights come from, for those that do not begin at random.
    thaw
        See `fit`.
    finish
        What is still done to the model before it is saved.
    moves_weights
        Whether that changes weights, so that their loss is measured again.
    """

    backbone: str
    trained: TrainingStep
    seen: Provenance | None = None
    thaw: Callable[[float], None] | None = None
    finish: Callable[[TimeSeriesModel], TimeSeriesModel] | None = None
    moves_weights: bool = False


def training_sections(
    recipe: Recipe, choices: Mapping[str, Registry[Any]], **classes: type[Any]
) -> dict[str, Any]:
    """Build every section of a recipe; the names in it decide which configs are read.

    Parameters
    ----------
    choices
        Sections that name an entry of a registry.
    classes
        Further sections.

    Raises
    ------
    ConfigError
        With the problems of all sections together.
    """
    discover_all()
    known: dict[str, type[Any]] = {"run": TrainingRunConfig, **classes}
    for section, registry in choices.items():
        entry = registry[recipe.sections.get(section, {}).get("name", "")]
        known |= {section: Choice, f"{section}.config": entry.Config}
    known |= {
        "optimizer": OptimizerConfig,
        "schedule": ScheduleConfig,
        "training": TrainingConfig,
        "tracking": TrackingConfig,
    }
    return build_sections(recipe, known)


def build_objective(parts: dict[str, Any], backbone: nn.Module, stream: BatchStream) -> Any:
    """Return the objective of a recipe; one on labels is told of the samples of the stream.

    Raises
    ------
    ConfigError
        When it learns labels and the stream has none.
    """
    kind, config = OBJECTIVES[parts["objective"].name], parts["objective.config"]
    if not getattr(kind, "reads_labels", False):
        return kind(config, backbone)
    labelled = getattr(stream, "labelled", None)
    if labelled is None:
        raise ConfigError(
            f"objective {parts['objective'].name!r} needs samples with labels, got data "
            f"{parts['data'].name!r} without; set data.name to 'samples' and data.config.dataset "
            "to a labelled set"
        )
    return kind(config, backbone, labelled)


def train(
    recipe: Recipe,
    parts: dict[str, Any],
    make_start: Callable[[BatchStream], Start],
    *,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Train, save the checkpoint, write `report.json` last.

    Writes ``config.toml``, ``log.jsonl``, ``resume/``, ``checkpoint/`` and ``report.json`` to the
    run's folder.

    Raises
    ------
    CheckpointError
        When the folder holds the state of another model.
    """
    settings: TrainingRunConfig = parts["run"]
    device = settings.device
    if device in ("auto", "cuda") and torch.cuda.is_available():
        # Which one is up to each process: asking for it here would have all of them on the first.
        device = "cuda"
    else:
        device = str(find_device(device))
    folder = Path(settings.output or Path("runs") / recipe.name / str(settings.seed))
    with joined(torch.device(device)) as processes:
        stream: BatchStream = STREAMS[parts["data"].name](
            parts["data.config"], seed=settings.seed, process=processes.rank
        )
        start = make_start(stream)
        state = TrainingState(
            start.trained.to(device), make_optimizer(start.trained, parts["optimizer"])
        )
        state.restore(folder / "resume")
        if not processes.is_first:
            _fit(parts, start, stream, state, folder, NoTracker(), processes)
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").unlink(missing_ok=True)
        resolved = resolve(parts)
        (folder / "config.toml").write_text(dump(resolved), encoding="utf-8")
        inner = tracker or make_tracker(parts["tracking"], run_id=state.run_id)
        with recorded(FileTracker(folder / "log.jsonl", inner), recipe.name, resolved) as tracker:
            state.run_id = tracker.run_id
            result = _fit(parts, start, stream, state, folder, tracker, processes)
            model, result = _delivered(recipe, parts, start, state, stream, result)
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
            text = json.dumps(report, indent=2)
            (folder / "report.json").write_text(text + "\n", encoding="utf-8")
            for name in ("checkpoint", "config.toml", "report.json"):
                tracker.artifact(folder / name)
    return {**report, "message": _summary(result, folder)}


def _summary(result: dict[str, Any], folder: Path) -> str:
    share = result["share_of_matrix_product_limit"]
    return (
        f"loss {result['loss']:.4f} after {result['steps']} steps and {result['seconds']:.0f} s, "
        f"at {share:.0%} of the matrix-product limit; checkpoint in {folder}/checkpoint"
    )


def _fit(
    parts: dict[str, Any],
    start: Start,
    stream: BatchStream,
    state: TrainingState,
    folder: Path,
    tracker: Tracker,
    processes: Processes,
) -> dict[str, Any]:
    settings: TrainingRunConfig = parts["run"]
    for data in stream.inputs:
        tracker.log_input(data.name, data.digest, source=data.source, context="training")
    device = next(state.trained.parameters()).device
    return fit(
        state,
        stream,
        seed=settings.seed,
        optimizer=parts["optimizer"],
        schedule=parts["schedule"],
        training=parts["training"],
        folder=folder / "resume",
        tracker=tracker,
        device=device,
        processes=processes,
        precision=PRECISIONS[settings.precision],
        validate=_validation(stream, parts["training"], settings.seed, device),
        thaw=start.thaw,
    )


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
    start: Start,
    state: TrainingState,
    stream: BatchStream,
    result: dict[str, Any],
) -> tuple[TimeSeriesModel, dict[str, Any]]:
    """Return the model, and the result with the loss of what was still changed after training."""
    best = parts["training"].keep == "best"
    trained = state.delivered(best=best).cpu().eval()
    backbone = merge(trained.backbone)
    # An objective that is to be asked again later keeps its head with the model.
    heads = getattr(trained.objective, "heads", {})
    seen = start.seen or Provenance()
    provenance = Provenance(
        trained_on=tuple(dict.fromkeys((*seen.trained_on, *stream.trained_on))),
        training_cutoff=parts["run"].training_cutoff,
        synthetic_share=stream.synthetic_share,
        details={
            "name": recipe.name,
            "run_id": state.run_id,
            **({USUAL_CONTEXT: usual} if (usual := parts["run"].usual_context) else {}),
            **result,
            **({"started_from": seen.details} if start.seen else {}),
        },
    )
    model = TimeSeriesModel(start.backbone, backbone, stream.context_length, provenance, heads)
    model = start.finish(model) if start.finish else model
    place = next(model.parameters()).device
    measure = _validation(stream, parts["training"], parts["run"].seed, place)
    if measure is None or not start.moves_weights:
        return model, result
    loss = measure(TrainingStep(model.backbone, trained.objective))
    return model, {**result, "delivered_validation_loss": loss}


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
