"""Fine-tune a checkpoint by a recipe: all weights, the heads, layer by layer, or low-rank."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from pydantic import ConfigDict, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from tsfm.config import Recipe
from tsfm.errors import ConfigError
from tsfm.jobs.pairs import check_pair
from tsfm.jobs.training_run import Start, build_objective, train, training_sections
from tsfm.models.model import TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.models.timer import with_seasons
from tsfm.objectives.objective import OBJECTIVES
from tsfm.tasks.trust import with_trust
from tsfm.tracking import Tracker
from tsfm.training.policies import Mode, apply_policy
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
    seasons
        Tell the tokens of a `Timer` what past seasons had, if they are not told so far; until it is
        trained it forecasts as before.
    """

    model: str
    mode: Mode = "full"
    rank: PositiveInt = 8
    scratch: bool = False
    seasons: bool = False


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class TrustConfig:
    """The ``[trust]`` section: how far forecasts go from the last value; see `tsfm.tasks.trust`.

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
    config: StartConfig = parts["start"]
    finish = _finish(parts["trust"], parts["objective.config"])
    model = load_pretrained(config.model)
    if config.seasons:
        seed = parts["run"].seed
        model.backbone = with_seasons(model.backbone, torch.Generator().manual_seed(seed))
    check_pair(model.backbone, parts["objective"].name, parts["objective.config"])

    def start(stream: BatchStream) -> Start:
        generator = torch.Generator().manual_seed(parts["run"].seed)
        if config.scratch:
            model.backbone.reset_parameters(generator)
        objective = build_objective(parts, model.backbone, stream)
        if not config.scratch:
            for name, head in getattr(objective, "heads", {}).items():
                if name in model.heads:
                    head.load_state_dict(model.heads[name].state_dict())
        trained = TrainingStep(model.backbone, objective)
        thaw = apply_policy(model.backbone, config.mode, rank=config.rank, generator=generator)
        seen = None if config.scratch else model.provenance
        return Start(model.name, trained, seen, thaw, finish and partial(finish, stream=stream))

    return train(recipe, parts, start, tracker=tracker)


def _finish(config: TrustConfig, objective: Any) -> Callable[..., TimeSeriesModel] | None:
    if not config.batches:
        return None
    context_length = getattr(objective, "context_length", None)
    if context_length is None:
        raise ConfigError(
            "trust.batches needs objective.config.context_length, which says where a held-out "
            "window is forecast from; set it, or trust.batches=0"
        )
    return partial(with_trust, context_length=context_length, batches=config.batches)
