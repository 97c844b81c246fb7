"""Three U-Nets that share features: one sees the image, one its low and one its high frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.nets.conv_blocks import Norm, double_conv
from leanseg.nets.haar import low_and_high
from leanseg.nets.padding import crop_to, pad_to_multiple
from leanseg.nets.unet import UNet

ALPHA, BETA = 0.2, 0.65
"""Shares of the other band when the network is used: the means of those drawn in training."""


class XNetPlus(nn.Module):
    """U-Nets M (image), L (low) and H (high); M meets H in the fine skips and L in the coarse ones, and answers.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        base: channels at full resolution, doubled at every further level.
        levels: resolutions, from 3.
        inputs: ``"wavelet"``, or ``"copies"`` of the image for all three, the control of equal size.
        norm: ``"batch"``, or ``"group"`` where batches are small.
        dims: 2 for images, 3 for volumes.

    Raises:
        UsageError: too few levels, or unknown inputs.

    Shape:
        (N, C, *spatial) -> logits (N, K, *spatial) of M; any size, padded by reflection before it is decomposed.

    Source:
        XNet v2 (Zhou et al., BIBM 2024), the network of WT-BCP, arXiv 2504.14445. Volumes have the same skips here.

    Example:
        >>> sum(p.numel() for p in XNetPlus(in_channels=1, classes=4, base=8).parameters())
        1770228
    """

    halo = None

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        base: int = 16,
        levels: int = 5,
        inputs: Literal["wavelet", "copies"] = "wavelet",
        norm: Norm = "batch",
        dims: Literal[2, 3] = 2,
    ) -> None:
        super().__init__()
        if levels < 3 or inputs not in ("wavelet", "copies"):
            msg = f"xnet-plus: expected levels from 3 and inputs 'wavelet' or 'copies', found {levels} and {inputs!r}"
            raise UsageError(msg)
        self.dims, self.inputs = dims, inputs
        self.fine = levels // 2
        widths = tuple(base << level for level in range(levels))

        def branch() -> UNet:
            return UNet(
                in_channels=in_channels, classes=classes, widths=widths, up="nearest-conv", norm=norm, dims=dims
            )

        self.image, self.low, self.high = branch(), branch(), branch()
        self.fusions = nn.ModuleList(double_conv(2 * width, width, dims, norm) for width in widths[:-1])
        self.divisor = self.image.divisor
        # 28 to 37 times the base as measured in ONNX Runtime: the whole image goes through at once.
        self.bytes_per_pixel = 40 * base

    def forward(self, x: Tensor) -> Tensor:
        image, low, high = self.decompose(pad_to_multiple(x, self.divisor))
        own = self.image.encode(image)
        # Only what M needs: neither the other decoders nor what lies below the fused levels.
        fused = self._fuse(own, self.low.encode(low, len(own) - 1), self.high.encode(high, self.fine))
        return crop_to(self.image.decode([*fused, own[-1]]), x.shape[2:])

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        """Features that M finds by itself, before it meets the others; see :meth:`UNet.encode`."""
        return self.image.encode(x, levels)

    def training_logits(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The answers of M, L and H, (N, K, *spatial) each, all of which the loss is applied to."""
        image, low, high = self.branch_logits(*self.decompose(pad_to_multiple(x, self.divisor)))
        size = x.shape[2:]
        return crop_to(image, size), crop_to(low, size), crop_to(high, size)

    def decompose(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What M, L and H are shown of a batch; while training, the bands are mixed in shares drawn anew every time.

        Args:
            x: (N, C, *spatial), padded, since the padding has its part in minimum and maximum.
        """
        if self.inputs == "copies":
            return x, x, x
        alpha, beta = ALPHA, BETA
        if self.training:
            first, second = torch.rand(2).tolist()
            alpha, beta = 0.4 * first, 0.5 + 0.3 * second
        return x, *low_and_high(x, alpha=alpha, beta=beta)

    def branch_logits(self, image: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`training_logits` of inputs that the caller has decomposed; sizes are multiples of ``divisor``."""
        own, lows, highs = self.image.encode(image), self.low.encode(low), self.high.encode(high)
        fused = self._fuse(own, lows, highs)
        return (
            self.image.decode([*fused, own[-1]]),
            self.low.decode([*lows[: self.fine], *fused[self.fine :], lows[-1]]),
            self.high.decode([*fused[: self.fine], *highs[self.fine :]]),
        )

    def _fuse(self, own: Sequence[Tensor], lows: Sequence[Tensor], highs: Sequence[Tensor]) -> list[Tensor]:
        """The skips MH of the fine levels, then ML of the coarse ones."""
        others = [*highs[: self.fine], *lows[self.fine :]]
        return [fuse(torch.cat(pair, 1)) for fuse, *pair in zip(self.fusions, own, others, strict=False)]
