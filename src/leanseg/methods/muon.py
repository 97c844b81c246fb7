"""Muon: momentum whose every matrix is made orthogonal before it moves the weights; AdamW for all other parameters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial that drives singular values towards 1."""
ITERATIONS = 5


class Muon(torch.optim.AdamW):
    """Moves weight matrices equally in all directions; convolutions count as (out, in x kernel) matrices.

    Biases, normalisation, depthwise kernels and kernels from or to a single channel are no matrices: they go with AdamW
    at a share of the learning rate.

    Args:
        parameters: of the network.
        lr: learning rate; a step of a matrix (out, in) is ``lr sqrt(max(1, out / in))`` long in every direction.
        vector_rate: learning rate of AdamW, as a share of ``lr``.
        momentum: decay of the mean gradient of a matrix.
        weight_decay: on everything with more than one axis, decoupled.

    Source:
        K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.

    Example:
        >>> layer = nn.Linear(4, 3)
        >>> optimiser = Muon(layer.parameters(), lr=0.1)
        >>> layer(torch.ones(2, 4)).sum().backward()
        >>> _ = optimiser.step()
        >>> [len(group["params"]) for group in optimiser.param_groups]
        [1, 0, 1]
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        vector_rate: float = 0.4,
        momentum: float = 0.95,
        weight_decay: float = 1e-4,
    ) -> None:
        kinds: dict[str, list[nn.Parameter]] = defaultdict(list)
        for parameter in parameters:
            kinds["vector" if parameter.ndim < 2 else "matrix" if is_matrix(parameter) else "kernel"].append(parameter)
        groups: list[dict[str, Any]] = [
            {"params": kinds["matrix"], "lr": lr, "weight_decay": weight_decay, "momentum": momentum},
            {"params": kinds["kernel"], "lr": vector_rate * lr, "weight_decay": weight_decay},
            {"params": kinds["vector"], "lr": vector_rate * lr, "weight_decay": 0.0},
        ]
        super().__init__(groups, foreach=True)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of all groups."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        everything = self.param_groups
        _step_matrices(everything[0], self.state)
        try:
            self.param_groups = everything[1:]
            super().step()
        finally:
            self.param_groups = everything
        return loss


def is_matrix(parameter: Tensor) -> bool:
    """Whether a parameter maps several channels to several channels."""
    return parameter.ndim >= 2 and min(parameter.shape[:2]) > 1


@torch.no_grad()
def _step_matrices(group: dict[str, Any], state: dict[Tensor, dict[str, Any]]) -> None:
    """Momentum, orthogonalisation and weight decay, all matrices of one shape at once."""
    shapes: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for parameter in group["params"]:
        if parameter.grad is not None:
            shapes[len(parameter), parameter[0].numel()].append(parameter)
    for (rows, columns), some in shapes.items():
        means = [_momentum(p, state[p]) for p in some]
        gradients = [p.grad for p in some if p.grad is not None]
        torch._foreach_lerp_(means, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, means, group["momentum"])
        steps = orthogonalised(torch.stack([step.flatten(1) for step in ahead]))
        steps *= max(1, rows / columns) ** 0.5
        torch._foreach_mul_(some, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(some, [s.view_as(p) for s, p in zip(steps, some, strict=True)], alpha=-group["lr"])


def _momentum(parameter: Tensor, state: dict[str, Any]) -> Tensor:
    """The mean gradient so far."""
    if not state:
        # AdamW looks for a step in every state that it reads from a file.
        state |= {"step": torch.zeros(()), "momentum": torch.zeros_like(parameter)}
    mean: Tensor = state["momentum"]
    return mean


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (N, rows, columns) with their singular vectors kept and their singular values brought near 1.

    Example:
        >>> torch.linalg.svdvals(orthogonalised(torch.diag(torch.tensor([9.0, 2.0]))[None])).round(decimals=2)
        tensor([[0.7300, 0.6900]])
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    # Every iteration multiplies x by a polynomial of x x', so that the small squares do for all but the first and last.
    square = x @ x.mT
    identity = torch.eye(square.shape[-1], dtype=x.dtype, device=x.device)
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + b * square + c * square @ square
        product, square = factor @ product, factor @ square @ factor
    x = product @ x
    return x.mT if tall else x
