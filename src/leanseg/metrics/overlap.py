"""Scores from counting pixels: Dice, Jaccard, sensitivity, specificity, precision, accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leanseg.metrics.checks import check_masks
from leanseg.types import Mask


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How the pixels of a prediction and of the truth meet; add counts for pooled scores.

    A score that is 0 / 0 is None. Dice, Jaccard and precision of a missed structure are 0 (see :mod:`leanseg.metrics`).

    Args:
        tp: pixels that are true and predicted.
        fp: pixels that are predicted only.
        fn: pixels that are true only.
        tn: pixels that are neither.

    Example:
        >>> one, other = Confusion(tp=2, fp=1, fn=1, tn=4), Confusion(tp=0, fp=0, fn=2, tn=6)
        >>> round(one.dice, 3), other.dice, round((one + other).dice, 3)
        (0.667, 0.0, 0.5)
        >>> sum([one, other], Confusion()).total
        16
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(tp=self.tp + other.tp, fp=self.fp + other.fp, fn=self.fn + other.fn, tn=self.tn + other.tn)

    @property
    def total(self) -> int:
        """All pixels that count."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def both_empty(self) -> bool:
        """Neither truth nor prediction holds a pixel."""
        return self.tp + self.fp + self.fn == 0

    @property
    def dice(self) -> float | None:
        """2 tp / (2 tp + fp + fn), the F1 score."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def jaccard(self) -> float | None:
        """tp / (tp + fp + fn), intersection over union."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def sensitivity(self) -> float | None:
        """tp / (tp + fn), recall; None without truth."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """tn / (tn + fp); None where everything is true."""
        return _ratio(self.tn, self.tn + self.fp)

    @property
    def precision(self) -> float | None:
        """tp / (tp + fp); 0 when the truth was missed, None when both are empty."""
        if self.tp + self.fp == 0 and self.fn > 0:
            return 0.0
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def accuracy(self) -> float | None:
        """(tp + tn) / all pixels."""
        return _ratio(self.tp + self.tn, self.total)


def confusion(prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> Confusion:
    """Count how two masks meet.

    Args:
        prediction: (H, W) or (D, H, W).
        truth: the same shape.
        valid: True where pixels count.

    Raises:
        UsageError: the masks are not boolean or differ in shape.

    Example:
        >>> truth = np.array([True, True, False, False])
        >>> confusion(np.array([True, False, True, False]), truth)
        Confusion(tp=1, fp=1, fn=1, tn=1)
    """
    check_masks(truth.shape, prediction=prediction, truth=truth, valid=valid)
    total = truth.size
    if valid is not None:
        prediction, truth, total = prediction & valid, truth & valid, int(np.count_nonzero(valid))
    tp = int(np.count_nonzero(prediction & truth))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Confusion(tp=tp, fp=fp, fn=fn, tn=total - tp - fp - fn)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
