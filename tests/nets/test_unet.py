"""The plain U-Net."""

import pytest
import torch

from leanseg.nets.unet import UNet
from testers.nets import NetTester


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


class TestUNet(NetTester):
    name = "unet"
    golden = (0.41045, -0.26529, -0.00011)


class TestNearest(NetTester):
    name = "unet"
    keywords = {"widths": (3, 4, 5), "up": "nearest-conv"}  # noqa: RUF012
    golden = (-0.52674, -1.15334, -0.47912)


class TestVolumes(NetTester):
    name = "unet"
    keywords = {"widths": (2, 3), "dims": 3}  # noqa: RUF012
    golden = (0.092, -0.09144, -0.38823)


class TestGroups(NetTester):
    name = "unet"
    keywords = {"widths": (3, 4, 8), "norm": "group"}  # noqa: RUF012
    golden = (-0.19767, -0.38236, 0.52909)


@pytest.mark.parametrize(
    ("base", "wanted"), [(8, 540_956), (14, 1_654_286), (15, 1_898_809), (16, 2_160_180), (29, 7_091_171)]
)
def test_count_of_the_baselines_of_xnet_plus(base: int, wanted: int) -> None:
    widths = tuple(base << level for level in range(5))
    assert parameters(UNet(in_channels=1, classes=4, widths=widths, up="nearest-conv")) == wanted


def test_the_norms_have_equal_counts() -> None:
    assert parameters(UNet(norm="group")) == parameters(UNet(norm="batch"))
    assert list(UNet(norm="group").buffers()) == []


def test_count_of_the_matched_baseline() -> None:
    assert parameters(UNet(widths=(9, 18, 36))) == 37_792


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("up", ["bilinear", "nearest-conv"])
def test_count_follows_the_layers(dims: int, up: str) -> None:
    taps = 3**dims

    def double(fan_in: int, fan_out: int) -> int:
        return taps * (fan_in * fan_out + fan_out * fan_out) + 4 * fan_out

    wanted = double(3, 4) + double(4, 6) + (4 * 2 + 2)
    wanted += taps * 6 * 4 + 2 * 4 + double(8, 4) if up == "nearest-conv" else double(10, 4)
    assert parameters(UNet(in_channels=3, classes=2, widths=(4, 6), up=up, dims=dims)) == wanted


def test_one_level_is_a_stack_of_convolutions() -> None:
    net = UNet(in_channels=1, widths=(4,))
    assert (net.divisor, net.halo) == (1, 2)
    assert net(torch.zeros(1, 1, 7, 9)).shape == (1, 1, 7, 9)
