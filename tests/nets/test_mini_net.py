"""Mini-Net: the counts of the reconstruction, its reach, its cost and its folded form."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from leanseg.nets.mini_net import DualMultiResidual, ExpandSqueeze, MiniNet
from testers.nets import NetTester, noise, positive, settled, support


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def statistics(module: nn.Module) -> int:
    """What normalisation layers remember, without their counters."""
    return sum(b.numel() for b in module.buffers() if b.is_floating_point())


def counts(module: nn.Module) -> tuple[int, int]:
    return parameters(module), statistics(module)


class TestMiniNet(NetTester):
    name = "mini-net"
    golden = (-7.33124, 6.53549, 1.50288)


class TestVariantB(NetTester):
    name = "mini-net"
    keywords = {"widths": (3, 5), "variant": "b", "kernels": (3, 5, 7)}  # noqa: RUF012
    golden = (-0.21127, -0.22657, -0.06244)


class TestPaperHead(NetTester):
    name = "mini-net"
    keywords = {"widths": (4, 6), "head": "paper", "squeeze": False, "scale_norm": False}  # noqa: RUF012
    golden = (0.77666, -0.48131, -0.72834)


@pytest.mark.parametrize(
    ("keywords", "wanted"),
    [
        ({"head": "paper"}, (36_541, 1_170)),
        ({"head": "paper", "in_channels": 1}, (36_397, 1_170)),
        ({}, (36_537, 1_168)),
        ({"head": "paper", "classes": 2}, (36_556, 1_172)),
        ({"head": "paper", "classes": 3}, (36_573, 1_174)),
        ({"head": "paper", "classes": 4}, (36_592, 1_176)),
        ({"head": "paper", "squeeze": False}, (29_565, 1_170)),
        ({"head": "paper", "squeeze": False, "scale_norm": False}, (29_421, 1_026)),
        ({"head": "paper", "variant": "b"}, (37_741, 1_202)),
    ],
)
def test_counts_of_the_variants(keywords: dict[str, Any], wanted: tuple[int, int]) -> None:
    assert counts(MiniNet(**keywords)) == wanted


def test_counts_of_the_parts() -> None:
    net = MiniNet(head="paper")
    assert counts(net.stem) == (240, 16)
    assert [counts(encoder) for encoder in net.encoders] == [(1_392, 96), (4_064, 192)]
    assert [counts(down) for down in net.downs] == [(1_200, 32), (4_704, 64)]
    assert counts(net.middle) == (13_248, 384)
    assert [counts(up) for up in net.ups] == [(1_176, 16), (4_656, 32)]
    assert [counts(decoder) for decoder in net.decoders] == [(1_392, 96), (4_064, 192)]
    assert [counts(skip) for skip in net.skips] == [(88, 16), (304, 32)]
    assert counts(net.head) == (13, 2)


@pytest.mark.parametrize("channels", [4, 8, 16, 32])
def test_count_of_a_block(channels: int) -> None:
    block = DualMultiResidual(channels=channels)
    assert counts(block) == (10 * channels**2 + 94 * channels, 12 * channels)
    for kernel in (3, 5):
        branch = ExpandSqueeze(channels=channels, kernel=kernel)
        assert parameters(branch) == 2 * channels**2 + (kernel**2 + 5) * channels


def test_counts_after_folding() -> None:
    net = MiniNet(head="paper").folded()
    assert counts(net) == (28_075, 0)
    assert parameters(net.stem) == 224
    assert [parameters(encoder) for encoder in net.encoders] == [976, 2_720]
    assert [parameters(down) for down in net.downs] == [1_168, 4_640]
    assert parameters(net.middle) == 8_512
    assert [parameters(up) for up in net.ups] == [1_160, 4_624]
    assert [parameters(decoder) for decoder in net.decoders] == [976, 2_720]
    assert [parameters(skip) for skip in net.skips] == [72, 272]
    assert parameters(net.head) == 11


def test_a_block_is_the_equation() -> None:
    block = settled(DualMultiResidual(channels=3)).double()
    x = noise(1, 3, 9, 9, dtype=torch.float64)

    def expand_squeeze(branch: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return branch.norm(branch.squeeze(branch.expand(branch.depthwise(torch.relu(x)))))

    u = expand_squeeze(block.first[0], x) + expand_squeeze(block.first[1], x)
    v = u + block.inner(torch.relu(u))
    y = expand_squeeze(block.second[0], v) + expand_squeeze(block.second[1], v)
    torch.testing.assert_close(block(x), torch.relu(y + block.outer(x)), rtol=1e-12, atol=1e-12)
    assert [branch.depthwise.kernel_size for branch in block.first] == [(3, 3), (5, 5)]


def test_the_input_of_a_block_stays_as_it_is() -> None:
    x = noise(1, 8, 6, 6)
    before = x.clone()
    settled(DualMultiResidual(channels=8))(x)
    assert torch.equal(x, before)


@torch.no_grad()
def test_multiply_adds() -> None:
    """Of variant A at 256x256; a transposed convolution works on its input grid."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        grid = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total += layer.weight.numel() * grid.shape[-2] * grid.shape[-1]

    net = MiniNet(head="paper").eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
    net(torch.zeros(1, 3, 256, 256))
    assert total == 424_214_528


