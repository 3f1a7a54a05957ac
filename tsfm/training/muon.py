"""Muon: momentum whose matrices are made orthogonal before they move the weights.

All directions of a matrix are learned at one pace, which takes fewer steps than AdamW. For the
matrices within layers; embeddings, heads and vectors stay with AdamW.

References
----------
Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural networks"; the scale that lets
it share AdamW's learning rate is that of Liu et al. (2025), "Muon is Scalable for LLM Training".
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer

from tsfm.shapes import Float, Tensor
from tsfm.training.processes import Processes

# Coefficients of a quintic that pushes singular values towards one fast (Jordan et al.).
QUINTIC = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# An update's root mean square, as AdamW's usually is.
UPDATE_RMS = 0.2


def orthogonalised(
    matrices: Float[Tensor, "matrix row column"], iterations: int = ITERATIONS
) -> Float[Tensor, "matrix row column"]:
    """Bring all singular values of every matrix near one, by Newton and Schulz.

    In float32, since half precision is slower than that on a CPU. The polynomials of all iterations
    are multiplied in the small space of the Gram matrix, so that the long side is read twice only.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if is_tall else matrices
    x = x / (torch.linalg.matrix_norm(x)[:, None, None] + 1e-7)
    gram = x @ x.transpose(1, 2)
    a, b, c = QUINTIC
    identity = torch.eye(gram.shape[-1], device=x.device, dtype=x.dtype)
    product = a * identity + b * gram + c * gram @ gram
    polynomial = product
    for _ in range(iterations - 1):
        gram = polynomial @ gram @ polynomial
        polynomial = a * identity + b * gram + c * gram @ gram
        product = polynomial @ product
    x = product @ x
    return x.transpose(1, 2) if is_tall else x


class Muon(Optimizer):
    """Nesterov momentum, made orthogonal.

    Parameters
    ----------
    parameters
        Matrices only.
    weight_decay
        Decoupled, as in AdamW.
    processes
        Those that train together, with the same gradients: each makes its share of the matrices
        orthogonal.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        processes: Processes | None = None,
    ) -> None:
        self._share = processes or Processes()
        super().__init__(
            list(parameters), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy needs."""
        return {**super().__getstate__(), "_share": self._share}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every matrix; those of one shape together."""
        if closure is not None:
            raise ValueError("closure must be None: the loss is computed once per step")
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, same in by_shape.items():
                self._move(same, shape, group)

    def _move(self, same: list[Tensor], shape: torch.Size, group: dict[str, Any]) -> None:
        gradients = [one.grad for one in same if one.grad is not None]
        moving = [self._momentum(one) for one in same]
        torch._foreach_lerp_(moving, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, moving, group["momentum"])
        updates = self._share.map(orthogonalised, torch.stack(ahead)).unbind()
        torch._foreach_mul_(same, 1 - group["lr"] * group["weight_decay"])
        size = UPDATE_RMS * max(shape) ** 0.5
        torch._foreach_add_(same, updates, alpha=-group["lr"] * size)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        found: Tensor = state["momentum"]
        return found
