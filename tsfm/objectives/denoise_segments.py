"""Segment denoising as Timer is released: a causal model fills hidden segments from their past.

Liu et al. (ICML 2024, arXiv 2402.02368), section 4, imputation: every segment but the first is
hidden by itself, and what the token before it says is compared with what was there. Values after
the segment are never used, which is what `fill_gaps` is for.
"""

import torch
from einops import rearrange
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from tsfm.errors import DataError
from tsfm.models.backbone import NextPatchModel
from tsfm.objectives.gap_masks import aligned_segments, in_batch
from tsfm.objectives.objective import OBJECTIVES, Loss
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Inside, Observed, Values


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class DenoiseSegmentsConfig:
    """Options of `DenoiseSegments`.

    Parameters
    ----------
    hidden_shares
        One of these is drawn for every window: the chance that a segment is hidden.
    """

    hidden_shares: tuple[float, ...] = Field(default=(0.125, 0.25, 0.375, 0.5), min_length=1)


@OBJECTIVES.register("denoise_segments")
class DenoiseSegments:
    """Mean squared error over the hidden values, in the units of the batch, as published.

    A segment is a patch of the model; windows must be whole segments.

    Raises
    ------
    DataError
        When a window is not a whole number of segments.
    """

    Config = DenoiseSegmentsConfig
    requires = NextPatchModel

    def __init__(self, config: DenoiseSegmentsConfig, _backbone: object = None) -> None:
        # Other objectives size their heads by the backbone; this one has no head.
        self.config = config

    def __call__(
        self, model: NextPatchModel, batch: WindowBatch, generator: torch.Generator
    ) -> Loss:
        """Hide segments, predict them, and compare; a batch without hidden values has loss 0."""
        n_windows, time, channels = batch.values.shape
        which = torch.randint(
            0, len(self.config.hidden_shares), (n_windows * channels,), generator=generator
        )
        share = torch.tensor(self.config.hidden_shares)[which]
        rows = aligned_segments(len(share), time, share, model.patch_length, generator)
        known = batch.observed & batch.inside[..., None]
        masked = in_batch(rows, n_windows).to(known.device) & known
        denoised = denoise(model, batch.values, known & ~masked, batch.inside)
        asked = masked if batch.supervised is None else masked & batch.supervised
        count = int(asked.sum())
        error = torch.where(asked, denoised - batch.values, 0.0)
        return Loss(error.square().sum() / max(count, 1), count)


def denoise(model: NextPatchModel, values: Values, visible: Observed, inside: Inside) -> Values:
    """Return what the model predicts for every segment from those before it; zero for the first.

    With whole-window statistics, as released, location and scale are those of all visible values
    of the window, also of later ones.
    """
    patch, time = model.patch_length, values.shape[1]
    if time % patch:
        raise DataError(
            f"windows must be whole segments of {patch} steps, got {time} steps; use "
            f"window_length={max(patch, time // patch * patch)}"
        )
    forecast = model.forecast_patches(values, visible, inside).in_input_units()
    middle = forecast[:, :, :-1, forecast.shape[3] // 2, :patch]
    later = rearrange(middle, "batch channel token patch -> batch (token patch) channel")
    return torch.cat([torch.zeros_like(values[:, :patch]), later], 1)