@pytest.mark.parametrize(("at", "wanted"), [(128, (84, 172)), (129, (84, 176))])
def test_support_of_an_output(at: int, wanted: tuple[int, int]) -> None:
    assert support(positive(MiniNet()), 256, at, 3) == wanted


@torch.no_grad()
def test_every_size() -> None:
    net = MiniNet(in_channels=1, widths=(1, 1, 1), kernels=(3,)).eval()
    for side in range(5, 41):
        for size in ((side, 45 - side), (side, 5)):
            assert net(torch.zeros(1, 1, *size)).shape == (1, 1, *size)


def trained(**keywords: Any) -> MiniNet:
    """A net after three passes in training mode on random data, so that its statistics are its own."""
    torch.manual_seed(3)
    net = MiniNet(**keywords).double().train()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(-1, 1)
                module.bias.uniform_(-1, 1)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                module.bias.uniform_(-1, 1)
        for step in range(3):
            net(noise(2, 3, 32, 32, seed=step, dtype=torch.float64))
    return net.eval()


@torch.no_grad()
@pytest.mark.parametrize(
    "keywords",
    [{}, {"head": "paper"}, {"variant": "b"}, {"squeeze": False, "scale_norm": False}, {"kernels": (5,)}],
)
def test_folding_changes_no_logit(keywords: dict[str, Any]) -> None:
    """Relative to the largest logit: after three passes the statistics still trail He's wide start, and logits are
    far from 1."""
    net = trained(**keywords)
    assert min(float(m.weight.min()) for m in net.modules() if isinstance(m, nn.BatchNorm2d)) < 0
    x = noise(2, 3, 31, 38, seed=9, dtype=torch.float64)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        net, x = net.to(dtype), x.to(dtype)
        whole, folded = net(x), net.folded()(x)
        assert folded.dtype == dtype
        assert float((whole - folded).abs().max()) < tolerance * max(1.0, float(whole.abs().max()))


@torch.no_grad()
def test_folding_a_channel_without_variance() -> None:
    net = trained()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var[0] = 0
    x = noise(1, 3, 16, 16, dtype=torch.float64)
    whole, folded = net(x), net.folded()(x)
    assert torch.isfinite(folded).all()
    assert float((whole - folded).abs().max()) < 1e-12 * float(whole.abs().max())


@torch.no_grad()
def test_folding_leaves_the_net_and_can_be_repeated() -> None:
    net = settled(MiniNet())
    before = copy.deepcopy(net.state_dict())
    folded = net.folded()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not folded.training
    x = noise(1, 3, 16, 16)
    assert torch.equal(folded.folded()(x), folded(x))
