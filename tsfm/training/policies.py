"""Which weights a fine-tuning moves: all, the heads, layer by layer, or low-rank corrections."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import nn
from torch.nn.utils import parametrize

from tsfm.errors import ConfigError
from tsfm.shapes import Float, Tensor

Mode = Literal["full", "head", "gradual", "lora"]
HEADS = ("head", "heads")


class LowRank(nn.Module):
    """A matrix plus a product of two thin ones, which starts at zero.

    References
    ----------
    Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
    """

    def __init__(self, d_out: int, d_in: int, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.down = nn.Parameter(
            torch.randn(rank, d_in, generator=generator, dtype=torch.float32) * d_in**-0.5
        )
        self.up = nn.Parameter(torch.zeros(d_out, rank))

    def forward(self, weight: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "d_out d_in"]:
        """Return the corrected matrix."""
        return weight + self.up @ self.down


def apply_policy(
    backbone: nn.Module, mode: Mode, *, rank: int = 8, generator: torch.Generator
) -> Callable[[float], None] | None:
    """Choose what training moves; must run before the optimizer is made.

    Parameters
    ----------
    mode
        ``"full"``: every weight. ``"head"``: the modules named ``head`` or ``heads``.
        ``"gradual"``: the heads first, then one block more at a time from the last to the first
        (Howard and Ruder, 2018). ``"lora"``: the heads, and low-rank corrections of every matrix
        in the blocks.
    rank
        Of the corrections.

    Returns
    -------
    thaw
        For ``"gradual"`` a function of the share of the run that is over, else None.

    Raises
    ------
    ConfigError
        When the backbone has no head by that name, or the rank is that of no correction.
    """
    if mode == "full":
        return None
    heads = [child for name, child in backbone.named_children() if name in HEADS]
    if not heads:
        raise ConfigError(
            f"mode={mode!r} needs a backbone with a module named head or heads, got "
            f"{type(backbone).__name__}; use mode='full'"
        )
    groups = [*heads, *reversed(_blocks(backbone)), backbone]
    if mode == "gradual":
        # The optimizer must know every weight; what is still frozen has no gradient.
        def thaw(done: float) -> None:
            n_free = 1 + int(done * len(groups))
            backbone.requires_grad_(False)
            for group in groups[: len(heads) - 1 + n_free]:
                group.requires_grad_(True)

        return thaw
    backbone.requires_grad_(False)
    for head in heads:
        head.requires_grad_(True)
    if mode == "lora":
        _check_rank(backbone, rank)
        for block in _blocks(backbone):
            matrices = [one for one in block.modules() if isinstance(one, nn.Linear)]
            for linear in matrices:
                correction = LowRank(linear.out_features, linear.in_features, rank, generator)
                # Whatever the default type of torch, the sum has the type of the weight.
                parametrize.register_parametrization(linear, "weight", correction.to(linear.weight))
    return None


def _check_rank(backbone: nn.Module, rank: int) -> None:
    """Refuse corrections that are as large as what they correct, or larger."""
    sizes = [
        min(one.in_features, one.out_features)
        for block in _blocks(backbone)
        for one in block.modules()
        if isinstance(one, nn.Linear)
    ]
    if rank > max(sizes, default=rank):
        raise ConfigError(
            f"rank must be at most {max(sizes)}, the smaller side of the model's largest matrix, "
            f"got {rank}; lower it, or pass mode='full'"
        )


def merge(backbone: nn.Module) -> nn.Module:
    """Fold low-rank corrections into their matrices, so that nothing is left of them."""
    for module in backbone.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    return backbone.requires_grad_(True)


@torch.no_grad()
def keep_share(backbone: nn.Module, before: Mapping[str, Tensor], share: float) -> None:
    """Move all weights back by a share of the way that training has moved them.

    The mean of two ends of one training forgets less than the later end, and is often better than
    both on data unlike those of the training.

    Parameters
    ----------
    before
        The state dict that training started from.

    References
    ----------
    Wortsman et al. (2022), "Robust fine-tuning of zero-shot models", section 3.
    """
    for name, value in backbone.state_dict().items():
        if value.is_floating_point():
            value.copy_((1 - share) * value + share * before[name].to(value.device))


def _blocks(backbone: nn.Module) -> list[nn.Module]:
    """Return the layers from first to last: what lies in lists of modules, but for heads."""
    return [
        layer
        for name, child in backbone.named_children()
        if name not in HEADS and isinstance(child, nn.ModuleList)
        for layer in child
    ]
