"""The plain U-Net, the baseline of any size."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.nets.padding import crop_to, pad_to_multiple


class UNet(nn.Module):
    """Two 3x3 convolutions with batch normalisation and ReLU a level, pooling down, skips concatenated on the way up.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        widths: channels at full, half, quarter, ... resolution.
        up: ``"bilinear"`` interpolates; ``"nearest-conv"`` repeats pixels and halves the channels by a 3x3 convolution.
        dims: 2 for images, 3 for volumes.

    Shape:
        (N, C, *spatial) -> logits (N, K, *spatial); any size, padded by reflection inside.

    Source:
        Ronneberger et al., arXiv 1505.04597, with padding and batch normalisation.

    Example:
        >>> sum(p.numel() for p in UNet(widths=(9, 18, 36)).parameters())
        37792
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        widths: tuple[int, ...] = (9, 18, 36),
        up: Literal["bilinear", "nearest-conv"] = "bilinear",
        dims: Literal[2, 3] = 2,
    ) -> None:
        super().__init__()
        self.dims, self.up = dims, up
        pairs = list(pairwise(widths))
        self.divisor = 1 << len(pairs)
        self.halo = _receptive_radius(levels=len(pairs))
        self.encoders = nn.ModuleList(
            _double_conv(fan_in, fan_out, dims) for fan_in, fan_out in pairwise((in_channels, *widths))
        )
        halve = up == "nearest-conv"
        self.ups = nn.ModuleList(
            nn.Sequential(*_conv(coarse, fine, dims)) if halve else nn.Identity() for fine, coarse in pairs
        )
        self.decoders = nn.ModuleList(
            _double_conv(2 * fine if halve else fine + coarse, fine, dims) for fine, coarse in pairs
        )
        self.head = _layer("Conv", dims)(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        pool = F.max_pool2d if self.dims == 2 else F.max_pool3d
        x = self.encoders[0](pad_to_multiple(x, self.divisor))
        skips = []
        for encoder in self.encoders[1:]:
            skips.append(x)
            x = encoder(pool(x, 2))
        for level in reversed(range(len(skips))):
            x = torch.cat([self.ups[level](self._upsample(x)), skips[level]], 1)
            x = self.decoders[level](x)
        logits: Tensor = self.head(x)
        return crop_to(logits, size)

    def _upsample(self, x: Tensor) -> Tensor:
        if self.up == "nearest-conv":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        mode = "bilinear" if self.dims == 2 else "trilinear"
        return F.interpolate(x, scale_factor=2, mode=mode, align_corners=False)


def _layer(kind: str, dims: int) -> type[nn.Module]:
    layer: type[nn.Module] = getattr(nn, f"{kind}{dims}d")
    return layer


def _conv(fan_in: int, fan_out: int, dims: int) -> list[nn.Module]:
    conv = _layer("Conv", dims)(fan_in, fan_out, 3, padding=1, bias=False)
    return [conv, _layer("BatchNorm", dims)(fan_out), nn.ReLU(inplace=True)]


def _double_conv(fan_in: int, fan_out: int, dims: int) -> nn.Sequential:
    return nn.Sequential(*_conv(fan_in, fan_out, dims), *_conv(fan_out, fan_out, dims))


def _receptive_radius(*, levels: int) -> int:
    """Pixels on either side that one output can see: two 3x3 convolutions a block, one pixel a change of resolution."""
    coarsest = 1 << levels
    above = coarsest - 1  # the pixel sizes 1, 2, 4, ... of the levels above the coarsest, added
    # Pooling and either way of going up reach one pixel of their finer grid further, down and up.
    return 4 * above + 2 * coarsest + 2 * above
