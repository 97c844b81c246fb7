"""EfficientNet-Lite0 as an encoder at stride 16."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

STEM = 32
STAGES = (
    (16, 1, 1, 3, 1),
    (24, 2, 2, 3, 6),
    (40, 2, 2, 5, 6),
    (80, 3, 2, 3, 6),
    (112, 3, 1, 5, 6),
    (192, 4, 2, 5, 6),
    (320, 1, 1, 3, 6),
)
"""Channels, blocks, stride of the first block, side of the depthwise kernels, expansion."""

LOW, STRIDE = 1, 16
"""The stage whose features are returned at stride 4, and the stride from which on kernels are dilated instead."""


class EfficientNetLite0(nn.Module):
    """Seven stages of inverted residuals, without squeeze and excitation; dilated instead of halved beyond stride 16.

    Every second row and column of the coarse features is what the undilated network gives with the same weights.

    Args:
        in_channels: channels of the image, C.

    Shape:
        (N, C, H, W) -> (N, 24, H / 4, W / 4) and (N, 320, H / 16, W / 16); sizes multiples of 16.

    Source:
        Tan and Le, arXiv 1905.11946, in the Lite form: ReLU6, stem and head of one width, no squeeze and excitation.
        Dilation: Chen et al., arXiv 1706.05587, section 3.1.

    Example:
        >>> sum(p.numel() for p in EfficientNetLite0().parameters())
        2958848
    """

    low_channels, high_channels = STAGES[LOW][0], STAGES[-1][0]
    bytes_per_pixel = 360
    """Peak memory of the exported graph per pixel of an image, as measured in ONNX Runtime."""

    def __init__(self, *, in_channels: int = 3) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.stem = nn.Sequential(*_conv_norm(in_channels, STEM, 3, stride=2), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList()
        self.low_blocks = sum(stage[1] for stage in STAGES[: LOW + 1])
        fan_in, reached, rate = STEM, 2, 1
        for channels, repeats, stride, kernel, expansion in STAGES:
            for index in range(repeats):
                step = 1 if index else stride
                dilated = reached * step > STRIDE
                self.blocks.append(
                    InvertedResidual(
                        fan_in=fan_in,
                        fan_out=channels,
                        kernel=kernel,
                        stride=step,
                        keep_size=dilated,
                        rate=rate,
                        expansion=expansion,
                    )
                )
                rate, reached = (rate * step, reached) if dilated else (rate, reached * step)
                fan_in = channels

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        for block in self.blocks[: self.low_blocks]:
            x = block(x)
        low = x
        for block in self.blocks[self.low_blocks :]:
            x = block(x)
        return low, x


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; the input is added where the channels stay the same.

    Args:
        fan_in: channels in.
        fan_out: channels out.
        kernel: side of the depthwise kernel, odd.
        stride: 1 or 2.
        keep_size: answer for every pixel where a stride of 2 would answer for every second one.
        rate: pixels between the taps of the kernel.
        expansion: hidden channels for each channel in; 1 leaves the expansion out.

    Shape:
        (N, fan_in, H, W) -> (N, fan_out, H / stride, W / stride); even sizes where the stride is 2.

    Source:
        Sandler et al., arXiv 1801.04381.

    Example:
        >>> sum(p.numel() for p in InvertedResidual(fan_in=4, fan_out=4, kernel=3).parameters())
        512
    """

    def __init__(
        self,
        *,
        fan_in: int,
        fan_out: int,
        kernel: int,
        stride: int = 1,
        keep_size: bool = False,
        rate: int = 1,
        expansion: int = 6,
    ) -> None:
        super().__init__()
        hidden = expansion * fan_in
        self.expand = nn.Sequential()
        if expansion > 1:
            self.expand.extend([*_conv_norm(fan_in, hidden, 1), nn.ReLU6(inplace=True)])
        depthwise = _conv_norm(hidden, hidden, kernel, stride=stride, keep_size=keep_size, dilation=rate, groups=hidden)
        self.depthwise = nn.Sequential(*depthwise, nn.ReLU6(inplace=True))
        self.project = nn.Sequential(*_conv_norm(hidden, fan_out, 1))
        self.residual = fan_in == fan_out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + answer if self.residual else answer


class PaddedConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow does where a size is even and halved: one zero more behind than before.

    Args:
        settings: of ``nn.Conv2d``, with the stride that the padding is for.
        keep_size: answer for every pixel all the same; every second answer is the strided one.

    Example:
        >>> PaddedConv2d(1, 1, 5, stride=2).around, PaddedConv2d(1, 1, 5, stride=2, keep_size=True).around
        ((1, 2, 1, 2), (1, 3, 1, 3))
    """

    def __init__(self, *settings: Any, keep_size: bool = False, **others: Any) -> None:
        super().__init__(*settings, **others)
        before = (self.kernel_size[0] - self.stride[0]) * self.dilation[0] // 2
        if keep_size:
            self.stride = (1, 1)
        after = (self.kernel_size[0] - self.stride[0]) * self.dilation[0] - before
        self.around: tuple[int, ...] = ()
        if before == after:
            self.padding = (before, before)
        else:
            self.around = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.around) if self.around else x)


def _conv_norm(fan_in: int, fan_out: int, kernel: int, **settings: Any) -> list[nn.Module]:
    """Normalised as on ImageNet, where the running statistics moved slowly."""
    conv = PaddedConv2d(fan_in, fan_out, kernel, bias=False, **settings)
    return [conv, nn.BatchNorm2d(fan_out, eps=1e-3, momentum=0.01)]
