"""Lesions found against false alarms: the free-response curve of small structures that count one by one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from leanseg.metrics.checks import check_masks
from leanseg.types import Mask

Counts = NDArray[np.int64]

OVERLAP = 0.2
"""Share of an alarm that must be lesion, and of a lesion that such alarms must cover."""

THRESHOLDS = 32
"""Thresholds 1/32 to 1 at which false alarms are counted."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LesionCounts:
    """How many lesions a threshold finds and how many alarms are false; add the counts of images.

    Lesions are connected pieces of the truth, corners included, alarms those of what reaches the threshold. An alarm is
    true where more than a fifth of its pixels are lesion; a lesion is found where true alarms cover more than a fifth
    of it. If any overlap were enough, one alarm over the whole image would find everything and never be false.

    Args:
        images: number of images.
        lesions: in all of them.
        found: (32,) for the thresholds 1/32, 2/32, ..., 1.
        false_alarms: (32,) likewise.

    Source:
        Bunch et al., A free response approach to the measurement and characterization of radiographic observer
        performance, 1977; the fifths: Zhang et al., Exudate detection in color retinal images for mass screening of
        diabetic retinopathy, Medical Image Analysis 2014.

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
        pieces, lesions = _pieces(truth)
        sizes = np.bincount(pieces[truth], minlength=lesions + 1)[1:]
        found, alarms = [], []
        for limit in np.arange(1, THRESHOLDS + 1) / THRESHOLDS:
            reached = probabilities >= limit
            marked, count = _pieces(reached)
            hits = reached & truth
            inside = np.bincount(marked[hits], minlength=count + 1)
            true = inside > OVERLAP * np.bincount(marked[reached], minlength=count + 1)
            covered = np.bincount(pieces[hits][true[marked[hits]]], minlength=lesions + 1)[1:]
            found.append(np.count_nonzero(covered > OVERLAP * sizes))
            alarms.append(count - np.count_nonzero(true))
        return cls(images=1, lesions=lesions, found=np.array(found, np.int64), false_alarms=np.array(alarms, np.int64))

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


def _pieces(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """The number of each pixel's connected piece, and how many there are."""
    if mask.ndim == 2:  # the quick way
        count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
        return np.asarray(numbers, np.int32), count - 1
    return ndimage.label(mask, structure=np.ones((3,) * mask.ndim, np.uint8))  # type: ignore[no-any-return]
