"""Pre-train a model from a recipe; the same command goes on after an interruption.

With torchrun (``torchrun --nproc-per-node 2 -m tsfm pretrain timer_tiny``) several processes train
together; the first one writes.
"""

from typing import Any

import torch

from tsfm.config import Recipe
from tsfm.jobs.pairs import bare_backbone, check_pair
from tsfm.jobs.training_recipe import build_objective, training_sections
from tsfm.jobs.training_run import Start, train
from tsfm.models.backbone import BACKBONES
from tsfm.objectives.objective import OBJECTIVES
from tsfm.tracking import Tracker
from tsfm.training.step import TrainingStep
from tsfm.training.stream import STREAMS, BatchStream


def sections(recipe: Recipe) -> dict[str, Any]:
    """Build every section of a recipe.

    Raises
    ------
    ConfigError
        With the problems of all sections together.
    """
    choices = {"data": STREAMS, "model": BACKBONES, "objective": OBJECTIVES}
    return training_sections(recipe, choices)


def build_step(parts: dict[str, Any]) -> TrainingStep:
    """Return backbone and objective with weights that are not yet drawn."""
    backbone = BACKBONES[parts["model"].name](parts["model.config"])
    objective = OBJECTIVES[parts["objective"].name](parts["objective.config"], backbone)
    return TrainingStep(backbone, objective)


def run(recipe: Recipe, *, tracker: Tracker | None = None) -> dict[str, Any]:
    """Train a model from random weights; see `train`.

    Parameters
    ----------
    tracker
        By default an MLflow run, at the recipe's or the environment's address.

    Raises
    ------
    ConfigError
        When the recipe is wrong, or its model cannot serve its objective: before any data is read.
    CheckpointError
        When the folder holds the state of another model.
    """
    parts = sections(recipe)
    bare = bare_backbone(parts["model"].name, parts["model.config"])
    check_pair(bare, parts["objective"].name, parts["objective.config"])

    def start(stream: BatchStream) -> Start:
        backbone = BACKBONES[parts["model"].name](parts["model.config"])
        trained = TrainingStep(backbone, build_objective(parts, backbone, stream))
        trained.backbone.reset_parameters(torch.Generator().manual_seed(parts["run"].seed))
        return Start(parts["model"].name, trained)

    return train(recipe, parts, start, tracker=tracker)
