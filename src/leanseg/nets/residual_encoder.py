"""An encoder of our own for DeepLabv3+: the blocks of Mini-Net down to a sixteenth of the resolution."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from leanseg.nets.mini_net import DualMultiResidual, conv_norm


class ResidualEncoder(nn.Module):
    """Five resolutions of dual multi-residual blocks; nothing is dilated, for the last stage has stride 16 anyway.

    Args:
        in_channels: channels of the image, C.
        widths: channels at full, half, quarter, eighth and sixteenth resolution.

    Shape:
        (N, C, H, W) -> (N, widths[2], H / 4, W / 4) and (N, widths[4], H / 16, W / 16); sizes multiples of 16.

    Source:
        Mini-Net, arXiv 2405.17520, as reconstructed here, with two levels more.

    Example:
        >>> sum(p.numel() for p in ResidualEncoder().parameters())
        340432
    """

    bytes_per_pixel = 320
    """Peak memory of the exported graph per pixel of an image, as measured in ONNX Runtime."""

    def __init__(self, *, in_channels: int = 3, widths: tuple[int, int, int, int, int] = (8, 16, 32, 64, 128)) -> None:
        super().__init__()
        self.low_channels, self.high_channels = widths[2], widths[4]
        self.stem = conv_norm(in_channels, widths[0], 3)
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(fine, coarse, 3, stride=2, padding=1), nn.BatchNorm2d(coarse))
            for fine, coarse in pairwise(widths)
        )
        self.blocks = nn.ModuleList(DualMultiResidual(channels=width) for width in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features: list[Tensor] = []
        for level, block in enumerate(self.blocks):
            features.append(block(self.downs[level - 1](features[-1]) if level else self.stem(x)))
        return features[2], features[4]
