"""Scores of one mask for which a set's mean can be estimated; every image has one, none is dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot, inf, sqrt

import numpy as np

from leanseg.errors import UsageError
from leanseg.estimate.line import Values
from leanseg.metrics.overlap import confusion
from leanseg.metrics.surface import surface_distances
from leanseg.types import Mask

TOLERANCE = 2.0
"""Pixels that normalised surface Dice forgives."""


@dataclass(frozen=True, kw_only=True)
class SetMetric:
    """A score of a prediction and its truth.

    Args:
        score: of prediction and truth, (H, W) or (D, H, W) each.
        low: the smallest value.
        high: the largest value.
        higher_is_better: else a distance, whose worst value is the diagonal of the image.
    """

    score: Callable[[Mask, Mask], float]
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True

    def worst(self, shape: Sequence[int]) -> float:
        """What a missed structure scores in an image of that shape."""
        return 0.0 if self.higher_is_better else hypot(*shape)


def overlap(prediction: Mask, truth: Mask, *, name: str = "dice") -> float:
    """A score of :class:`leanseg.metrics.overlap.Confusion`; 1 where both are empty, 0 where it is 0 / 0 otherwise.

    Example:
        >>> nothing = np.zeros((2, 2), bool)
        >>> overlap(nothing, nothing), overlap(~nothing, nothing, name="sensitivity")
        (1.0, 0.0)
    """
    counts = confusion(prediction, truth)
    value: float | None = getattr(counts, name)
    return float(counts.both_empty) if value is None else value


def pixel_pearson(prediction: Mask, truth: Mask) -> float:
    """Correlation of two masks over the pixels; where one is constant, 1 if they are equal and 0 if not.

    Example:
        >>> round(pixel_pearson(np.array([True, False, False]), np.array([True, True, False])), 6)
        0.5
    """
    counts = confusion(prediction, truth)
    predicted, true, total = counts.tp + counts.fp, counts.tp + counts.fn, counts.total
    spread = sqrt(predicted * (total - predicted)) * sqrt(true * (total - true))
    if not spread:
        return float(counts.fp + counts.fn == 0)
    return min(1.0, max(-1.0, (counts.tp * total - predicted * true) / spread))


def hd95(prediction: Mask, truth: Mask) -> float:
    """95th percentile of the surface distances in pixels: 0 where both are empty, the diagonal where one is.

    Example:
        >>> hd95(np.zeros((3, 4), bool), np.ones((3, 4), bool))
        5.0
    """
    value = surface_distances(prediction, truth).hd95
    return 0.0 if value is None else value


def average_distance(prediction: Mask, truth: Mask) -> float:
    """Average symmetric surface distance in pixels: 0 where both are empty, the diagonal where one is.

    Example:
        >>> average_distance(np.zeros((3, 4), bool), np.ones((3, 4), bool))
        5.0
    """
    value = surface_distances(prediction, truth).average
    return 0.0 if value is None else value


def surface_dice(prediction: Mask, truth: Mask) -> float:
    """Share of both surfaces within two pixels of the other: 1 where both are empty, 0 where one is.

    Example:
        >>> surface_dice(np.zeros((3, 4), bool), np.ones((3, 4), bool))
        0.0
    """
    value = surface_distances(prediction, truth).surface_dice(TOLERANCE)
    return 1.0 if value is None else value


OVERLAP = ("dice", "jaccard", "precision", "sensitivity")
METRICS = {
    **{name: SetMetric(score=partial(overlap, name=name)) for name in OVERLAP},
    "pearson": SetMetric(score=pixel_pearson, low=-1.0),
    "hd95": SetMetric(score=hd95, high=inf, higher_is_better=False),
    "asd": SetMetric(score=average_distance, high=inf, higher_is_better=False),
    "nsd": SetMetric(score=surface_dice),
}
"""Metrics by name."""


def set_metric(name: str) -> SetMetric:
    """A metric by its name.

    Raises:
        UsageError: no such metric.

    Example:
        >>> set_metric("hd95").higher_is_better
        False
    """
    if name not in METRICS:
        raise UsageError(f"unknown metric {name!r}; choose {', '.join(METRICS)}")
    return METRICS[name]


def scores_of(predictions: Sequence[Mask], truths: Sequence[Mask], metric: str = "dice") -> Values:
    """(n,) scores, one for each image.

    Raises:
        UsageError: no such metric, or not one prediction for each truth.

    Example:
        >>> square = np.ones((2, 2), bool)
        >>> scores_of([square, ~square], [square, square]).tolist()
        [1.0, 0.0]
    """
    if len(predictions) != len(truths):
        raise UsageError(f"expected one prediction for each truth, found {len(predictions)} and {len(truths)}")
    score = set_metric(metric).score
    return np.array([score(prediction, truth) for prediction, truth in zip(predictions, truths, strict=True)])
