"""The plain U-Net, the baseline of any size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.nets.conv_blocks import Norm, conv_norm_relu, double_conv, layer
from leanseg.nets.padding import crop_to, pad_to_multiple


class UNet(nn.Module):
    """Two 3x3 convolutions with batch normalisation and ReLU a level, pooling down, skips concatenated on the way up.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        widths: channels at full, half, quarter, ... resolution.
        up: ``"bilinear"`` interpolates; ``"nearest-conv"`` repeats pixels and halves the channels by a 3x3 convolution.
        norm: ``"batch"``, or ``"group"`` where batches are small.
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
        norm: Norm = "batch",
        dims: Literal[2, 3] = 2,
    ) -> None:
        super().__init__()
        self.dims, self.up = dims, up
        pairs = list(pairwise(widths))
        self.divisor = 1 << len(pairs)
        # Group normalisation takes its means over the whole image.
        self.halo = None if norm == "group" else _receptive_radius(levels=len(pairs))
        self.encoders = nn.ModuleList(
            double_conv(fan_in, fan_out, dims, norm) for fan_in, fan_out in pairwise((in_channels, *widths))
        )
        halve = up == "nearest-conv"
        self.ups = nn.ModuleList(
            nn.Sequential(*conv_norm_relu(coarse, fine, dims, norm)) if halve else nn.Identity()
            for fine, coarse in pairs
        )
        self.decoders = nn.ModuleList(
            double_conv(2 * fine if halve else fine + coarse, fine, dims, norm) for fine, coarse in pairs
        )
        self.head = layer("Conv", dims)(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encode(pad_to_multiple(x, self.divisor))
        return crop_to(self.decode(features), x.shape[2:])

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        """Features at full, half, quarter, ... resolution, of the first ``levels`` levels or of all.

        Args:
            x: (N, C, *spatial), sizes multiples of ``divisor``.
            levels: how many.
        """
        pool = F.max_pool2d if self.dims == 2 else F.max_pool3d
        features: list[Tensor] = []
        for encoder in self.encoders[:levels]:
            features.append(encoder(pool(features[-1], 2) if features else x))
        return features

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (N, K, *spatial) from features as :meth:`encode` gives them; the last are the coarsest."""
        *skips, x = features
        for level in reversed(range(len(skips))):
            x = torch.cat([self.ups[level](self._upsample(x)), skips[level]], 1)
            x = self.decoders[level](x)
        logits: Tensor = self.head(x)
        return logits

    def _upsample(self, x: Tensor) -> Tensor:
        if self.up == "nearest-conv":
            return F.interpolate(x, scale_factor=2, mode="nearest")
        mode = "bilinear" if self.dims == 2 else "trilinear"
        return F.interpolate(x, scale_factor=2, mode=mode, align_corners=False)


def _receptive_radius(*, levels: int) -> int:
    """Pixels on either side that one output can see: two 3x3 convolutions a block, one pixel a change of resolution."""
    coarsest = 1 << levels
    above = coarsest - 1  # the pixel sizes 1, 2, 4, ... of the levels above the coarsest, added
    # Pooling and either way of going up reach one pixel of their finer grid further, down and up.
    return 4 * above + 2 * coarsest + 2 * above
