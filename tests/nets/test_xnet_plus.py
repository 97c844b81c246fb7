"""Three U-Nets that share features."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from leanseg.errors import UsageError
from leanseg.export.onnx import export_onnx
from leanseg.nets import xnet_plus
from leanseg.nets.conv_blocks import double_conv
from leanseg.nets.unet import UNet
from leanseg.nets.xnet_plus import XNetPlus
from testers.nets import NetTester, close, noise, settled


class TestXNetPlus(NetTester):
    name = "xnet-plus"
    keywords = {"base": 3, "levels": 3}  # noqa: RUF012
    golden = (-0.13562, 0.22399, -0.00355)


class TestGroups(NetTester):
    name = "xnet-plus"
    keywords = {"base": 3, "levels": 4, "norm": "group"}  # noqa: RUF012
    golden = (-0.43788, -0.72631, -0.6213)


class TestCopies(NetTester):
    name = "xnet-plus"
    keywords = {"base": 2, "levels": 3, "inputs": "copies"}  # noqa: RUF012
    golden = (0.48161, 0.10711, 0.28689)


class TestVolumes(NetTester):
    name = "xnet-plus"
    keywords = {"base": 2, "levels": 3, "dims": 3}  # noqa: RUF012
    golden = (-0.45526, 0.21573, -0.18759)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def small(**changes: Any) -> XNetPlus:
    return XNetPlus(**{"in_channels": 2, "classes": 3, "base": 2, "levels": 5, **changes})


def reached(answer: torch.Tensor, *modules: nn.Module) -> list[bool]:
    """Whether an answer depends on the parameters of each module."""
    firsts = [next(module.parameters()) for module in modules]
    gradients = torch.autograd.grad(answer.square().sum(), firsts, allow_unused=True, retain_graph=True)
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


@pytest.mark.parametrize(
    ("channels", "classes", "base", "wanted"),
    [(1, 4, 8, 1_770_228), (1, 4, 16, 7_069_020), (1, 4, 64, 112_961_868), (3, 2, 64, 112_964_934)],
)
def test_counts(channels: int, classes: int, base: int, wanted: int) -> None:
    with torch.device("meta"):
        net = XNetPlus(in_channels=channels, classes=classes, base=base)
    assert parameters(net) == wanted


@pytest.mark.parametrize("dims", [2, 3])
def test_three_u_nets_and_four_fusions(dims: int) -> None:
    widths = (2, 4, 8, 16, 32)
    one = UNet(in_channels=2, classes=3, widths=widths, up="nearest-conv", dims=dims)
    fusions = sum(parameters(double_conv(2 * width, width, dims)) for width in widths[:-1])
    assert parameters(small(dims=dims)) == 3 * parameters(one) + fusions
    assert parameters(small(dims=dims, inputs="copies")) == parameters(small(dims=dims, norm="group"))
    assert parameters(small(dims=dims, inputs="copies")) == parameters(small(dims=dims))


def test_wrong_keywords() -> None:
    with pytest.raises(UsageError, match="levels from 3"):
        XNetPlus(levels=2)
    with pytest.raises(UsageError, match="'copy'"):
        XNetPlus(inputs="copy")


def test_skips_are_those_of_the_paper() -> None:
    net = settled(small()).train()
    image, low, high = net.training_logits(noise(2, 2, 32, 32))
    assert reached(image, *net.fusions) == [True, True, True, True]
    assert reached(low, *net.fusions) == [False, False, True, True]
    assert reached(high, *net.fusions) == [True, True, False, False]
    # The fused features come from M and H in the fine levels, from M and L in the coarse ones.
    assert reached(image, *net.low.encoders) == [True, True, True, True, False]
    assert reached(image, *net.high.encoders) == [True, True, False, False, False]
    assert reached(low, net.image.encoders[-1], net.high.encoders[0]) == [False, False]
    assert reached(high, net.image.encoders[-1], net.low.encoders[0]) == [False, False]


def test_all_branches_learn_and_each_head_from_its_own_answer() -> None:
    net = settled(small()).train()
    answers = net.training_logits(noise(2, 2, 32, 32))
    branches = (net.image, net.low, net.high)
    for answer, branch in zip(answers, branches, strict=True):
        assert reached(answer, *branch.encoders, *branch.decoders, *branch.ups, branch.head) == [True] * 14
        assert reached(answer, *(other.head for other in branches)) == [other is branch for other in branches]


@torch.no_grad()
@pytest.mark.parametrize("inputs", ["wavelet", "copies"])
def test_used_it_gives_the_first_answer(inputs: str) -> None:
    net, x = settled(small(inputs=inputs)), noise(2, 2, 21, 35)
    answers = net.training_logits(x)
    assert [answer.shape for answer in answers] == [(2, 3, 21, 35)] * 3
    assert torch.equal(answers[0], net(x))
    assert not torch.allclose(answers[1], answers[2])


@torch.no_grad()
def test_training_and_use_decompose_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = settled(small()), noise(2, 2, 16, 16)
    used = net.decompose(x)
    drawn = net.train().decompose(x)
    assert torch.equal(drawn[0], x)
    assert not torch.allclose(drawn[1], used[1]) and not torch.allclose(drawn[2], used[2])
    # The middle of both ranges, where the shares are those of use.
    monkeypatch.setattr(torch, "rand", lambda count: torch.full((count,), 0.5))
    for found, wanted in zip(net.decompose(x), used, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)


def test_shares_are_drawn_for_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float]] = []

    def note(x: torch.Tensor, *, alpha: float, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append((alpha, beta))
        return x, x

    monkeypatch.setattr(xnet_plus, "low_and_high", note)
    net = small().train()
    with torch.random.fork_rng():
        for _ in range(2):
            torch.manual_seed(0)
            for _ in range(1000):
                net.decompose(torch.zeros(2, 2, 4, 4))
    assert drawn[:1000] == drawn[1000:]
    alpha, beta = np.array(drawn).T
    assert 0 <= alpha.min() < 0.01 and 0.39 < alpha.max() <= 0.4
    assert 0.5 <= beta.min() < 0.51 and 0.79 < beta.max() <= 0.8
    assert abs(np.corrcoef(alpha, beta)[0, 1]) < 0.2
    net.eval().decompose(torch.zeros(2, 2, 4, 4))
    assert drawn[-1] == (0.2, 0.65)


@torch.no_grad()
def test_the_other_branches_do_not_see_brightness_and_contrast() -> None:
    net, x = settled(small()), noise(2, 2, 32, 16)
    for one, other in zip(net.decompose(x)[1:], net.decompose(3 * x + 5)[1:], strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["zero", "constant", "bright"])
def test_images_without_contrast(kind: str, training: bool) -> None:
    x = torch.full((2, 2, 32, 32), 3.0 if kind == "constant" else 0.0)
    if kind == "bright":
        x[:, :, 5, 7] = 1.0
    net = settled(small()).train(training)
    answers = net.training_logits(x.requires_grad_())
    torch.stack(answers).square().mean().backward()
    assert all(bool(answer.isfinite().all()) for answer in answers)
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in (x, *net.parameters()))


@pytest.mark.parametrize("keywords", [{}, {"inputs": "copies"}, {"norm": "group"}, {"dims": 3, "levels": 3}])
def test_exported_it_answers_equally(keywords: dict[str, Any]) -> None:
    net = settled(small(**keywords))
    session = onnxruntime.InferenceSession(export_onnx(net, channels=2))
    for sides in ((5, 40, 9), (33, 17, 5), (32, 48, 8), (1, 16, 3)):
        x = noise(2, 2, *sides[: net.dims])
        (found,) = session.run(None, {"image": x.numpy()})
        with torch.no_grad():
            close(torch.from_numpy(found), net(x), 1e-4)
