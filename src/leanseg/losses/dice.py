"""The Dice loss."""

from __future__ import annotations

from torch import Tensor, nn

from leanseg.losses._reduce import dice_term, foreground_maps, overlap_sums


class Dice(nn.Module):
    """1 - (2 sum(p t) + s) / (sum p + sum t + s), over valid pixels, mean over classes and images.

    Args:
        smooth: s, so that an empty image has a value.
        exclusive: softmax over the channels, first the background; else a sigmoid for each.
        pooled: sums over all images of the batch, of which many may show nothing of a class, as if they were one.

    Shape:
        As :class:`leanseg.losses.dice_jaccard_bce.DiceJaccardBCE`.

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 1, 4, 4)
        >>> target[..., :2, :] = 1
        >>> round(float(Dice()(torch.zeros(1, 1, 4, 4), target)), 6)
        0.470588
    """

    def __init__(self, *, smooth: float = 1.0, exclusive: bool = False, pooled: bool = False) -> None:
        super().__init__()
        self.smooth, self.exclusive, self.pooled = smooth, exclusive, pooled

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        maps = foreground_maps(logits, target, valid, exclusive=self.exclusive)
        return dice_term(overlap_sums(maps, pooled=self.pooled), self.smooth)
