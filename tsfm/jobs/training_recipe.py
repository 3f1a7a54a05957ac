"""The recipe of a training run: sections that pretrain and finetune share, built and resolved."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.config import Choice, Recipe, build_sections, discover_all
from tsfm.errors import CheckpointError, ConfigError
from tsfm.mlflow_tracker import TrackingConfig
from tsfm.objectives.objective import OBJECTIVES
from tsfm.registry import Registry
from tsfm.toml_text import dump
from tsfm.training.fit import TrainingConfig
from tsfm.training.optimizer import OptimizerConfig, ScheduleConfig
from tsfm.training.stream import BatchStream

# What may be another when a run goes on: it decides where, how long and how closely watched it is.
FREE_SECTIONS = ("tracking",)
FREE_KEYS = (
    ("data", "config", "pool"),
    *(("run", key) for key in ("device", "output", "training_cutoff", "usual_context")),
    *(("training", key) for key in ("steps", "log_every", "save_every", "keep", "patience")),
    *(("training", key) for key in ("validate_every", "validation_batches")),
)
# Files and folders, which a run records from the root.
PLACES = (("start", "model"), ("data", "config", "panel", "dataset"))


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

    seed: int = Field(default=0, ge=0, lt=2**63)
    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    output: str | None = None
    training_cutoff: str | None = None
    usual_context: int | None = Field(default=None, ge=1)


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
        values = recipe.sections.get(section, {})
        name = values.get("name", "") if isinstance(values, Mapping) else ""
        try:
            entry = registry[str(name)]
        except ConfigError as error:
            raise ConfigError(f"{recipe.source}: {section}.name: {error}") from None
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


def resolve(parts: dict[str, Any]) -> dict[str, Any]:
    """Return all values of a run as they stand in a recipe, with its data named from the root."""
    resolved: dict[str, Any] = {}
    for name, given in parts.items():
        part = given.located() if hasattr(given, "located") else given
        section, _, inner = name.partition(".")
        if inner:
            resolved[section][inner] = asdict(part)
        else:
            resolved[section] = asdict(part)
    return resolved


def check_same_run(file: Path, parts: dict[str, Any], step: int) -> None:
    """Raise when the run that wrote its configuration to `file` learned in another way.

    Raises
    ------
    CheckpointError
        Naming what is different, or that it has gone more steps than are asked for; going on would
        report weights of one recipe as those of another.
    """
    if step > parts["training"].steps:
        raise CheckpointError(
            f"training.steps must be at least the {step} that {file.parent} has gone, got "
            f"{parts['training'].steps}; choose another run.output or delete the folder"
        )
    if not file.is_file():
        return
    before = _leaves(tomllib.loads(file.read_text(encoding="utf-8")))
    now = _leaves(tomllib.loads(dump(resolve(parts))))
    for path, value in now.items():
        is_free = path[0] in FREE_SECTIONS or path in FREE_KEYS
        # Versions of this package may know other keys.
        if not is_free and path in before and not _is_same(path, before[path], value):
            raise CheckpointError(
                f"a run must go on as it began, got {'.'.join(path)}={value!r} and in {file} "
                f"{before[path]!r}; choose another run.output or delete the folder"
            )


def _is_same(path: tuple[str, ...], before: Any, now: Any) -> bool:
    """Compare what a run is told and was told; where something lies may be said in two ways."""
    if path not in PLACES or not Path(now).is_absolute():
        return bool(before == now)
    # Earlier versions recorded the place as it was given, and whole runs move.
    place = Path(before).absolute()
    return place == Path(now) or (Path(before).is_absolute() and not place.exists())


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key, value in values.items():
        inner = (
            _leaves(value, (*path, key)) if isinstance(value, Mapping) else {(*path, key): value}
        )
        found |= inner
    return found
