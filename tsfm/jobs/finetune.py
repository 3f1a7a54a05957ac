"""Fine-tune a checkpoint by a recipe: all weights, the heads, layer by layer, or low-rank."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.config import Recipe
from tsfm.errors import ConfigError
from tsfm.jobs.pairs import check_pair
from tsfm.jobs.training_recipe import build_objective, training_sections
from tsfm.jobs.training_run import Start, train
from tsfm.models.growth import grown
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.objectives.objective import OBJECTIVES
from tsfm.tasks.forecasting.trust import with_trust
from tsfm.tracking import Tracker
from tsfm.training.policies import Mode, apply_policy, keep_share
from tsfm.training.step import TrainingStep
from tsfm.training.stream import STREAMS, BatchStream


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class StartConfig:
    """The ``[start]`` section: the checkpoint, and which of its weights move.

    Parameters
    ----------
    model
        Bundled name, folder, or MLflow address.
    mode, rank
        See `apply_policy`.
    scratch
        Draw all weights anew: the control that shows what pre-training is worth.
    layers
        Layers to train with, if more than the checkpoint has; see `grown`.
    seasons
        Tell the tokens of a `Timer` what past seasons had, if they are not told so far.
    kept_share
        Share of the weights it starts from in those that are delivered; see `keep_share`. Their
        loss is `delivered_validation_loss` in the report; the others are of the weights before.
    """

    model: str
    mode: Mode = "full"
    rank: PositiveInt = 8
    scratch: bool = False
    layers: PositiveInt | None = None
    seasons: bool = False
    kept_share: float = Field(default=0.0, ge=0, lt=1)

    def __post_init__(self) -> None:
        if self.scratch and self.kept_share:
            raise ConfigError(
                "from scratch there are no weights to keep a share of: set kept_share or scratch"
            )


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrustConfig:
    """The ``[trust]`` section: see `tsfm.tasks.forecasting.trust`.

    Parameters
    ----------
    batches
        Held-out batches that are asked; 0 trusts the model whole.
    """

    batches: NonNegativeInt = 0


def run(recipe: Recipe, *, tracker: Tracker | None = None) -> dict[str, Any]:
    """Fine-tune; see `train`.

    Raises
    ------
    ConfigError
        When the recipe is wrong, or its model cannot serve its objective: before any data is read.
    CheckpointError
        When the checkpoint cannot be loaded.
    """
    choices = {"data": STREAMS, "objective": OBJECTIVES}
    parts = training_sections(recipe, choices, start=StartConfig, trust=TrustConfig)
    config = parts["start"] = _located(parts["start"])
    context_length = _held_out_context(parts["trust"], parts["objective.config"])
    model = _loaded(config, parts["run"].seed)
    check_pair(model.backbone, parts["objective"].name, parts["objective.config"])
    before = {}
    if config.kept_share:
        before = {name: value.clone() for name, value in model.backbone.state_dict().items()}

    def finish(delivered: TimeSeriesModel, stream: BatchStream) -> TimeSeriesModel:
        if config.kept_share:
            keep_share(delivered.backbone, before, config.kept_share)
            told = {**delivered.provenance.details, "kept_share": config.kept_share}
            delivered.provenance = replace(delivered.provenance, details=told)
        if context_length is None:
            return delivered
        batches = parts["trust"].batches
        return with_trust(delivered, stream, context_length=context_length, batches=batches)

    def start(stream: BatchStream) -> Start:
        _check_windows(stream, context_length)
        generator = torch.Generator().manual_seed(parts["run"].seed)
        if config.scratch:
            model.backbone.reset_parameters(generator)
        objective = build_objective(parts, model.backbone, stream)
        if not config.scratch:
            _go_on_with_heads(objective, model)
        trained = TrainingStep(model.backbone, objective)
        thaw = apply_policy(model.backbone, config.mode, rank=config.rank, generator=generator)
        return Start(
            model.name,
            trained,
            seen=None if config.scratch else model.provenance,
            thaw=thaw,
            finish=partial(finish, stream=stream),
            moves_weights=config.kept_share > 0,
        )

    return train(recipe, parts, start, tracker=tracker)


def _located(config: StartConfig) -> StartConfig:
    """Return the same start, its folder named from the root: a replay elsewhere finds it."""
    folder = Path(config.model)
    return replace(config, model=str(folder.absolute())) if folder.is_dir() else config


def _loaded(config: StartConfig, seed: int) -> TimeSeriesModel:
    """Return the checkpoint, grown as asked."""
    model = load_pretrained(config.model)
    if config.seasons or config.layers:
        model.backbone = grown(
            model.backbone,
            generator=torch.Generator().manual_seed(seed),
            n_layers=config.layers,
            seasons=config.seasons,
        )
    return model


def _go_on_with_heads(objective: Any, model: TimeSeriesModel) -> None:
    """Let the heads of an objective begin where those that the checkpoint kept ended."""
    for name, head in getattr(objective, "heads", {}).items():
        if name in model.heads:
            head.load_state_dict(model.heads[name].state_dict())


def _held_out_context(trust: TrustConfig, objective: Any) -> int | None:
    """Return how much of a held-out window is read to ask for trust; None where nobody asks."""
    if not trust.batches:
        return None
    found: int | None = getattr(objective, "context_length", None)
    if found is None:
        raise ConfigError(
            "trust.batches needs objective.config.context_length, which says where a held-out "
            "window is forecast from; set it, or trust.batches=0"
        )
    return found


def _check_windows(stream: BatchStream, context_length: int | None) -> None:
    """Refuse windows with nothing after the context that trust is asked from."""
    if context_length is not None and stream.context_length <= context_length:
        raise ConfigError(
            f"trust.batches needs windows longer than objective.config.context_length="
            f"{context_length}, got {stream.context_length} steps; lengthen the windows of data"
        )
