"""VM-UNet: a U-Net of patches whose blocks scan the map in four directions by state-space layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.nets.padding import crop_to, pad_to_multiple
from leanseg.nets.ss2d import SS2D, Mixer

BYTES: dict[Mixer, int] = {"ssd": 750, "s6": 10_000, "none": 60}
"""Peak memory of the exported graph per token and channel of the finest level, as measured in ONNX Runtime."""


class VMUNet(nn.Module):
    """A net with linear cost in the number of pixels whose answers depend on the whole image.

    With ``mixer="none"`` it is the same net without scans, the control; its reach is finite.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        widths: channels of the levels, each twice the one before; the first a multiple of 4.
        depths: blocks of each level on the way down, or one number for all.
        decoder_depths: blocks of each level on the way up, the coarsest first; None mirrors ``depths``.
        patch: side of the patches in pixels that become tokens; 2 for thin structures.
        mixer: ``"ssd"``, ``"s6"`` or ``"none"``, see :class:`leanseg.nets.ss2d.SS2D`.
        state: states of each channel.
        head_channels: channels of a head of ``"ssd"``.
        drop_path: share of images for which the coarsest block passes on its input in training; finer ones less.

    Raises:
        UsageError: widths that do not double, depths that do not pair up with them, or see :class:`SS2D`.

    Shape:
        (N, C, H, W) -> logits (N, K, H, W); any H and W, padded by reflection inside.

    Source:
        VM-UNet, arXiv 2402.02491, as in Mamba-Sea, arXiv 2504.17515; published are the widths 96, 192, 384, 768, the
        depths 2, 2, 2, 2 and 2, 2, 2, 1, ``"s6"`` and 0.2. Stochastic depth: Huang et al., arXiv 1603.09382.

    Example:
        >>> sum(p.numel() for p in VMUNet(classes=2).parameters())
        314954
    """

    dims = 2

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        widths: tuple[int, ...] = (24, 48, 96),
        depths: int | tuple[int, ...] = 1,
        decoder_depths: tuple[int, ...] | None = None,
        patch: int = 4,
        mixer: Mixer = "ssd",
        state: int = 16,
        head_channels: int = 16,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        down = [depths] * len(widths) if isinstance(depths, int) else list(depths)
        up = list(decoder_depths or reversed(down))[::-1]
        _check(widths, down, up)
        self.divisor = patch << (len(widths) - 1)
        counts = [a + b for a, b in zip(down, up, strict=True)]
        self.halo = _receptive_radius(patch, counts) if mixer == "none" else None

        def blocks(counts: Sequence[int]) -> Iterator[list[Block]]:
            rates = iter(torch.linspace(0, drop_path, sum(counts)).tolist())
            for width, count in zip(widths, counts, strict=True):
                mixing = {"channels": width, "mixer": mixer, "state": state, "head_channels": head_channels}
                yield [Block(SS2D(**mixing), drop_path=next(rates)) for _ in range(count)]  # type: ignore[arg-type]

        fine = widths[0]
        self.stem = nn.Conv2d(in_channels, fine, patch, stride=patch)
        self.stem_norm = nn.LayerNorm(fine)
        merges = [nn.Identity(), *(PatchMerging(width) for width in widths[:-1])]
        self.encoders = nn.ModuleList(
            nn.Sequential(merge, *stage) for merge, stage in zip(merges, blocks(down), strict=True)
        )
        self.decoders = nn.ModuleList(nn.Sequential(*stage) for stage in blocks(up))
        self.ups = nn.ModuleList(PatchExpanding(coarse, finer, factor=2) for finer, coarse in pairwise(widths))
        self.expand = PatchExpanding(fine, fine // 4, factor=patch)
        self.head = nn.Linear(fine // 4, classes)
        self.bytes_per_pixel = -(-BYTES[mixer] * widths[0] // patch**2)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        x = self.stem_norm(self.stem(pad_to_multiple(x, self.divisor)).permute(0, 2, 3, 1))
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        x = self.decoders[-1](x)
        for level in reversed(range(len(self.ups))):
            x = self.decoders[level](self.ups[level](x) + skips[level])
        return crop_to(self.head(self.expand(x)).permute(0, 3, 1, 2), size)


class Block(nn.Module):
    """x + mix(LN(x)), and x alone for a share of the images in training.

    Args:
        mix: takes and gives (N, H, W, C).
        drop_path: the share.

    Shape:
        (N, H, W, C) -> (N, H, W, C).
    """

    def __init__(self, mix: SS2D, *, drop_path: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(mix.enter.in_features)
        self.mix = mix
        self.drop_path = drop_path

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.mix(self.norm(x))
        if self.training and self.drop_path:
            kept = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop_path
            change = change * (kept / (1 - self.drop_path))
        return x + change


class PatchMerging(nn.Module):
    """Four neighbours become one token of twice the channels, (N, H, W, C) -> (N, H/2, W/2, 2 C).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        count, height, width, channels = x.shape
        squares = x.reshape(count, height // 2, 2, width // 2, 2, channels).transpose(2, 3)
        merged: Tensor = self.reduce(self.norm(squares.flatten(3)))
        return merged


class PatchExpanding(nn.Module):
    """One token becomes a square of them, (N, H, W, C) -> (N, f H, f W, C').

    Args:
        fan_in: C.
        fan_out: C'.
        factor: f, the side of the square.
    """

    def __init__(self, fan_in: int, fan_out: int, *, factor: int) -> None:
        super().__init__()
        self.factor, self.fan_out = factor, fan_out
        self.expand = nn.Linear(fan_in, factor**2 * fan_out, bias=False)
        self.norm = nn.LayerNorm(fan_out)

    def forward(self, x: Tensor) -> Tensor:
        count, height, width, _ = x.shape
        side = self.factor
        squares = self.expand(x).view(count, height, width, side, side, self.fan_out).transpose(2, 3)
        expanded: Tensor = self.norm(squares.reshape(count, side * height, side * width, self.fan_out))
        return expanded


def _check(widths: Sequence[int], down: Sequence[int], up: Sequence[int]) -> None:
    if not widths or widths[0] % 4 or any(coarse != 2 * fine for fine, coarse in pairwise(widths)):
        raise UsageError(f"vm-unet: expected widths from a multiple of 4 on, each twice the one before, found {widths}")
    if not len(down) == len(up) == len(widths) or min(*down, *up) < 0:
        raise UsageError(f"vm-unet: expected a depth for each of {len(widths)} levels, found {down} and {up[::-1]}")


def _receptive_radius(patch: int, blocks: Sequence[int]) -> int:
    """Pixels on either side that an output can see without scans: a token further by each block."""
    coarsest = patch << (len(blocks) - 1)
    return sum(count * (patch << level) for level, count in enumerate(blocks)) + coarsest - 1
