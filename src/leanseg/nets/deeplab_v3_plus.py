"""DeepLabv3+: context at several distances at a sixteenth of the resolution, edges from a quarter of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.nets.efficientnet_lite import EfficientNetLite0
from leanseg.nets.padding import crop_to, pad_to_multiple
from leanseg.nets.residual_encoder import ResidualEncoder

ENCODERS: dict[str, Any] = {"mini": ResidualEncoder, "efficientnet-lite0": EfficientNetLite0}
"""Encoders by name: each gives features at stride 4 and at stride 16 and says how many channels these have."""

DROPOUT = 0.1


class DeepLabV3Plus(nn.Module):
    """A net that looks far around: atrous convolutions at three rates and the mean of the whole image.

    Because of that mean no tile of an image has the logits that it has within the image: the predictor shows the net
    whole images or, where it learnt from far smaller crops, overlapping windows of their size.

    The lean variant is ``separable=True, width=64, low_width=24``.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        encoder: ``"mini"``, of our own, or ``"efficientnet-lite0"``, which ``train --init imagenet`` starts from
            published weights.
        width: channels of context and decoder, w.
        low_width: channels that the features at stride 4 are reduced to, l.
        rates: pixels of the coarse features between the taps of the three atrous convolutions.
        separable: whether 3x3 convolutions are a depthwise and a 1x1 convolution.

    Raises:
        UsageError: an unknown encoder; or, in training, a batch of one image, whose mean cannot be normalised.

    Shape:
        (N, C, H, W) -> logits (N, K, H, W); any H and W, padded by reflection inside.

    Source:
        Chen et al., arXiv 1802.02611, with output stride 16.

    Example:
        >>> sum(p.numel() for p in DeepLabV3Plus(separable=True, width=64, low_width=24).parameters())
        418329
    """

    dims = 2
    divisor = 16
    halo = None

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        encoder: str = "mini",
        width: int = 256,
        low_width: int = 48,
        rates: tuple[int, ...] = (6, 12, 18),
        separable: bool = False,
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise UsageError(f"deeplab-v3-plus: expected an encoder of {', '.join(ENCODERS)}; found {encoder!r}")
        self.encoder = ENCODERS[encoder](in_channels=in_channels)
        self.bytes_per_pixel = self.encoder.bytes_per_pixel
        self.context = AtrousPyramid(self.encoder.high_channels, width, rates=rates, separable=separable)
        self.low = _unit(self.encoder.low_channels, low_width)
        self.refine = nn.Sequential(
            _unit(width + low_width, width, 3, separable=separable), _unit(width, width, 3, separable=separable)
        )
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.encoder(pad_to_multiple(x, self.divisor))
        merged = torch.cat([_four_times(self.context(high)), self.low(low)], 1)
        return crop_to(_four_times(self.head(self.refine(merged))), x.shape[2:])


class AtrousPyramid(nn.Module):
    """What lies at a place, near it, further away, and in the whole image (atrous spatial pyramid pooling).

    Args:
        fan_in: channels in, c.
        width: channels of each branch and of the answer, w.
        rates: pixels between the taps of each 3x3 convolution.
        separable: whether these are a depthwise and a 1x1 convolution.

    Shape:
        (N, c, H, W) -> (N, w, H, W).

    Source:
        Chen et al., arXiv 1706.05587, section 3.3.

    Example:
        >>> sum(p.numel() for p in AtrousPyramid(320, 256, rates=(6, 12, 18)).parameters())
        2706432
    """

    def __init__(self, fan_in: int, width: int, *, rates: tuple[int, ...], separable: bool = False) -> None:
        super().__init__()
        around = (_unit(fan_in, width, 3, rate=rate, separable=separable) for rate in rates)
        self.branches = nn.ModuleList([_unit(fan_in, width), *around])
        self.whole = _unit(fan_in, width)
        self.project = nn.Sequential(*_unit((len(rates) + 2) * width, width), nn.Dropout(DROPOUT))

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) < 2:
            msg = "deeplab-v3-plus: expected two images a batch or more in training, found one: the mean of each image"
            raise UsageError(f"{msg} is normalised over the batch. Raise the batch size")
        whole = self.whole(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        answer: Tensor = self.project(torch.cat([*(branch(x) for branch in self.branches), whole], 1))
        return answer


def _unit(fan_in: int, fan_out: int, kernel: int = 1, *, rate: int = 1, separable: bool = False) -> nn.Sequential:
    """Convolution, normalisation and ReLU; a separable one has no normalisation between its two convolutions."""
    layers: list[nn.Module] = []
    if separable:
        layers.append(nn.Conv2d(fan_in, fan_in, kernel, padding=rate, dilation=rate, groups=fan_in, bias=False))
        kernel = 1
    padding = rate * (kernel // 2)
    layers.append(nn.Conv2d(fan_in, fan_out, kernel, padding=padding, dilation=rate, bias=False))
    return nn.Sequential(*layers, nn.BatchNorm2d(fan_out), nn.ReLU(inplace=True))


def _four_times(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
