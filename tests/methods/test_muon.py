"""Muon: against torch's own for matrices, against AdamW for the rest, and what it is used for: quicker learning."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from leanseg.methods.muon import Muon, is_matrix, orthogonalised
from leanseg.nets.mini_net import MiniNet


@pytest.mark.parametrize("shape", [(8, 8), (3, 40), (40, 3)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    values = left.mT @ orthogonalised(matrix) @ right.mT
    diagonal = torch.diagonal(values, dim1=1, dim2=2)
    assert ((diagonal > 0.3) & (diagonal < 1.3)).all()
    assert (values - torch.diag_embed(diagonal)).abs().max() < 1e-9


def test_float32_is_exact_enough_where_singular_values_fall_steeply() -> None:
    draw = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(n, 32, generator=draw, dtype=torch.float64))[0] for n in (32, 288))
    matrix = (left * torch.logspace(0, -5, 32, dtype=torch.float64) @ right.mT)[None]
    exact = orthogonalised(matrix)
    assert (orthogonalised(matrix.float()) - exact).norm() < 2e-3 * exact.norm()


def test_a_matrix_without_gradient_direction_does_not_become_nan() -> None:
    assert torch.equal(orthogonalised(torch.zeros(1, 4, 4)), torch.zeros(1, 4, 4))


def stepped(optimiser: torch.optim.Optimizer, parameter: nn.Parameter, gradients: list[Tensor]) -> Tensor:
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimiser.step()
    return parameter.detach()


@pytest.mark.parametrize("shape", [(16, 24), (24, 16)])
def test_matrices_move_as_with_the_optimiser_of_torch(shape: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(*shape, generator=draw) for _ in range(4))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1)
    moved = stepped(Muon([ours], lr=0.02, weight_decay=0.1), ours, gradients) - start
    expected = stepped(other, theirs, gradients) - start
    # torch computes in bfloat16
    assert (moved - expected).norm() < 0.02 * expected.norm()


def test_a_convolution_moves_as_its_matrix() -> None:
    draw = torch.Generator().manual_seed(0)
    start, gradient = torch.randn(6, 4, 3, 3, generator=draw), torch.randn(6, 4, 3, 3, generator=draw)
    kernel, matrix = nn.Parameter(start.clone()), nn.Parameter(start.flatten(1).clone())
    stepped(Muon([kernel], lr=0.1), kernel, [gradient])
    stepped(Muon([matrix], lr=0.1), matrix, [gradient.flatten(1)])
    assert torch.allclose(kernel.flatten(1), matrix)


def test_everything_else_moves_as_with_adamw() -> None:
    draw = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(5, 1, 3, 3, generator=draw) for _ in range(4))
    ours, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    moved = stepped(Muon([ours], lr=0.1, vector_rate=0.5, weight_decay=0.2), ours, gradients)
    expected = stepped(torch.optim.AdamW([theirs], lr=0.05, weight_decay=0.2), theirs, gradients)
    assert torch.allclose(moved, expected)


def test_mini_nets_mixing_convolutions_are_matrices_and_its_depthwise_ones_are_not() -> None:
    net = MiniNet(in_channels=3)
    matrices = {name for name, parameter in net.named_parameters() if is_matrix(parameter)}
    depthwise = {f"{name}.weight" for name, m in net.named_modules() if isinstance(m, nn.Conv2d) and m.groups > 1}
    assert matrices
    assert depthwise
    assert not matrices & depthwise


def test_the_state_goes_on_where_it_was_saved() -> None:
    draw = torch.Generator().manual_seed(0)
    start, *gradients = (torch.randn(4, 4, generator=draw) for _ in range(5))
    through, halved = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    stepped(Muon([through], lr=0.1), through, gradients)
    first, second = Muon([halved], lr=0.1), Muon([halved], lr=0.1)
    stepped(first, halved, gradients[:2])
    second.load_state_dict(first.state_dict())
    stepped(second, halved, gradients[2:])
    assert torch.equal(through, halved)


def test_a_closure_is_called_once_and_sees_all_gradients() -> None:
    layer = nn.Linear(3, 2)
    optimiser = Muon(layer.parameters(), lr=0.1)
    calls = []

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = layer(torch.ones(1, 3)).square().sum()
        loss.backward()
        calls.append(len(optimiser.param_groups))
        return loss

    before = layer.bias.detach().clone()
    assert optimiser.step(closure) > 0
    assert calls == [3]
    assert not torch.equal(before, layer.bias)
