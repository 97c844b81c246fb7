"""Convolution, normalisation and ReLU: the blocks of the U-Nets, for images and volumes."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

Norm = Literal["batch", "group"]

GROUPS = 4
"""Groups of the group normalisation; fewer where they do not divide the channels."""


def layer(kind: str, dims: int) -> type[nn.Module]:
    """The torch layer of a kind for images or volumes.

    Example:
        >>> layer("Conv", 3).__name__
        'Conv3d'
    """
    found: type[nn.Module] = getattr(nn, f"{kind}{dims}d")
    return found


def conv_norm_relu(fan_in: int, fan_out: int, dims: int, norm: Norm = "batch") -> list[nn.Module]:
    """A 3x3 convolution, normalisation and ReLU, (N, fan_in, *spatial) -> (N, fan_out, *spatial).

    Args:
        fan_in: channels in.
        fan_out: channels out.
        dims: 2 for images, 3 for volumes.
        norm: ``"group"`` depends neither on the batch nor on what was seen before, and keeps no buffers.

    Source:
        Ioffe and Szegedy, arXiv 1502.03167; Wu and He, arXiv 1803.08494. The bias would be taken off by the norm.

    Example:
        >>> [type(part).__name__ for part in conv_norm_relu(1, 6, 2, "group")]
        ['Conv2d', 'GroupNorm', 'ReLU']
    """
    groups = math.gcd(GROUPS, fan_out)
    normalise = nn.GroupNorm(groups, fan_out) if norm == "group" else layer("BatchNorm", dims)(fan_out)
    return [layer("Conv", dims)(fan_in, fan_out, 3, padding=1, bias=False), normalise, nn.ReLU(inplace=True)]


def double_conv(fan_in: int, fan_out: int, dims: int, norm: Norm = "batch") -> nn.Sequential:
    """Two :func:`conv_norm_relu` in a row, the block of a U-Net.

    Example:
        >>> sum(p.numel() for p in double_conv(2, 4, 2).parameters())
        232
    """
    return nn.Sequential(*conv_norm_relu(fan_in, fan_out, dims, norm), *conv_norm_relu(fan_out, fan_out, dims, norm))
