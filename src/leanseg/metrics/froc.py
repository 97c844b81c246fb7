"""Lesions found against false alarms: the free-response curve of small structures that count one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leanseg.metrics.checks import check_masks
from leanseg.types import Mask

Counts = NDArray[np.int64]

THRESHOLDS = 32
"""Thresholds 1/32 to 1 at which false alarms are counted."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionCounts:
    """How many lesions a threshold finds and how many alarms are false; add the counts of images.

    A lesion is a connected piece of the truth, corners included, and is found where any of its pixels reaches the
    threshold. A false alarm is a connected piece of what reaches it that touches no lesion.

    Args:
        images: number of images.
        lesions: in all of them.
        found: (32,) for the thresholds 1/32, 2/32, ..., 1.
        false_alarms: (32,) likewise.

    Source:
        Bunch et al., A free response approach to the measurement and characterization of radiographic observer
        performance, 1977.

    Example:
        >>> scores = np.array([[0.9, 0.0, 0.4, 0.0, 0.6]], np.float32)
        >>> truth = np.array([[True, False, True, False, False]])
        >>> one = LesionCounts.of(scores, truth)
        >>> one.sensitivity(false_alarms=0), one.sensitivity(false_alarms=1)
        (0.5, 1.0)
    """

    images: int
    lesions: int
    found: Counts
    false_alarms: Counts

    @classmethod
    def of(cls, probabilities: NDArray[np.floating], truth: Mask, *, valid: Mask | None = None) -> LesionCounts:
        """Count one image.

        Args:
            probabilities: (*spatial) in [0, 1].
            truth: the same shape.
            valid: True where pixels count.

        Raises:
            UsageError: shapes do not fit.
        """
        check_masks(probabilities.shape, truth=truth, valid=valid)
        if valid is not None:
            probabilities, truth = np.where(valid, probabilities, 0), truth & valid
        near = np.ones((3,) * truth.ndim, np.uint8)
        pieces, lesions = ndimage.label(truth, structure=near)
        limits = np.arange(1, THRESHOLDS + 1) / THRESHOLDS
        highest = np.zeros(lesions)
        np.maximum.at(highest, pieces[truth] - 1, probabilities[truth])
        alarms = []
        for limit in limits:
            marked, count = ndimage.label(probabilities >= limit, structure=near)
            # Pieces that touch a lesion, without the background's number.
            alarms.append(count - np.count_nonzero(np.unique(marked[truth])))
        found = (highest[:, None] >= limits).sum(axis=0)
        return cls(images=1, lesions=lesions, found=found, false_alarms=np.array(alarms, np.int64))

    def __add__(self, other: LesionCounts) -> LesionCounts:
        return LesionCounts(
            images=self.images + other.images,
            lesions=self.lesions + other.lesions,
            found=self.found + other.found,
            false_alarms=self.false_alarms + other.false_alarms,
        )

    def sensitivity(self, *, false_alarms: float = 1.0) -> float | None:
        """Largest share of the lesions found with at most so many false alarms an image; None without lesions."""
        if not self.lesions:
            return None
        allowed = self.false_alarms <= false_alarms * self.images
        return float(self.found[allowed].max(initial=0)) / self.lesions
