"""Cross-entropy, binary for one class or overlapping classes."""

from __future__ import annotations

from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.losses._reduce import cross_entropy_term


class CrossEntropy(nn.Module):
    """-log p(truth), mean over the valid pixels of each image, then over images.

    Args:
        smoothing: share of each label that goes to all classes alike, in [0, 1).
        exclusive: softmax over the channels, first the background; else a sigmoid for each (binary cross-entropy).

    Shape:
        As :class:`leanseg.losses.dice_jaccard_bce.DiceJaccardBCE`.

    Raises:
        UsageError: smoothing lies outside [0, 1).

    Example:
        >>> import torch
        >>> round(float(CrossEntropy()(torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4))), 6)
        0.693147
    """

    def __init__(self, *, smoothing: float = 0.0, exclusive: bool = False) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise UsageError(f"smoothing must lie in [0, 1), found {smoothing}")
        self.smoothing, self.exclusive = smoothing, exclusive

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        return cross_entropy_term(logits, target, valid, exclusive=self.exclusive, smoothing=self.smoothing)
