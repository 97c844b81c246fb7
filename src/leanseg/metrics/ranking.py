"""Scores of the order of probabilities: AUROC, average precision and the threshold that suits Dice best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.metrics.checks import check_masks, check_probabilities
from leanseg.types import Mask

Scores = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


def auroc(scores: Scores, truth: Mask, *, valid: Mask | None = None) -> float | None:
    """Area under the receiver operating characteristic, exact; tied scores count half.

    Args:
        scores: one number for each pixel, larger means more likely; any shape.
        truth: the same shape.
        valid: True where pixels count.

    Returns:
        A number in [0, 1]; None unless both classes occur.

    Raises:
        UsageError: shapes or types do not fit, or a score is nan.

    Example:
        >>> auroc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
        0.75
    """
    return _area(*_ranks(scores, truth, valid))


def average_precision(scores: Scores, truth: Mask, *, valid: Mask | None = None) -> float | None:
    """Average precision, sum of (R_n - R_(n-1)) P_n over the distinct scores, exact.

    Args:
        scores: one number for each pixel, larger means more likely; any shape.
        truth: the same shape.
        valid: True where pixels count.

    Returns:
        A number in [0, 1]; None without truth.

    Raises:
        UsageError: shapes or types do not fit, or a score is nan.

    Example:
        >>> round(average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])), 4)
        0.8333
    """
    positives, below, _, negatives = _ranks(scores, truth, valid)
    return _precision(positives, below, negatives)


@dataclass(frozen=True, eq=False)
class RankingCounts:
    """How many true and false pixels have which probability; add the counts of images for pooled scores.

    Bin b of ``bins`` holds the probabilities from b / bins up to (b + 1) / bins; one more bin holds those equal to 1.
    Pixels of one bin count as tied, so that scores differ from the exact ones by less than the share of such pairs.

    Args:
        positives: (bins + 1,) pixels of the class.
        negatives: (bins + 1,) all other pixels.

    Example:
        >>> a = RankingCounts.of(np.array([0.2, 0.9]), np.array([False, True]))
        >>> b = RankingCounts.of(np.array([0.95, 0.5]), np.array([False, True]))
        >>> a.auroc, b.auroc, (a + b).auroc
        (1.0, 0.0, 0.5)
    """

    positives: Counts
    negatives: Counts

    @classmethod
    def of(cls, probabilities: Scores, truth: Mask, *, valid: Mask | None = None, bins: int = 1 << 16) -> RankingCounts:
        """Count one image.

        Args:
            probabilities: in [0, 1]; any shape.
            truth: the same shape.
            valid: True where pixels count.
            bins: a power of two, for which floor(p * bins) is exact.

        Raises:
            UsageError: shapes, types or the range do not fit.
        """
        check_masks(probabilities.shape, truth=truth, valid=valid)
        check_probabilities(probabilities)
        if bins < 1 or bins & (bins - 1):
            raise UsageError(f"bins must be a power of two, found {bins}")
        if valid is not None:
            probabilities, truth = probabilities[valid], truth[valid]
        place = (probabilities * probabilities.dtype.type(bins)).astype(np.int32).ravel()
        place += (bins + 1) * truth.ravel().astype(np.int32)
        negatives, positives = np.bincount(place, minlength=2 * (bins + 1)).reshape(2, bins + 1)
        return cls(positives, negatives)

    def __add__(self, other: RankingCounts) -> RankingCounts:
        return RankingCounts(self.positives + other.positives, self.negatives + other.negatives)

    @property
    def auroc(self) -> float | None:
        """Area under the receiver operating characteristic; None unless both classes occur."""
        return _area(*self._ranks())

    @property
    def average_precision(self) -> float | None:
        """Average precision; None without truth."""
        positives, below, _, negatives = self._ranks()
        return _precision(positives, below, negatives)

    def dice(self) -> NDArray[np.float64]:
        """Dice of ``probability >= b / bins`` for every b, (bins + 1,); nan where truth and prediction are empty."""
        tp, fp = (counts[::-1].cumsum()[::-1] for counts in (self.positives, self.negatives))
        whole = tp + fp + self.positives.sum()
        dice = np.full(tp.shape, np.nan)
        np.divide(2 * tp, whole, out=dice, where=whole > 0)
        return dice

    def _ranks(self) -> tuple[Counts, Counts, Counts, int]:
        upto = self.negatives.cumsum()
        return self.positives, upto - self.negatives, upto, int(upto[-1])


def eleven_threshold_aupr(counts: RankingCounts) -> float | None:
    """A widespread variant of average precision, for comparison with figures that were computed so: do not use it.

    The trapezoid rule over the recall at the thresholds 0, 0.1, ..., 1, with precision 1 where nothing is predicted. It
    looks at the scale of the probabilities and not only at their order, does not see what lies between two thresholds,
    and joins the points by straight lines, which no threshold attains; the line up to precision 1 is a gift.

    Args:
        counts: of one or several images. A bin that a threshold parts counts as below it.

    Returns:
        A number in [0, 1]; None without truth.

    Example:
        >>> scores, truth = np.repeat([0.55, 0.45, 0.55, 0.45], [6, 4, 4, 86]), np.arange(100) < 10
        >>> counts = RankingCounts.of(scores, truth)
        >>> round(eleven_threshold_aupr(counts), 4), round(counts.average_precision, 4)
        (0.62, 0.4)
    """
    bins = len(counts.positives) - 1
    lowest = -(-np.arange(11) * bins // 10)  # k / 10 of the bins, rounded up, without a detour over floats
    tp, fp = (pixels[::-1].cumsum()[::-1][lowest] for pixels in (counts.positives, counts.negatives))
    if tp[0] == 0:
        return None
    precision = np.ones(11)
    np.divide(tp, tp + fp, out=precision, where=tp + fp > 0)
    return float((tp[:-1] - tp[1:]) @ (precision[:-1] + precision[1:])) / (2 * int(tp[0]))


def choose_threshold(
    probabilities: Sequence[Scores], truths: Sequence[Mask], valid: Sequence[Mask | None] | None = None
) -> float:
    """The threshold t for ``probability >= t`` that the Dice of validation images asks for; 0.5 if they do not care.

    The candidates are the multiples of 1 / 1024 between 0 and 1. The best has the highest mean Dice, or is the middle
    of several with the same. Of all that lie less than one standard error of the paired difference behind it, the one
    nearest to 0.5 is taken, because the best of a few images is mostly chance. An image counts nowhere where truth and
    prediction are empty, as in the mean Dice that is reported.

    Args:
        probabilities: one map in [0, 1] for each image; shapes may differ.
        truths: one mask for each image.
        valid: one mask or None for each image.

    Raises:
        UsageError: the lists differ in length or no image holds the class.

    Example:
        >>> choose_threshold([np.array([0.1, 0.2, 0.3, 0.4])], [np.array([False, False, True, True])])
        0.25
    """
    maps = [None] * len(truths) if valid is None else valid
    if not len(probabilities) == len(truths) == len(maps):
        msg = f"found {len(probabilities)} probability maps, {len(truths)} truths and {len(maps)} valid masks"
        raise UsageError(f"{msg}; give one of each for every image")
    cases = zip(probabilities, truths, maps, strict=True)
    counts = [RankingCounts.of(p, t, valid=v, bins=1024) for p, t, v in cases]
    if not any(c.positives.any() for c in counts):
        raise UsageError("no image holds the class, so that no threshold can be chosen; give images with truth")
    dice = np.array([c.dice()[1:-1] for c in counts])
    mean = np.nanmean(dice, axis=0)
    equal = np.flatnonzero(mean >= mean.max() - 1e-12)
    best = int(equal[len(equal) // 2])
    candidates = np.array([best, *np.flatnonzero(_within_error(dice, best))])
    return float(candidates[np.abs(candidates - 511).argmin()] + 1) / 1024


def best_mean_dice(counts: Sequence[RankingCounts]) -> float:
    """The mean Dice of some images at the threshold that is best for all of them together.

    Images that are empty in truth and prediction do not count. Thresholds are those of the counts, 0 left out.

    Args:
        counts: one for each image, with bins alike; at least one holds the class.

    Example:
        >>> scores, truth = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, False, True, True])
        >>> best_mean_dice([RankingCounts.of(scores, truth)])
        1.0
    """
    return float(np.nanmean([one.dice()[1:] for one in counts], axis=0).max())


def _within_error(dice: NDArray[np.float64], best: int) -> NDArray[np.bool_]:
    """Which columns of (images, thresholds) lie behind the best by less than one standard error of the difference."""
    behind = dice[:, [best]] - dice
    images = (~np.isnan(behind)).sum(0)
    enough = images > 1
    found = np.zeros(dice.shape[1], bool)
    error = np.nanstd(behind[:, enough], axis=0, ddof=1) / np.sqrt(images[enough])
    found[enough] = np.nanmean(behind[:, enough], axis=0) < error
    return found


def _ranks(scores: Scores, truth: Mask, valid: Mask | None) -> tuple[Counts, Counts, Counts, int]:
    """For each distinct score of a true pixel: true pixels there, false pixels below, false pixels up to it."""
    check_masks(scores.shape, truth=truth, valid=valid)
    if valid is not None:
        scores, truth = scores[valid], truth[valid]
    if np.isnan(scores).any():
        raise UsageError("scores hold nan; find out where they come from before scoring")
    negatives = np.sort(scores[~truth])
    values, positives = np.unique(scores[truth], return_counts=True)
    below = np.searchsorted(negatives, values, side="left")
    upto = np.searchsorted(negatives, values, side="right")
    return positives, below, upto, negatives.size


def _area(positives: Counts, below: Counts, upto: Counts, negatives: int) -> float | None:
    """Share of (true, false) pairs in the right order."""
    pairs = int(positives.sum()) * negatives
    # Twice the number of pairs is a whole number: exact in float64 up to 2^53, while int64 overflows on large sets.
    return float(positives.astype(np.float64) @ (below + upto)) / (2 * pairs) if pairs else None


def _precision(positives: Counts, below: Counts, negatives: int) -> float | None:
    """Precision at each distinct score, weighted by the true pixels there."""
    total = int(positives.sum())
    if total == 0:
        return None
    tp = positives[::-1].cumsum()[::-1]
    there = positives > 0
    precision = tp[there] / (tp[there] + negatives - below[there])
    return float(positives[there] @ precision) / total
