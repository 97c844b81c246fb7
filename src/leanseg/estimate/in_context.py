"""The Dice to expect of one prediction: the better a mask teaches on labelled references, the better it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leanseg.errors import UsageError
from leanseg.estimate.conformal import Groups
from leanseg.estimate.image_band import Band, Mode, fit_band
from leanseg.estimate.line import Values
from leanseg.estimate.prepare import nearest, thumbnails
from leanseg.estimate.reverse import ReverseSegmenter
from leanseg.estimate.set_metrics import scores_of
from leanseg.metrics.checks import check_masks
from leanseg.types import Mask, Pixels

FLAGS = {
    "empty": "nothing was found: no mask can be judged",
    "outside_calibration": "the image looks unlike those of the calibration: the interval is not guaranteed",
    "flat": "on the calibration images the score says nothing about the Dice: their mean stands for all",
}
"""What each flag of an :class:`ImageEstimate` says."""

BEST = 5
"""Reverse scores whose scatter tells how doubtful their maximum is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """How well one mask taught.

    Args:
        scores: (r,) Dice on each of the nearest references; empty for an empty mask.
        distance: between the thumbnails of the image and of the nearest reference.
    """

    scores: Values
    distance: float

    def strength(self, top: int = 1) -> float:
        """The mean of the best scores, their maximum by default; 0 for an empty mask."""
        return float(np.sort(self.scores)[-top:].mean()) if self.scores.size else 0.0

    @property
    def spread(self) -> float:
        """Standard deviation of the five best scores; 0 for an empty mask."""
        return float(np.sort(self.scores)[-BEST:].std()) if self.scores.size else 0.0


