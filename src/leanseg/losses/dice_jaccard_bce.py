"""The alpha-weighted sum of Dice, Jaccard and cross-entropy."""

from __future__ import annotations

from torch import Tensor, nn

from leanseg.errors import UsageError
from leanseg.losses._reduce import cross_entropy_term, dice_term, foreground_maps, jaccard_term, overlap_sums


class DiceJaccardBCE(nn.Module):
    """alpha (Dice + Jaccard) / 2 + (1 - alpha) cross-entropy, over valid pixels, mean over images.

    Args:
        alpha: weight of the overlap terms, in [0, 1].
        smooth: added above and below, so that an empty image has a value.
        pooled: overlap of all images of a batch together, so that a class that one of them lacks weighs little there.
        exclusive: classes exclude one another (softmax, first channel the background); else a sigmoid for each.

    Shape:
        logits (N, K, *spatial); target: class numbers (N, 1, *spatial) where exclusive, else (N, K, *spatial) of 0/1;
        valid (N, 1, *spatial) or None -> scalar.

    Raises:
        UsageError: alpha lies outside [0, 1].

    Source:
        Mini-Net, arXiv 2405.17520, whose formula is not printed; this reading is ours.

    Example:
        >>> import torch
        >>> target = torch.zeros(1, 1, 4, 4)
        >>> target[..., :2, :] = 1
        >>> round(float(DiceJaccardBCE(alpha=0.5)(torch.zeros(1, 1, 4, 4), target)), 6)
        0.618067
    """

    def __init__(
        self, *, alpha: float = 0.5, smooth: float = 1.0, pooled: bool = False, exclusive: bool = False
    ) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise UsageError(f"alpha must lie in [0, 1], found {alpha}")
        self.alpha, self.smooth, self.pooled, self.exclusive = alpha, smooth, pooled, exclusive

    def parts(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> dict[str, Tensor]:
        """The three terms, unweighted, for the log."""
        sums = overlap_sums(foreground_maps(logits, target, valid, exclusive=self.exclusive), pooled=self.pooled)
        return {
            "dice": dice_term(sums, self.smooth),
            "jaccard": jaccard_term(sums, self.smooth),
            "cross_entropy": cross_entropy_term(logits, target, valid, exclusive=self.exclusive),
        }

    def forward(self, logits: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
        parts = self.parts(logits, target, valid)
        overlap = (parts["dice"] + parts["jaccard"]) / 2
        return self.alpha * overlap + (1 - self.alpha) * parts["cross_entropy"]
