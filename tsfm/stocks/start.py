"""What a ranker starts from: a checkpoint, or random weights of a backbone."""

import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter, ValidationError

from tsfm.errors import ConfigError, problems_of
from tsfm.models.backbone import BACKBONES
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.objectives.objective import OBJECTIVES
from tsfm.registry import discover

if TYPE_CHECKING:
    from tsfm.stocks.fitting import RankerConfig


def start_of(config: "RankerConfig", generator: torch.Generator) -> TimeSeriesModel:
    """Return the checkpoint to start from, or random weights.

    Raises
    ------
    ConfigError
        When there is no such backbone, or its options do not fit it.
    """
    discover("tsfm.models")
    if config.checkpoint:
        return load_pretrained(config.checkpoint)
    backbone = BACKBONES[config.backbone](_options(config))
    backbone.reset_parameters(generator)
    length = config.windows.context_length
    return TimeSeriesModel(config.backbone, backbone, length, Provenance())


def check_names(config: "RankerConfig") -> None:
    """Refuse what a ranker cannot be made of, before anything is fitted or forgotten.

    Raises
    ------
    ConfigError
        When there is no such backbone or objective, or the options of the backbone do not fit it.
    """
    discover("tsfm.models", "tsfm.objectives", "tsfm.stocks")
    if not config.checkpoint:
        _options(config)
    for key in ("pretext", "pretext_config"):
        unknown = sorted(set(getattr(config, key)) - set(OBJECTIVES))
        if unknown:
            raise ConfigError(
                f"ranker.{key} must name some of {list(OBJECTIVES)}, got {unknown}; correct the "
                "name or leave it out"
            )


def _options(config: "RankerConfig") -> Any:
    """Return the options of the backbone, with the sizes that the windows have."""
    kind: Any = BACKBONES[config.backbone].Config
    known = {one.name for one in dataclasses.fields(kind)}
    sizes = {
        "n_channels": len(config.windows.features.spans),
        "context_length": config.windows.context_length,
    }
    values = {key: value for key, value in sizes.items() if key in known} | dict(config.model)
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        problems = problems_of(error)
        raise ConfigError(f"ranker.model must fit {config.backbone}: {problems}") from None
