"""Mini-Net's quick way of training equals the layers one by one: answers, running statistics and gradients."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.nets import depthwise, mini_net
from leanseg.nets.depthwise import rectified_depthwise
from leanseg.nets.mini_net import DualMultiResidual, MiniNet
from leanseg.nets.pointwise_norm import pointwise_norm
from testers.nets import noise, settled

compiled = pytest.mark.skipif(depthwise._depthwise_cpu is None, reason="numba is not installed")


def step(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Everything that one step of training leaves behind: the answer, gradients and running statistics."""
    x = x.clone().requires_grad_()
    answer = net(x)
    (answer * torch.linspace(-1, 1, answer.numel(), dtype=x.dtype).view_as(answer)).sum().backward()
    assert x.grad is not None
    left = {"answer": answer.detach(), "to input": x.grad}
    left |= {f"gradient of {name}": p.grad for name, p in net.named_parameters() if p.grad is not None}
    return left | {name: buffer.clone() for name, buffer in net.named_buffers()}


def both_ways(
    net: nn.Module, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    plain = copy.deepcopy(net)
    quick = step(net.train(), x)
    monkeypatch.setattr(mini_net, "folds_while_training", lambda x: False)
    return quick, step(plain.train(), x)


def compare(quick: dict[str, Tensor], plain: dict[str, Tensor], tolerance: float) -> None:
    """Relative to the largest value of each tensor; the gradient of a bias that cancels is rounding noise or 0."""
    assert quick.keys() == plain.keys()
    largest = max(float(v.abs().max()) for name, v in plain.items() if name.startswith("gradient"))
    for name, wanted in plain.items():
        scale = largest if name.startswith("gradient") else max(float(wanted.abs().max()), 1e-3)
        assert float((quick[name] - wanted).abs().max()) <= tolerance * scale, name


@pytest.mark.parametrize("keywords", [{}, {"squeeze": False}, {"kernels": (3,)}, {"kernels": (1, 3, 7)}])
def test_a_block_in_64_bits(keywords: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    block = settled(DualMultiResidual(channels=4, **keywords)).double()
    compare(*both_ways(block, noise(3, 4, 7, 9, dtype=torch.float64), monkeypatch), tolerance=1e-11)


def test_the_net_in_64_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    net = settled(MiniNet(widths=(4, 6, 8))).double()
    compare(*both_ways(net, noise(2, 3, 18, 21, dtype=torch.float64), monkeypatch), tolerance=1e-9)


@compiled
def test_the_net_in_32_bits_with_the_compiled_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    net = settled(MiniNet())
    compare(*both_ways(net, noise(2, 3, 33, 30), monkeypatch), tolerance=2e-3)


def test_several_steps_leave_the_same_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    block = settled(DualMultiResidual(channels=3)).double()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a cumulative average
    plain = copy.deepcopy(block)
    for seed in range(3):
        block.train()(noise(2, 3, 5, 6, seed=seed, dtype=torch.float64))
    monkeypatch.setattr(mini_net, "folds_while_training", lambda x: False)
    for seed in range(3):
        plain.train()(noise(2, 3, 5, 6, seed=seed, dtype=torch.float64))
    for (name, quick), (_, wanted) in zip(block.named_buffers(), plain.named_buffers(), strict=True):
        torch.testing.assert_close(quick, wanted, rtol=1e-10, atol=1e-12, msg=name)


def test_one_layer_is_convolution_and_normalisation() -> None:
    conv, norm = nn.Conv2d(3, 5, 1).double(), nn.BatchNorm2d(5).double()
    settled(conv, 1), settled(norm, 2)
    norm.train()
    x = 4 + noise(2, 3, 6, 5, dtype=torch.float64)
    quick = pointwise_norm(x, [conv.weight.flatten(1)], [conv.bias], [copy.deepcopy(norm).train()])
    torch.testing.assert_close(quick, norm(conv(x)), rtol=1e-10, atol=1e-10)


def test_a_constant_image_stays_finite() -> None:
    norm = nn.BatchNorm2d(2).train()
    x = torch.full((1, 2, 4, 4), 3.0, requires_grad=True)
    answer = pointwise_norm(x, [torch.eye(2)], [torch.zeros(2)], [norm])
    answer.sum().backward()
    assert answer.isfinite().all()
    assert x.grad is not None and x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("precision", "folds"), [(torch.float32, True), (torch.float64, True), (torch.bfloat16, False)]
)
def test_when_the_quick_way_applies(precision: torch.dtype, folds: bool) -> None:
    assert mini_net.folds_while_training(torch.zeros(1, dtype=precision)) is folds


def test_automatic_16_bits_go_layer_by_layer() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert not mini_net.folds_while_training(torch.zeros(1))
        assert MiniNet().train()(noise(2, 3, 8, 8)).isfinite().all()


def plain_depthwise(x: Tensor, weights: list[Tensor]) -> Tensor:
    return torch.cat([F.conv2d(F.relu(x), w, padding=w.shape[-1] // 2, groups=x.shape[1]) for w in weights], 1)


@compiled
@settings(max_examples=25, deadline=None)
@given(
    images=st.integers(1, 3), channels=st.integers(1, 4), height=st.integers(1, 11), width=st.integers(1, 11),
    kernels=st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3), strided=st.booleans(),
    threads=st.integers(1, 3),
)  # fmt: skip
def test_compiled_depthwise(
    images: int, channels: int, height: int, width: int, kernels: list[int], strided: bool, threads: int
) -> None:
    x = noise(images, channels, height, width)
    x = x.transpose(2, 3).contiguous().transpose(2, 3) if strided else x
    weights = [noise(channels, 1, k, k, seed=k) for k in kernels]
    answers, gradients = [], []
    for convolve in (rectified_depthwise, plain_depthwise):
        inputs = [t.clone().requires_grad_() for t in (x, *weights)]
        with mock.patch.object(torch, "get_num_threads", return_value=threads):
            answer = convolve(inputs[0], inputs[1:])
            gradients.append(torch.autograd.grad(answer, inputs, noise(*answer.shape, seed=7)))
        answers.append(answer)
    torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-5)
    for quick, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(quick, plain, rtol=1e-4, atol=1e-4)


def refuse(*arguments: object) -> None:
    raise AssertionError("the compiled kernel must not run here")


REFUSING = SimpleNamespace(forward=refuse, backward=refuse, TAPS=5)


@pytest.mark.parametrize("case", ["64 bits", "wide kernel", "autocast"])
def test_the_compiled_kernel_is_left_alone_where_it_does_not_fit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "_depthwise_cpu", REFUSING)
    dtype = torch.float64 if case == "64 bits" else torch.float32
    side = 7 if case == "wide kernel" else 3
    x, weights = noise(1, 2, 8, 8, dtype=dtype), [noise(2, 1, side, side, dtype=dtype)]
    with torch.autocast("cpu", torch.bfloat16, enabled=case == "autocast"):
        assert rectified_depthwise(x, weights).shape == x.shape
    with pytest.raises(AssertionError, match="must not run"):
        rectified_depthwise(x.float(), [noise(2, 1, 3, 3)])


def test_without_numba_the_plain_layers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise, "_depthwise_cpu", None)
    x, weights = noise(2, 3, 6, 7), [noise(3, 1, 3, 3), noise(3, 1, 5, 5)]
    assert torch.equal(rectified_depthwise(x, weights), plain_depthwise(x, weights))
    compare(*both_ways(settled(MiniNet()), noise(2, 3, 17, 16), monkeypatch), tolerance=2e-3)
