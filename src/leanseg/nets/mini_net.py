"""Mini-Net as reconstructed here: an encoder-decoder of dual multi-residual and expand-squeeze blocks."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from leanseg.nets._tracing import is_tracing
from leanseg.nets.depthwise import rectified_depthwise
from leanseg.nets.folding import bias_of, fold_conv_norm, fold_expand_squeeze, merged_pointwise
from leanseg.nets.padding import crop_to, pad_to_multiple
from leanseg.nets.pointwise_norm import pointwise_norm


class ExpandSqueeze(nn.Module):
    """Depthwise convolution, expansion and squeeze on a rectified input: BN(SQ(PW(DW(ReLU(x))))).

    Args:
        channels: channels in and out, C.
        kernel: side of the depthwise kernel, odd.
        squeeze: whether the second 1x1 convolution is there.

    Shape:
        (N, C, H, W) -> (N, C, H, W)

    Source:
        Mini-Net, arXiv 2405.17520; layers as reconstructed here.

    Example:
        >>> sum(p.numel() for p in ExpandSqueeze(channels=8, kernel=3).parameters())
        240
    """

    def __init__(self, *, channels: int, kernel: int, squeeze: bool = True) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.expand = nn.Conv2d(channels, channels, 1)
        self.squeeze = nn.Conv2d(channels, channels, 1) if squeeze else nn.Identity()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        # Not in place: the residual paths use x again.
        out: Tensor = self.norm(self.squeeze(self.expand(self.depthwise(F.relu(x)))))
        return out


class DualMultiResidual(nn.Module):
    """Two multiscale stages of expand-squeeze blocks, each with its own residual path (DMRes).

    Args:
        channels: channels in and out, C.
        kernels: sides of the depthwise kernels, one expand-squeeze block each in either stage.
        squeeze: passed to every :class:`ExpandSqueeze`.

    Shape:
        (N, C, H, W) -> (N, C, H, W), not negative.

    Source:
        Mini-Net, arXiv 2405.17520: u = sum ES(x); v = u + BN(conv(ReLU(u))); y = sum ES(v) + BN(conv(x)); ReLU(y).

    Example:
        >>> sum(p.numel() for p in DualMultiResidual(channels=16).parameters())
        4064
    """

    def __init__(self, *, channels: int, kernels: tuple[int, ...] = (3, 5), squeeze: bool = True) -> None:
        super().__init__()

        def stage() -> nn.ModuleList:
            blocks = (ExpandSqueeze(channels=channels, kernel=kernel, squeeze=squeeze) for kernel in kernels)
            return nn.ModuleList(blocks)

        self.first = stage()
        self.inner = conv_norm(channels, channels, 1)
        self.second = stage()
        self.outer = conv_norm(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and folds_while_training(x):
            u = merged_stage(self.first, x)
            v = u + merged_layer(self.inner, F.relu(u))
            return F.relu(merged_stage(self.second, v) + merged_layer(self.outer, x))
        u = sum_of(self.first, x)
        v = u + self.inner(F.relu(u))
        return F.relu(sum_of(self.second, v) + self.outer(x))


class MiniNet(nn.Module):
    """A segmentation net below 38,000 parameters for thin or textured structures in 2-D images.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K (one for a single class, else see ``Classes.outputs``).
        widths: channels at full, half and quarter resolution; more entries add levels.
        kernels: sides of the depthwise kernels.
        squeeze: whether expand-squeeze blocks have their second 1x1 convolution.
        scale_norm: whether the convolutions between resolutions are followed by batch normalisation.
        variant: ``"a"``, or ``"b"`` with one more 3x3 convolution behind the stem and before the head.
        head: ``"plain"``, one 1x1 convolution; or ``"paper"``, whose ReLU on K channels can die.

    Shape:
        (N, C, H, W) -> logits (N, K, H, W); any H and W, padded by reflection inside.

    Source:
        Mini-Net, arXiv 2405.17520. The paper does not print its widths; this is a reconstruction of matching size.

    Example:
        >>> sum(p.numel() for p in MiniNet(head="paper").parameters())
        36541
    """

    dims = 2
    bytes_per_pixel = 380
    """Peak memory of the exported graph per pixel of a tile, as measured in ONNX Runtime."""

    def __init__(
        self,
        *,
        in_channels: int = 3,
        classes: int = 1,
        widths: tuple[int, ...] = (8, 16, 32),
        kernels: tuple[int, ...] = (3, 5),
        squeeze: bool = True,
        scale_norm: bool = True,
        variant: Literal["a", "b"] = "a",
        head: Literal["plain", "paper"] = "plain",
    ) -> None:
        super().__init__()
        first = widths[0]
        pairs = list(pairwise(widths))
        self.divisor = 1 << len(pairs)
        self.halo = _receptive_radius(levels=len(pairs), kernel=max(kernels), extra=variant == "b")

        def block(channels: int) -> DualMultiResidual:
            return DualMultiResidual(channels=channels, kernels=kernels, squeeze=squeeze)

        def rescale(layer: nn.Module, channels: int) -> nn.Sequential:
            return nn.Sequential(layer, nn.BatchNorm2d(channels) if scale_norm else nn.Identity())

        self.stem = conv_norm(in_channels, first, 3)
        self.stem_extra = nn.Sequential(nn.ReLU(), *conv_norm(first, first, 3)) if variant == "b" else nn.Identity()
        self.encoders = nn.ModuleList(block(width) for width in widths[:-1])
        self.downs = nn.ModuleList(
            rescale(nn.Conv2d(fine, coarse, 3, stride=2, padding=1), coarse) for fine, coarse in pairs
        )
        self.middle = block(widths[-1])
        self.ups = nn.ModuleList(
            rescale(nn.ConvTranspose2d(coarse, fine, 3, stride=2, padding=1, output_padding=1), fine)
            for fine, coarse in pairs
        )
        self.decoders = nn.ModuleList(block(width) for width in widths[:-1])
        self.skips = nn.ModuleList(conv_norm(width, width, 1) for width in widths[:-1])
        self.head_extra = nn.Sequential(*conv_norm(first, first, 3), nn.ReLU()) if variant == "b" else nn.Identity()
        paper = (nn.BatchNorm2d(classes), nn.ReLU(), nn.Conv2d(classes, classes, 1)) if head == "paper" else ()
        self.head = nn.Sequential(nn.Conv2d(first, classes, 1), *paper)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        *skips, x = self.encode(pad_to_multiple(x, self.divisor))
        for level in reversed(range(len(skips))):
            x = self.decoders[level](self.ups[level](x)) + self.skips[level](skips[level])
        logits: Tensor = self.head(self.head_extra(x))
        return crop_to(logits, size)

    def encode(self, x: Tensor, levels: int | None = None) -> list[Tensor]:
        """Features at full, half, quarter, ... resolution, of the first ``levels`` levels or of all.

        Args:
            x: (N, C, H, W), sizes multiples of ``divisor``.
            levels: how many.
        """
        x = self.stem_extra(self.stem(x))
        features: list[Tensor] = []
        for level, block in enumerate([*self.encoders, self.middle][:levels]):
            features.append(block(self.downs[level - 1](features[-1]) if level else x))
        return features

    def folded(self) -> MiniNet:
        """A copy for use only, with equal outputs: every linear run between two ReLUs becomes one convolution."""
        net = copy.deepcopy(self).eval()
        for module in net.modules():
            if isinstance(module, ExpandSqueeze) and isinstance(module.norm, nn.BatchNorm2d):
                fold_expand_squeeze(module)
            elif isinstance(module, nn.Sequential):
                fold_conv_norm(module)
        return net


def conv_norm(fan_in: int, fan_out: int, kernel: int) -> nn.Sequential:
    """Convolution that keeps the size, then batch normalisation."""
    return nn.Sequential(nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2), nn.BatchNorm2d(fan_out))


def sum_of(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """The blocks' answers to the same input, added."""
    total: Tensor = blocks[0](x)
    for block in blocks[1:]:
        total = total + block(x)
    return total


