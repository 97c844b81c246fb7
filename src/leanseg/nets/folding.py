"""Folding for deployment: linear layers that follow one another become one, with equal outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from leanseg.nets.mini_net import ExpandSqueeze

Convolution = nn.Conv2d | nn.ConvTranspose2d | nn.Conv3d | nn.ConvTranspose3d
Norm = nn.BatchNorm2d | nn.BatchNorm3d


def folded(net: nn.Module) -> nn.Module:
    """A copy for use only, with equal outputs in less time; the network itself where it cannot fold.

    Example:
        >>> from leanseg.nets.mini_net import MiniNet
        >>> net = MiniNet()
        >>> sum(p.numel() for p in folded(net).parameters()) < sum(p.numel() for p in net.parameters())
        True
    """
    fold = getattr(net, "folded", None)
    copy: nn.Module = net if fold is None else fold()
    return copy


@torch.no_grad()
def fold_conv_norm(layers: nn.Sequential) -> None:
    """Fold, in place, every batch normalisation into the convolution right before it.

    Source:
        W' = g W, b' = g (b - mean) + beta with g = gamma / sqrt(var + eps), along the output axis.

    Example:
        >>> layers = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()
        >>> fold_conv_norm(layers)
        >>> [type(layer).__name__ for layer in layers]
        ['Conv2d', 'Identity']
    """
    for index, (conv, norm) in enumerate(zip(list(layers), list(layers)[1:], strict=False)):
        if isinstance(conv, Convolution) and isinstance(norm, Norm):
            gain, shift = _affine(norm)
            axis = 1 if isinstance(conv, nn.ConvTranspose2d | nn.ConvTranspose3d) else 0
            shape = [1] * conv.weight.ndim
            shape[axis] = -1
            conv.weight.mul_(gain.view(shape))
            conv.bias = nn.Parameter(gain * bias_of(conv) + shift)
            layers[index + 1] = nn.Identity()


@torch.no_grad()
def fold_expand_squeeze(block: ExpandSqueeze) -> None:
    """Fold, in place, expansion, squeeze and normalisation of a block into one 1x1 convolution.

    Source:
        W = diag(g) SQ PW, b = g (SQ (PW b_dw + b_pw) + b_sq - mean) + beta; the depthwise layer loses its bias.
    """
    gain, shift = _affine(block.norm)
    weight, bias = merged_pointwise(block)
    merged = nn.Conv2d(weight.shape[1], weight.shape[0], 1, device=weight.device, dtype=weight.dtype)
    merged.weight.copy_((gain[:, None] * weight)[:, :, None, None])
    bias_of(merged).copy_(gain * (weight @ bias_of(block.depthwise) + bias) + shift)
    block.depthwise.bias = None
    block.expand, block.squeeze = merged, nn.Identity()
    block.norm = nn.Identity()  # type: ignore[assignment]


def merged_pointwise(block: ExpandSqueeze) -> tuple[Tensor, Tensor]:
    """Expansion and squeeze as one matrix and bias, (C, C) and (C,)."""
    weight, bias = block.expand.weight.flatten(1), bias_of(block.expand)
    if isinstance(block.squeeze, nn.Conv2d):
        second = block.squeeze.weight.flatten(1)
        weight, bias = second @ weight, second @ bias + bias_of(block.squeeze)
    return weight, bias


def bias_of(conv: Convolution) -> Tensor:
    """The bias, one number for each output; zeros where the layer has none."""
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _affine(norm: Norm) -> tuple[Tensor, Tensor]:
    """Gain and shift of a normalisation layer in use."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return gain, norm.bias - gain * norm.running_mean
