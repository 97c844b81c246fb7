"""Networks side by side answer as each of them alone."""

from __future__ import annotations

import torch

from leanseg.nets import create
from leanseg.nets.one_per_class import OnePerClass
from testers.nets import NetTester, noise, settled


class TestMiniNets(NetTester):
    name = "one-per-class"
    keywords = {"net": "mini-net", "net_keywords": {"widths": (4, 8)}}  # noqa: RUF012
    golden = (-2.17835, -1.74915, 0.5972)


class TestDeepLabs(NetTester):
    name = "one-per-class"
    keywords = {"net": "deeplab-v3-plus", "net_keywords": {"width": 16, "low_width": 12, "rates": (1, 2)}}  # noqa: RUF012
    golden = (-0.08395, 0.15933, -0.71336)


def test_each_channel_is_the_answer_of_its_own_network() -> None:
    net = settled(create("one-per-class", in_channels=2, classes=3, net="mini-net"))
    assert isinstance(net, OnePerClass)
    x = noise(2, 2, 20, 24)
    before = net(x)
    torch.testing.assert_close(before[:, 1:2], net.nets[1](x))
    with torch.no_grad():
        for parameter in net.nets[1].parameters():
            parameter.mul_(2)
    after = net(x)
    assert torch.equal(after[:, ::2], before[:, ::2]) and not torch.equal(after[:, 1], before[:, 1])


def test_four_lean_networks_have_four_times_the_parameters() -> None:
    lean = {"separable": True, "width": 64, "low_width": 24}
    one = create("deeplab-v3-plus", **lean)
    four = create("one-per-class", classes=4, net_keywords=lean)
    assert sum(p.numel() for p in four.parameters()) == 4 * sum(p.numel() for p in one.parameters())


def test_it_folds_as_its_networks_do() -> None:
    assert hasattr(create("one-per-class", net="mini-net"), "folded")
    assert not hasattr(create("one-per-class", net="deeplab-v3-plus"), "folded")
