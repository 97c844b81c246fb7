"""Two Mini-Nets in a row."""

import torch

from leanseg.nets.cascade import MiniNetCascade
from testers.nets import NetTester, close, noise, settled


class TestCascade(NetTester):
    name = "mini-net-cascade"
    keywords = {"widths": (3, 4)}  # noqa: RUF012
    golden = (-0.01645, 0.62666, 0.31102)


def test_size() -> None:
    assert sum(p.numel() for p in MiniNetCascade().parameters()) == 36_537 + 36_537 + 8 * 9


@torch.no_grad()
def test_folded_gives_the_same() -> None:
    net, x = settled(MiniNetCascade()), noise(1, 3, 33, 40)
    folded = net.folded()
    close(folded(x), net(x), 1e-5)
    assert sum(p.numel() for p in folded.parameters()) < 0.8 * sum(p.numel() for p in net.parameters())


@torch.no_grad()
def test_the_second_network_needs_the_first() -> None:
    net, x = settled(MiniNetCascade()), noise(1, 3, 24, 24)
    first, second = net.training_logits(x)
    assert torch.equal(second, net(x))
    net.first.head[-1].bias.add_(3.0)
    assert not torch.allclose(net(x), second)
    assert torch.allclose(net.training_logits(x)[0], first + 3.0, atol=1e-4)