class References:
    """Labelled images on which masks are tried; whatever depends on them alone is computed once.

    Args:
        images: (C, H, W) each; they should not be among the calibration images.
        truths: (H, W) masks of one class; images without it are left out, for any answer but one would be right there.
        reverse: learns from the mask, for instance :class:`leanseg.estimate.patch_fusion.PatchFusion`.
        count: references that are tried, those most like the image.

    Raises:
        UsageError: no image shows the class, or images and truths do not fit.

    Source:
        Valindria et al., arXiv 1702.03407 (reverse classification accuracy); Cosarinsky et al., arXiv 2503.04522.

    Example:
        >>> from leanseg.estimate.patch_fusion import PatchFusion
        >>> image = np.arange(4096.0).reshape(1, 64, 64)
        >>> references = References([image], [image[0] > 2000], reverse=PatchFusion())
        >>> round(references.teach(image, image[0] > 2000).strength(), 1)
        1.0
    """

    def __init__(
        self, images: Sequence[Pixels], truths: Sequence[Mask], *, reverse: ReverseSegmenter, count: int = 32
    ) -> None:
        if len(images) != len(truths) or count < 1:
            found = f"{len(images)} images, {len(truths)} truths and count {count}"
            raise UsageError(f"expected one truth for each reference and a positive count, found {found}")
        shown = [i for i, truth in enumerate(truths) if truth.any()]
        if not shown:
            raise UsageError(f"none of {len(images)} references shows the class; choose some that do")
        self._reverse, self.count = reverse, min(count, len(shown))
        self._images, self._truths = [reverse.prepare(images[i]) for i in shown], [truths[i] for i in shown]
        self._thumbnails = thumbnails(self._images)

    def teach(self, image: Pixels, mask: Mask) -> Lesson:
        """Let one pair of image and mask teach the nearest references.

        Args:
            image: (C, H, W).
            mask: (H, W).

        Raises:
            UsageError: image and mask do not fit each other or the references.
        """
        support = self._reverse.prepare(image)
        check_masks(support.shape, mask=mask)
        order, distances = nearest(thumbnails([support]), self._thumbnails, self.count)
        scores = np.empty(0)
        if mask.any():
            taught = self._reverse.fit([support], [self._images[i] for i in order[0]])
            answers = [answer > taught.threshold for answer in taught.predict([mask])]
            scores = scores_of(answers, [self._truths[i] for i in order[0]])
        return Lesson(scores=scores, distance=float(distances[0, 0]))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What labelled images say about how strength and Dice go together; made by :func:`calibrate`.

    Args:
        band: from strength to Dice.
        top: best reverse scores whose mean is the strength.
        limit: distance to the nearest reference that 95 % of the calibration images keep.
    """

    band: Band
    top: int
    limit: float


@dataclass(frozen=True, kw_only=True)
class ImageEstimate:
    """What one prediction is expected to score.

    Args:
        dice: expected Dice.
        interval: holds the real one as often as promised, for images like those of the calibration.
        strength: how well the mask taught, in [0, 1].
        flags: keys of :data:`FLAGS`.
    """

    dice: float
    interval: tuple[float, float]
    strength: float
    flags: tuple[str, ...]


def calibrate(
    lessons: Sequence[Lesson],
    dice: Values,
    *,
    alpha: float = 0.1,
    mode: Mode | None = None,
    top: int = 1,
    groups: Groups | None = None,
    seed: int = 0,
) -> Calibration:
    """Learn from labelled images how the Dice follows from how well a mask teaches; one class at a time.

    Args:
        lessons: of the model's masks of images that it was not trained on (:meth:`References.teach`).
        dice: (n,) real Dice of these masks.
        alpha: promised share of intervals that miss.
        mode: see :func:`leanseg.estimate.image_band.fit_band`.
        top: best reverse scores whose mean is the strength.
        groups: the patient of each image.
        seed: fixes the halves.

    Raises:
        UsageError: there are fewer than 4 images, or numbers that do not fit.

    Example:
        >>> lessons = [Lesson(scores=np.array([s]), distance=s) for s in np.linspace(0, 1, 101)]
        >>> round(calibrate(lessons, np.linspace(0, 1, 101)).limit, 2)
        0.95
    """
    if top < 1 or len(lessons) != len(dice):
        found = f"{len(lessons)} lessons, {len(dice)} scores and top {top}"
        raise UsageError(f"expected one Dice for each lesson and a positive top, found {found}")
    strength, spread = np.array([les.strength(top) for les in lessons]), np.array([les.spread for les in lessons])
    band = fit_band(strength, dice, spread=spread, alpha=alpha, mode=mode, groups=groups, seed=seed)
    return Calibration(band=band, top=top, limit=float(np.quantile([lesson.distance for lesson in lessons], 0.95)))


def estimate_image(image: Pixels, mask: Mask, references: References, calibration: Calibration) -> ImageEstimate:
    """The Dice to expect of one prediction, with an interval.

    Args:
        image: (C, H, W).
        mask: (H, W) what the model predicts.
        references: as for the calibration.
        calibration: see :func:`calibrate`.

    Raises:
        UsageError: image and mask do not fit each other or the references.

    Source:
        Cosarinsky et al., arXiv 2503.04522; the line and its conformal margin in place of percentiles are ours.

    Example:
        >>> from leanseg.estimate.patch_fusion import PatchFusion
        >>> image = np.arange(4096.0).reshape(1, 64, 64)
        >>> references = References([image], [image[0] > 2000], reverse=PatchFusion())
        >>> lessons = [references.teach(image, image[0] > step) for step in range(1000, 3000, 200)]
        >>> calibration = calibrate(lessons, np.array([lesson.strength() for lesson in lessons]))
        >>> estimate_image(image, image[0] > 4096, references, calibration).flags
        ('empty',)
    """
    lesson = references.teach(image, mask)
    strength = lesson.strength(calibration.top)
    value, low, high = calibration.band(np.array([strength]), np.array([lesson.spread]))
    found = {
        "empty": not mask.any(),
        "outside_calibration": lesson.distance > calibration.limit,
        "flat": not calibration.band.usable,
    }
    flags = tuple(flag for flag, holds in found.items() if holds)
    return ImageEstimate(dice=float(value[0]), interval=(float(low[0]), float(high[0])), strength=strength, flags=flags)
