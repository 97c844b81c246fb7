"""Med-2D SegNet as reconstructed here: an encoder of Med Blocks and the decoder of a U-Net."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.errors import UsageError
from leanseg.nets._tracing import is_tracing
from leanseg.nets.conv_blocks import conv_norm_relu, double_conv
from leanseg.nets.med_block import Gate, MedBlock
from leanseg.nets.padding import crop_to, pad_to_multiple


class Med2DSegNet(nn.Module):
    """A net of about two million parameters for whole objects in 2-D images: polyps, glands, skin, nuclei.

    The gate takes its means over the whole image, so a tile of an image has other logits than the image; pixels that
    are only padding do not count. A lean variant for training on a CPU has the widths 12, 24, 48, 96.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        widths: channels at half, quarter, ... resolution; the first also at full resolution.
        repeats: Med Blocks at each of these.
        expansion: hidden channels of a block for each channel in.
        kernel: side of the depthwise kernels, odd.
        gate: ``"mean"``, ``"learned"`` with a scale and a bias for each channel, or ``"none"``.
        stochastic_depth: see :class:`MedBlock`; 0.05 is a common choice.

    Raises:
        UsageError: widths and repeats do not pair up, or see :class:`MedBlock`.

    Shape:
        (N, C, H, W) -> logits (N, K, H, W); any H and W, padded by reflection inside.

    Source:
        Med-2D SegNet, arXiv 2504.14715. The paper prints neither widths nor decoder; this is a reconstruction of
        matching size, not the authors' network.

    Example:
        >>> sum(p.numel() for p in Med2DSegNet().parameters())
        2069233
    """

    dims = 2

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        widths: tuple[int, ...] = (24, 48, 96, 192),
        repeats: tuple[int, ...] = (2, 1, 3, 3),
        expansion: int = 6,
        kernel: int = 7,
        gate: Gate = "mean",
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        if not widths or len(widths) != len(repeats) or min(repeats) < 1:
            msg = f"med2d-segnet: expected one number of blocks, from 1, for each width; found {repeats} for {widths}"
            raise UsageError(msg)
        channels = (widths[0], *widths)
        self.divisor = 1 << len(widths)
        self.halo = _receptive_radius(repeats, kernel) if gate == "none" else None
        self.bytes_per_pixel = 8 * (expansion + 2) * widths[0]

        def stage(fan_in: int, fan_out: int, repeat: int) -> nn.ModuleList:
            return nn.ModuleList(
                MedBlock(
                    fan_in=fan_out if index else fan_in,
                    fan_out=fan_out,
                    stride=1 if index else 2,
                    expansion=expansion,
                    kernel=kernel,
                    gate=gate,
                    stochastic_depth=stochastic_depth,
                )
                for index in range(repeat)
            )

        self.stem = nn.Sequential(*conv_norm_relu(in_channels, channels[0], 2))
        self.stages = nn.ModuleList(stage(*pair, n) for pair, n in zip(pairwise(channels), repeats, strict=True))
        self.decoders = nn.ModuleList(double_conv(fine + coarse, fine, 2) for fine, coarse in pairwise(channels))
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Logits (N, K, H, W).

        Args:
            x: (N, C, H, W).
            valid: (N, 1, H, W) of 0/1, the pixels that the gates count; None for all.
        """
        padded = pad_to_multiple(x, self.divisor)
        *skips, coarse = self.encode(padded, valid=_counted(x, padded, valid))
        for level in reversed(range(len(skips))):
            fine = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
            coarse = self.decoders[level](torch.cat([fine, skips[level]], 1))
        return crop_to(self.head(coarse), x.shape[2:])

    def encode(self, x: Tensor, levels: int | None = None, *, valid: Tensor | None = None) -> list[Tensor]:
        """Features at full, half, quarter, ... resolution, of the first ``levels`` levels or of all.

        Args:
            x: (N, C, H, W), sizes multiples of ``divisor``.
            levels: how many.
            valid: (N, 1, H, W) of 0/1, the pixels that the gates count; None for all.
        """
        features = [self.stem(x)]
        for blocks in self.stages[: None if levels is None else levels - 1]:
            # A coarse pixel counts where one of its own does: a thin field of view is never lost.
            valid = None if valid is None else F.max_pool2d(valid, 2)
            x = features[-1]
            for block in blocks.children():
                x = block(x, valid)
            features.append(x)
        return features


def _counted(x: Tensor, padded: Tensor, valid: Tensor | None) -> Tensor | None:
    """The pixels of the padded image that gates count, (N, 1, H, W) of 0/1; None where these are all."""
    if valid is None and padded.shape == x.shape and not is_tracing():
        return None
    inside = torch.ones_like(x[:, :1]) if valid is None else valid.to(x.dtype)
    missing = [large - small for large, small in zip(padded.shape[2:], x.shape[2:], strict=True)]
    return F.pad(inside, (0, missing[1], 0, missing[0]))


def _receptive_radius(repeats: tuple[int, ...], kernel: int) -> int:
    """Pixels on either side that one output can see, without gates."""
    above = (1 << len(repeats)) - 1  # the pixel sizes 1, 2, 4, ... of the levels that are decoded, added
    # The first block of a stage still looks at the finer grid, the others at their own.
    blocks = sum(((2 * repeat - 1) << level) for level, repeat in enumerate(repeats))
    # In the decoder, two 3x3 convolutions a level; interpolation reaches up to two pixels of its finer grid.
    return 1 + kernel // 2 * blocks + 2 * above + 2 * above
