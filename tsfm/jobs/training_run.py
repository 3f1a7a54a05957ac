"""A training run: from its parts to a checkpoint and a report; pretrain and finetune share it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tsfm.config import Recipe
from tsfm.environment import ran_on
from tsfm.jobs.reports import REPORT_FILE, write_report
from tsfm.jobs.run_folder import check_run_folder, folder_of, write_config
from tsfm.jobs.training_recipe import TrainingRunConfig, check_same_run, resolve
from tsfm.locks import locked
from tsfm.mlflow_tracker import make_tracker
from tsfm.models.backbone import count_parameters
from tsfm.models.model import USUAL_CONTEXT, Provenance, TimeSeriesModel
from tsfm.models.pretrained import check_checkpoint_place, save_pretrained
from tsfm.tasks.arguments import find_device
from tsfm.tracking import FileTracker, NoTracker, Tracker, recorded
from tsfm.training.fit import TrainingConfig, fit
from tsfm.training.optimizer import make_optimizer
from tsfm.training.policies import merge
from tsfm.training.processes import Processes, joined
from tsfm.training.state import TrainingState
from tsfm.training.step import TrainingStep
from tsfm.training.stream import STREAMS, BatchStream
from tsfm.training.validation import held_out_loss

WRITTEN = ("config.toml", "log.jsonl", REPORT_FILE)
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
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
        When the folder holds the state of another model, or of one trained in another way or for
        longer.
    ConfigError
        When another run trains in the folder, or it has files that no run of this verb left.
    """
    settings: TrainingRunConfig = parts["run"]
    device = _device(settings.device)
    folder = folder_of(settings.output, Path("runs") / recipe.name / str(settings.seed))
    verb = "finetune" if "start" in parts else "pretrain"
    with joined(torch.device(device)) as processes, _alone_in(folder, verb, processes):
        stream: BatchStream = STREAMS[parts["data"].name](
            parts["data.config"], seed=settings.seed, process=processes.rank
        )
        start = make_start(stream)
        state = TrainingState(
            start.trained.to(device),
            make_optimizer(start.trained, parts["optimizer"], processes),
        )
        if state.restore(folder / "resume") and processes.is_first:
            check_same_run(folder / "config.toml", parts, state.step)
        if not processes.is_first:
            _fit(parts, start, stream, state, folder, NoTracker(), processes)
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REPORT_FILE).unlink(missing_ok=True)
        resolved = resolve(parts)
        write_config(folder, resolved)
        inner = tracker or make_tracker(parts["tracking"], run_id=state.run_id)
        kept = FileTracker(folder / "log.jsonl", inner, after=state.step)
        with recorded(kept, recipe.name, resolved) as tracker:
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
                **ran_on(),
            }
            write_report(folder / REPORT_FILE, report)
            for name in ("checkpoint", "config.toml", REPORT_FILE):
                tracker.artifact(folder / name)
    return {**report, "message": _summary(result, folder)}


@contextmanager
def _alone_in(folder: Path, verb: str, processes: Processes) -> Iterator[None]:
    """Refuse to train where another run does: each would go on from what the other one saves."""
    if not processes.is_first:
        yield
        return
    check_run_folder(folder, verb, WRITTEN)
    check_checkpoint_place(folder / "checkpoint")
    refusal = (
        f"run.output must be a folder that no other run is training in, got {folder}; wait for "
        "that run, or name another folder"
    )
    with locked(folder / "resume", refusal=refusal):
        yield


def _device(name: str) -> str:
    if name in ("auto", "cuda") and torch.cuda.is_available():
        # Which one is up to each process: asking for it here would have all of them on the first.
        return "cuda"
    return str(find_device(name))


def _summary(result: dict[str, Any], folder: Path) -> str:
    share = result["share_of_matrix_product_limit"]
    passes = result["share_of_matrix_product_limit_by_passes"]
    return (
        f"loss {result['loss']:.4f} after {result['steps']} steps and {result['seconds']:.0f} s, "
        f"at {share:.0%} of the matrix-product limit ({passes:.0%} without the optimizer); "
        f"checkpoint in {folder}/checkpoint"
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
        validate=_validation(parts, stream, device),
        thaw=start.thaw,
    )


def _validation(
    parts: dict[str, Any], stream: BatchStream, device: torch.device
) -> Callable[[TrainingStep], float] | None:
    training: TrainingConfig = parts["training"]
    if not training.validate_every:
        return None
    return held_out_loss(stream, training.validation_batches, parts["run"].seed, device)


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
    measure = _validation(parts, stream, place)
    if measure is None or not start.moves_weights:
        return model, result
    loss = measure(TrainingStep(model.backbone, trained.objective))
    return model, {**result, "delivered_validation_loss": loss}
