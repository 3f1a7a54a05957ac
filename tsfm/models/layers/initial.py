"""How the weights of models over patches are drawn."""

from collections.abc import Sequence

import torch
from torch import nn

INITIAL_STD = 0.02
# Projections into the residual stream, by the ends of their names.
INTO_RESIDUAL = ("output.weight", "contract.weight")


@torch.no_grad()
def draw_weights(
    module: nn.Module, generator: torch.Generator, *, zero: Sequence[str] = ()
) -> None:
    """Draw all matrices anew, in order; norms start at one, biases at zero.

    Parameters
    ----------
    zero
        Ends of the names of matrices that start at zero.
    """
    for name, parameter in module.named_parameters():
        if parameter.ndim == 1:
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
        elif name.endswith(tuple(zero)):
            parameter.zero_()
        else:
            std = max(INITIAL_STD, parameter.shape[1] ** -0.5 / 2)
            parameter.normal_(0.0, std, generator=generator)
