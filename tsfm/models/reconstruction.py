"""What an encoder and its reconstruction head say of every step of a window, in input units."""

import torch
from einops import rearrange

from tsfm.models.backbone import Encoder
from tsfm.models.heads import ReconstructionHead
from tsfm.models.layers.normalization import WindowNorm
from tsfm.models.layers.patching import to_patches
from tsfm.shapes import Float, Inside, Observed, Tensor, Values


def reconstructed(
    encoder: Encoder, head: ReconstructionHead, values: Values, observed: Observed, inside: Inside
) -> Values:
    """Return a value for every step, whether it is observed or not, in the units of `values`.

    What is not observed has no influence, whatever number sits there. With a head that scales by
    the window, a channel whose observed values are all equal gives that value, and one without any
    gives 0.
    """
    time = values.shape[1]
    if head.config.scaling == "none":
        return head(encoder.encode(values, observed, inside), time)
    loc, scale = window_statistics(values, observed, inside)
    shown = torch.where(observed, values - loc, 0.0) / torch.where(scale > 0, scale, 1.0)
    return head(encoder.encode(shown, observed, inside), time) * scale + loc


def window_statistics(
    values: Values, observed: Observed, inside: Inside
) -> tuple[Float[Tensor, "batch 1 channel"], Float[Tensor, "batch 1 channel"]]:
    """Return mean and deviation of the observed values of every channel; 0 where they are equal."""
    window = to_patches(values, observed, inside, values.shape[1])
    statistics = WindowNorm()(window.values, window.observed)
    pattern = "batch channel 1 -> batch 1 channel"
    return rearrange(statistics.loc, pattern), rearrange(statistics.scale, pattern)