def folds_while_training(x: Tensor) -> bool:
    """Whether the quick training path applies: plain float32, and no graph is being recorded for export."""
    return (
        x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled(x.device.type) and not is_tracing()
    )


def merged_stage(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    """:func:`sum_of` expand-squeeze blocks in training mode: one depthwise pass and one 1x1 convolution for all."""
    branches = list(cast(Iterable[ExpandSqueeze], blocks))
    merged = [merged_pointwise(block) for block in branches]
    stacked = rectified_depthwise(x, [block.depthwise.weight for block in branches])
    biases = [bias + weight @ bias_of(block.depthwise) for (weight, bias), block in zip(merged, branches, strict=True)]
    return pointwise_norm(stacked, [weight for weight, _ in merged], biases, [block.norm for block in branches])


def merged_layer(layer: nn.Sequential, x: Tensor) -> Tensor:
    """A 1x1 convolution and its normalisation in training mode."""
    conv, norm = cast(tuple[nn.Conv2d, nn.BatchNorm2d], tuple(layer))
    return pointwise_norm(x, [conv.weight.flatten(1)], [bias_of(conv)], [norm])


def _receptive_radius(*, levels: int, kernel: int, extra: bool) -> int:
    """Pixels on either side that one output can see: two depthwise kernels a block, one 3x3 a change of resolution."""
    block = 2 * (kernel // 2)
    coarsest = 1 << levels
    above = coarsest - 1  # the pixel sizes 1, 2, 4, ... of the levels above the coarsest, added
    return 1 + 2 * block * above + block * coarsest + 2 * above + 2 * int(extra)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
