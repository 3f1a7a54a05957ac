"""Fill what is hidden: short runs of every channel are taken out and reconstructed (TST).

Zerveas et al., KDD 2021 (arXiv 2010.02803), section 3.3. Runs are drawn for every channel by
itself, so that a step is never missing as a whole and channels explain one another. Names here and
there: `mean_run` is l_m, `masked_share` is r.

Missing is masked: a value that is missing in the data is not observed, just as one that is hidden,
and only hidden ones are asked for, since their truth is known.

With the tail of the window hidden the same objective teaches to forecast.
"""

from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from torch import nn

from tsfm.models.backbone import Encoder
from tsfm.models.heads import ReconstructionHead
from tsfm.models.reconstruction import reconstructed
from tsfm.objectives.objective import OBJECTIVES, Loss, check_backbone
from tsfm.series.windows import WindowBatch
from tsfm.shapes import Observed


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class MaskedValuesConfig:
    """Which values are hidden; the defaults are the published ones.

    Parameters
    ----------
    masked_share
        Share of the values that is hidden, in the mean.
    mean_run
        Mean length of a hidden run, in steps, before it is cut by the ends of the window.
    masking
        ``"geometric"``: runs of geometric length; ``"bernoulli"``: every step by itself, and
        `mean_run` does not count; ``"tail"``: the last `tail_length` steps of all channels, and
        nothing else counts.
    tail_length
        Steps to forecast.
    synchronous
        The same steps are hidden in all channels.
    scaling
        How values come to the encoder, see `ReconstructionHeadConfig`. The error is in the units
        of the batch all the same.
    """

    masked_share: float = Field(default=0.15, gt=0, lt=1)
    mean_run: float = Field(default=3.0, ge=1)
    masking: Literal["geometric", "bernoulli", "tail"] = "geometric"
    tail_length: int = Field(default=0, ge=0)
    synchronous: bool = False
    scaling: Literal["none", "window"] = "none"

    @model_validator(mode="after")
    def _check(self) -> "MaskedValuesConfig":
        shortest = 1 / (1 - self.masked_share)
        if self.masking == "geometric" and self.mean_run < shortest:
            raise ValueError(
                "mean_run must be at least 1 / (1 - masked_share), the mean of independent steps, "
                f"got mean_run={self.mean_run} and masked_share={self.masked_share}"
            )
        if (self.masking == "tail") != (self.tail_length > 0):
            raise ValueError(
                "tail_length must be at least 1 with masking='tail' and 0 otherwise, got "
                f"masking={self.masking!r} and tail_length={self.tail_length}"
            )
        return self

    @property
    def renewal(self) -> float:
        """Chance that the state of a step is drawn anew rather than kept from the step before."""
        if self.masking == "bernoulli":
            return 1.0
        return 1 / (self.mean_run * (1 - self.masked_share))


def draw_mask(
    shape: tuple[int, int, int], config: MaskedValuesConfig, generator: torch.Generator
) -> Observed:
    """Draw what to hide of a batch of this shape, True for hidden.

    The published chain leaves a hidden run with chance ``1 / mean_run`` and a visible one with
    ``1 / mean_run * r / (1 - r)``, and starts hidden with chance r. Keeping the state of the step
    before, or with chance `renewal` drawing a new one that is hidden with chance r, is the same
    chain: it leaves a hidden run with chance ``renewal * (1 - r)``. The state of a step is then
    what was drawn at the last renewal, or at the start, which needs no loop over steps.
    """
    batch, time, n_channels = shape
    if config.masking == "tail":
        return (torch.arange(time) >= time - config.tail_length)[:, None].expand(shape)
    drawn_channels = 1 if config.synchronous else n_channels
    draws = torch.rand(2, batch, time, drawn_channels, generator=generator, dtype=torch.float32)
    hidden = draws[0] < config.masked_share
    is_new = draws[1] < config.renewal
    step = torch.arange(time)[:, None]
    last_new = torch.where(is_new, step, 0).cummax(1).values
    return hidden.gather(1, last_new).expand(shape)


@OBJECTIVES.register("masked_values")
class MaskedValues(nn.Module):
    """Mean squared error of the hidden values, in the units of the batch.

    It has a head of its own, which is trained and saved with the backbone.

    Raises
    ------
    ConfigError
        When the backbone is no encoder.

    Examples
    --------
    >>> from tsfm.models.tst import Tst, TstConfig
    >>> backbone = Tst(TstConfig(n_channels=2, context_length=40))
    >>> MaskedValues(MaskedValuesConfig(), backbone).head.linear.out_features
    2
    """

    Config = MaskedValuesConfig
    requires = Encoder

    def __init__(self, config: MaskedValuesConfig, backbone: Any) -> None:
        super().__init__()
        check_backbone(type(self).__name__, backbone, Encoder)
        self.config = config
        self.head = ReconstructionHead.on(backbone, scaling=config.scaling)

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The heads that belong into a checkpoint, by name."""
        return {"reconstruction": self.head}

    def forward(self, model: Encoder, batch: WindowBatch, generator: torch.Generator) -> Loss:
        """Hide values, encode, and compare; a batch without hidden values has loss 0.

        Where the batch says which steps may be targets, no others are asked for.
        """
        n_windows, time, n_channels = batch.values.shape
        drawn = draw_mask((n_windows, time, n_channels), self.config, generator)
        masked = drawn.to(batch.values.device) & batch.observed & batch.inside[..., None]
        visible = batch.observed & ~masked
        filled = reconstructed(model, self.head, batch.values, visible, batch.inside)
        asked = masked if batch.supervised is None else masked & batch.supervised
        error = torch.where(asked, filled - batch.values, 0.0)
        count = int(asked.sum())
        return Loss(error.square().sum() / max(count, 1), count)
