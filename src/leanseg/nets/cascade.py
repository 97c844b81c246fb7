"""Two Mini-Nets in a row: the second sees the image and what the first made of it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from leanseg.nets.mini_net import MiniNet
from leanseg.nets.padding import crop_to, pad_to_multiple


class MiniNetCascade(nn.Module):
    """A Mini-Net that is corrected by another one; both learn from the loss.

    Args:
        in_channels: channels of the image, C.
        classes: channels of the answer, K.
        widths: of both networks.

    Shape:
        (N, C, H, W) -> logits (N, K, H, W) of the second network.

    Source:
        An extension of Mini-Net, arXiv 2405.17520, by the idea of W-Net (Galdran et al., arXiv 2009.01907).

    Example:
        >>> sum(p.numel() for p in MiniNetCascade().parameters())
        73146
    """

    dims = 2
    bytes_per_pixel = 480
    """Peak memory of the exported graph per pixel of a tile, as measured in ONNX Runtime."""

    def __init__(self, *, in_channels: int = 3, classes: int = 1, widths: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        self.first = MiniNet(in_channels=in_channels, classes=classes, widths=widths)
        self.second = MiniNet(in_channels=in_channels + classes, classes=classes, widths=widths)
        self.divisor = self.first.divisor
        self.halo = self.first.halo + self.second.halo

    def forward(self, x: Tensor) -> Tensor:
        return self.training_logits(x)[1]

    def training_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The answers of both networks, each of which the loss is applied to."""
        # Padded here, so that the second network sees what the first says of the padding.
        size, x = x.shape[-2:], pad_to_multiple(x, self.divisor)
        guess = self.first(x)
        better = self.second(torch.cat([x, guess.sigmoid()], 1))
        return crop_to(guess, size), crop_to(better, size)

    def folded(self) -> MiniNetCascade:
        """A copy for use only, with equal outputs."""
        net = copy.deepcopy(self).eval()
        net.first, net.second = self.first.folded(), self.second.folded()
        return net
