"""TimeSeriesModel: a backbone and what must travel with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from tsfm.errors import UnsupportedError
from tsfm.models.backbone import NextPatchModel

USUAL_CONTEXT = "usual_context"
VIEWS = "views"
TRUST = "trust"


@dataclass(frozen=True)
class Provenance:
    """Where a model's weights come from.

    Parameters
    ----------
    trained_on
        Names of the data cards whose values the weights have seen.
    training_cutoff
        No value after this date (ISO) was seen; None when unknown.
    licence
        Licence of the weights.
    synthetic_share
        Share of the training windows that were synthetic.
    details
        Anything else: recipe, steps, points seen, seconds, run id; under `USUAL_CONTEXT` the steps
        that a forecast reads by default, under `TRUST` the share of its move from the last value
        that a forecast goes, under `VIEWS` whether a forecaster has views; see `Forecaster`.
    """

    trained_on: tuple[str, ...] = ()
    training_cutoff: str | None = None
    licence: str = "Apache-2.0"
    synthetic_share: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)


class TimeSeriesModel(nn.Module):
    """What is saved, loaded and shipped.

    Parameters
    ----------
    name
        The backbone's name in the registry.
    backbone
        A `NextPatchModel` or an `Encoder`.
    context_length
        The longest context, in steps, that helps.
    heads
        What tasks put on the tokens of the backbone, by name; see `tsfm.models.heads`.
    """

    def __init__(
        self,
        name: str,
        backbone: nn.Module,
        context_length: int,
        provenance: Provenance,
        heads: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.backbone: Any = backbone
        self.context_length = context_length
        self.provenance = provenance
        self.heads = nn.ModuleDict(dict(heads or {}))

    @property
    def quantile_levels(self) -> tuple[float, ...]:
        """Levels that the model was trained on; empty for a point model.

        Raises
        ------
        UnsupportedError
            When the backbone does not forecast.
        """
        if not isinstance(self.backbone, NextPatchModel):
            raise UnsupportedError(
                f"a model must have a backbone that predicts the next patch to forecast, got "
                f"{self.name!r}; choose another model"
            )
        return tuple(self.backbone.quantile_levels)

    @property
    def trust(self) -> float:
        """Share of the move from the last value that a forecast goes; 1 unless asked for less."""
        return float(self.provenance.details.get(TRUST, 1.0))

    @property
    def patch_length(self) -> int:
        """Steps per token."""
        return int(getattr(self.backbone, "patch_length", 1))

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Names of the data cards that the weights have seen."""
        return self.provenance.trained_on
