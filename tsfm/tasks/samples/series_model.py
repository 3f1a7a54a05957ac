"""Models on whole series: an encoder, new or from a checkpoint, and one head on its tokens."""

import copy
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from tsfm.errors import ConfigError, problems_of
from tsfm.models.backbone import Encoder
from tsfm.models.model import Provenance, TimeSeriesModel
from tsfm.models.pretrained import load_pretrained
from tsfm.models.tst import Tst, TstConfig


def start_from(model: str | Path | TimeSeriesModel) -> TimeSeriesModel:
    """Return a model of one's own to train: a loaded checkpoint, or a copy of a model.

    Raises
    ------
    CheckpointError
        When there is no such checkpoint.
    ConfigError
        When its backbone is no encoder.
    """
    own = (
        copy.deepcopy(model) if isinstance(model, TimeSeriesModel) else load_pretrained(str(model))
    )
    if not isinstance(own.backbone, Encoder):
        raise ConfigError(
            f"model must have an encoder as its backbone, got {own.name!r}; choose another"
        )
    return own


def new_tst(seed: int, **sizes: Any) -> TimeSeriesModel:
    """Return an untrained `Tst`; see `TstConfig` for the sizes.

    Raises
    ------
    ConfigError
        When the sizes do not fit together.
    """
    try:
        config = TstConfig(**sizes)
    except ValidationError as error:
        raise ConfigError(f"sizes must be those of a TstConfig, got {problems_of(error)}") from None
    # The type that samples are read in, whatever the caller has made the default one of torch.
    backbone = Tst(config).float()
    backbone.reset_parameters(torch.Generator().manual_seed(seed))
    return TimeSeriesModel("tst", backbone, config.context_length, Provenance())


def with_head(model: TimeSeriesModel, name: str, head: nn.Module) -> TimeSeriesModel:
    """Return the model with this one head in place of others."""
    return TimeSeriesModel(
        model.name, model.backbone, model.context_length, model.provenance, {name: head}
    )
