"""Fill what is hidden between what is visible: pre-training of a two-sided model.

Gaps are drawn in the shapes of `gap_masks`. What is missing in the data is not visible either, and
is never asked for, since its truth is not known.
"""

from typing import Literal

import torch
from einops import rearrange
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.models.backbone import Filled, GapFiller
from tsfm.objectives.gap_masks import (
    RowMask,
    aligned_segments,
    in_batch,
    mixed_gaps,
    random_points,
    tails,
)
from tsfm.objectives.next_patch import pinball
from tsfm.objectives.objective import OBJECTIVES, Loss
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Float, Observed, Tensor, Values

# The error of the line is the unit of a window's loss, but never less than this share of what it
# may be: a line that is all but perfect leaves nothing to learn.
LEAST_UNIT = 0.05
# A hidden outlier teaches nothing but to be an outlier.
LARGEST_ERROR = 30.0


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class FillGapsConfig:
    """Options of `FillGaps`.

    Parameters
    ----------
    masking
        ``"mixed"``: all shapes of gaps; ``"points"`` and ``"segments"``: those of the published
        protocol, with one of `hidden_shares` per window; ``"both"``: one or the other.
    segment_length
        Of ``"segments"``, which are whole ones counted from the start; the first is never hidden.
    tail_share
        Share of the rows of which the end is hidden instead, so that the model forecasts too.
    units
        ``"line"``: the loss of a window is relative to the error of linear interpolation in it, so
        that smooth and rough series and short and long gaps weigh alike; ``"input"``: in the units
        of the batch.
    """

    masking: Literal["mixed", "points", "segments", "both"] = "mixed"
    hidden_shares: tuple[float, ...] = Field(default=(0.125, 0.25, 0.375, 0.5), min_length=1)
    segment_length: int = Field(default=24, ge=1)
    tail_share: float = Field(default=0.0, ge=0, le=1)
    units: Literal["line", "input"] = "line"


@OBJECTIVES.register("fill_gaps")
class FillGaps:
    """Mean pinball loss over the hidden values; linear interpolation scores 0.5 in units of lines.

    Only windows whose visible values differ count: without two of them there is no scale.
    """

    Config = FillGapsConfig
    requires = GapFiller

    def __init__(self, config: FillGapsConfig, _backbone: object = None) -> None:
        # Other objectives size their heads by the backbone; this one has no head.
        self.config = config

    def __call__(self, model: GapFiller, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Hide values, fill them, and compare; a batch without hidden values has loss 0."""
        known = batch.observed & batch.inside[..., None]
        masked = self.draw(batch, generator) & known
        filled = model.fill(batch.values, known & ~masked, batch.inside)
        asked = masked if batch.supervised is None else masked & batch.supervised
        counted = asked & (filled.unit > 0)
        unit = self._unit(filled, batch.values, counted)
        # The batch has zeros where a value is missing, and the line is finite, so the miss is too.
        miss = ((batch.values - filled.line) / unit).clamp(-LARGEST_ERROR, LARGEST_ERROR)
        error = rearrange(
            miss[:, None] - filled.correction / unit[:, None],
            "batch level time channel -> batch channel 1 level time",
        )
        levels = torch.tensor(model.quantile_levels).to(error)
        loss = rearrange(pinball(error, levels), "batch channel 1 time -> batch time channel")
        count = int(counted.sum())
        total = torch.where(counted, loss, 0.0).sum() / max(count, 1)
        return Loss(total, count)

    def draw(self, batch: WindowBatch, generator: torch.Generator) -> Observed:
        """Draw what to hide, of values that may not even be there."""
        n_windows, time, channels = batch.values.shape
        n_rows = n_windows * channels
        if self.config.masking == "mixed":
            rows = mixed_gaps(n_rows, time, generator)
        else:
            rows = self._published(n_rows, time, generator)
        if self.config.tail_share:
            is_tail = (
                torch.rand(n_rows, 1, generator=generator, dtype=torch.float32)
                < self.config.tail_share
            )
            rows = torch.where(is_tail, tails(n_rows, time, generator), rows)
        return in_batch(rows, n_windows).to(batch.values.device)

    def _published(self, n_rows: int, time: int, generator: torch.Generator) -> RowMask:
        config = self.config
        which = torch.randint(0, len(config.hidden_shares), (n_rows,), generator=generator)
        share = torch.tensor(config.hidden_shares)[which]
        points = random_points(n_rows, time, share, generator)
        segments = aligned_segments(n_rows, time, share, config.segment_length, generator)
        by_point = {"points": 1.0, "segments": 0.0}.get(config.masking, 0.5)
        chosen = torch.rand(n_rows, 1, generator=generator, dtype=torch.float32) < by_point
        return torch.where(chosen, points, segments)

    def _unit(
        self, filled: Filled, values: Values, counted: Observed
    ) -> Float[Tensor, "batch 1 channel"]:
        """Return what an error counts by, one number per window and channel."""
        if self.config.units == "input":
            return torch.ones_like(filled.line[:, :1])
        count = counted.sum(1, keepdim=True).clamp(min=1)
        error, possible = (
            torch.where(counted, one, 0.0).sum(1, keepdim=True) / count
            for one in ((values - filled.line).abs(), filled.unit)
        )
        unit = torch.maximum(error, LEAST_UNIT * possible)
        return torch.where(unit > 0, unit, 1.0)
