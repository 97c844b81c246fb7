"""The Tversky loss, in which misses may weigh more than false alarms."""

from __future__ import annotations

from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.losses._reduce import foreground_maps, overlap_sums, tversky_term


class Tversky(nn.Module):
    """1 - (sum p t + s) / (sum p t + a sum p (1 - t) + b sum (1 - p) t + s), over valid pixels, mean over all.

    With a = b = 0.5 it is nearly the Dice loss (s weighs twice as much), with a = b = 1 the Jaccard loss.

    Args:
        false_alarms: a, weight of what is predicted and not there.
        misses: b, weight of what is there and not predicted.
        smooth: s, so that an empty image has a value.
        exclusive: softmax over the channels, first the background; else a sigmoid for each.

    Shape:
        As :class:`leanseg.losses.dice_jaccard_bce.DiceJaccardBCE`.

    Raises:
        UsageError: a weight is negative.

    Source:
        Salehi et al., Tversky loss function for image segmentation, arXiv 1706.05721, equation 3.

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 1, 4, 4)
        >>> target[..., :2, :] = 1
        >>> round(float(Tversky(smooth=0.0)(torch.zeros(1, 1, 4, 4), target)), 6)
        0.5
    """

    def __init__(
        self, *, false_alarms: float = 0.3, misses: float = 0.7, smooth: float = 1.0, exclusive: bool = False
    ) -> None:
        super().__init__()
        if false_alarms < 0 or misses < 0:
            raise UsageError(f"weights of the Tversky loss are from 0, found {false_alarms} and {misses}")
        self.false_alarms, self.misses, self.smooth, self.exclusive = false_alarms, misses, smooth, exclusive

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        maps = foreground_maps(logits, target, valid, exclusive=self.exclusive)
        return tversky_term(overlap_sums(maps), self.smooth, false_alarms=self.false_alarms, misses=self.misses)
