"""A recipe that no longer builds is found here, not after an hour in a queue.

Every recipe of the package is read, all of its sections are built, and its model takes shape
without memory or data.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tsfm.config import Recipe, build_sections, load_recipe
from tsfm.errors import ConfigError
from tsfm.jobs import backtest, evaluate, finetune, pretrain
from tsfm.jobs.training_recipe import resolve, training_sections
from tsfm.mlflow_tracker import TrackingConfig
from tsfm.models.backbone import count_parameters
from tsfm.models.pretrained import load_pretrained
from tsfm.objectives.objective import OBJECTIVES
from tsfm.recipe_files import recipe_names
from tsfm.toml_text import dump
from tsfm.training.step import TrainingStep
from tsfm.training.stream import STREAMS

NAMES = recipe_names()


def evaluation_sections(recipe: Recipe) -> dict[str, Any]:
    classes = {
        "run": evaluate.EvaluateRunConfig,
        "tracking": TrackingConfig,
        "evaluate": evaluate.PROTOCOLS[recipe.sections["evaluate"]["protocol"]].config,
    }
    return build_sections(recipe, classes)


def finetuning_sections(recipe: Recipe) -> dict[str, Any]:
    choices = {"data": STREAMS, "objective": OBJECTIVES}
    return training_sections(recipe, choices, start=finetune.StartConfig)


# The section that only recipes of one verb have -> what builds all of their sections.
BUILDERS: dict[str, Callable[[Recipe], dict[str, Any]]] = {
    "evaluate": evaluation_sections,
    "backtest": backtest.sections,
    "start": finetuning_sections,
    "model": pretrain.sections,
}


def kind_of(name: str) -> str:
    (kind,) = set(BUILDERS) & set(load_recipe(name).sections)
    return kind


def parts_of(name: str) -> dict[str, Any]:
    return BUILDERS[kind_of(name)](load_recipe(name))


def of_kind(*kinds: str) -> list[str]:
    return [name for name in NAMES if set(kinds) & set(load_recipe(name).sections)]


PRETRAIN = of_kind("model")


def test_the_recipes_that_always_exist_are_there() -> None:
    assert {"timer_tiny", "tsfm_small", "zero_shot", "ltsf"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_section_of_a_recipe_builds(name: str) -> None:
    assert set(load_recipe(name).sections) <= set(parts_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_begins_by_saying_what_to_expect(name: str) -> None:
    lines = load_recipe(name).source.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert lines[1].startswith("# ")


@pytest.mark.parametrize("name", PRETRAIN)
def test_the_model_of_a_recipe_builds_and_offers_what_its_objective_requires(name: str) -> None:
    with torch.device("meta"):
        step = pretrain.build_step(parts_of(name))
    assert isinstance(step.backbone, step.objective.requires)
    assert all(parameter.is_meta for parameter in step.parameters())
    assert count_parameters(step) > 0


@pytest.mark.parametrize("name", of_kind("start"))
def test_the_checkpoint_of_a_recipe_offers_what_its_objective_requires(name: str) -> None:
    parts = parts_of(name)
    start = parts["start"].model
    if start.startswith("runs/"):
        # The run of another recipe, which makes the checkpoint first.
        before = {name}
        while "start" in (made := parts_of(Path(start).parts[1])):
            assert Path(start).parts[1] not in before, "recipes start from each other in a circle"
            before.add(Path(start).parts[1])
            start = made["start"].model
        backbone = pretrain.build_step(made).backbone
    else:
        backbone = load_pretrained(start).backbone
    # One on labels has its head made for the data, which are not read here.
    assert isinstance(backbone, OBJECTIVES[parts["objective"].name].requires)


def test_an_objective_that_needs_another_backbone_is_refused_before_any_data_is_read() -> None:
    parts = parts_of("timer_tiny")
    objective = OBJECTIVES[parts["objective"].name](parts["objective.config"])
    with pytest.raises(ConfigError, match="NextPatch needs a NextPatchModel, got Linear; choose"):
        TrainingStep(torch.nn.Linear(1, 1), objective)


@pytest.mark.parametrize("name", of_kind("model", "start"))
def test_what_a_run_writes_to_its_folder_starts_the_same_run_again(
    name: str, tmp_path: Path
) -> None:
    resolved = resolve(parts_of(name))
    file = tmp_path / f"{name}.toml"
    file.write_text(dump(resolved), encoding="utf-8")
    assert resolve(BUILDERS[kind_of(name)](load_recipe(file))) == resolved


@pytest.mark.parametrize("name", [name for name in PRETRAIN if name.endswith("_tiny")])
def test_a_tiny_recipe_is_tiny(name: str) -> None:
    with torch.device("meta"):
        step = pretrain.build_step(parts_of(name))
    assert count_parameters(step) < 500_000


def test_the_recipe_of_the_bundled_model_has_its_configuration() -> None:
    parts, bundled = parts_of("tsfm_small"), load_pretrained("tsfm-small")
    assert parts["model"].name == bundled.name
    assert parts["model.config"] == bundled.backbone.config
    assert max(parts["data.config"].window_lengths) == bundled.context_length
    assert parts["run"].training_cutoff == bundled.provenance.training_cutoff
