"""What a probability map says about itself: the numbers that the usual estimates without labels are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from leanseg.estimate.line import Values
from leanseg.metrics.checks import check_masks, check_probabilities
from leanseg.types import Mask

Map = NDArray[np.floating[Any]]

THRESHOLDS: Values = expit(np.linspace(-3, 17, 201))
"""Confidences that are told apart: dense near 1, where those of networks crowd."""


class Confidence(NamedTuple):
    """Numbers of one map and class.

    Args:
        average: see :func:`average_confidence`.
        soft_dice: see :func:`soft_dice`.
        survival: see :func:`survival`.
    """

    average: float
    soft_dice: float
    survival: Values

    @classmethod
    def of(cls, probabilities: Map, mask: Mask) -> Confidence:
        """Measure a map.

        Args:
            probabilities: (H, W) of one class, in [0, 1]; after temperature scaling, where that is wanted
                (:func:`leanseg.metrics.calibration.apply_temperature`).
            mask: (H, W) where the model sees the class.

        Raises:
            UsageError: shapes, types or the range do not fit.
        """
        check_masks(probabilities.shape, mask=mask)
        check_probabilities(probabilities)
        return cls(
            average_confidence(probabilities, mask), soft_dice(probabilities, mask), survival(probabilities, mask)
        )


def average_confidence(probabilities: Map, mask: Mask) -> float:
    """Mean probability over the mask; 0 where it is empty. Over all pixels the background would drown the class.

    Source:
        Hendrycks and Gimpel, arXiv 1610.02136, in the class-wise form of Li et al., arXiv 2207.09957.

    Example:
        >>> average_confidence(np.array([0.9, 0.7, 0.1]), np.array([True, True, False]))
        0.8
    """
    return float(probabilities[mask].mean()) if mask.any() else 0.0


def soft_dice(probabilities: Map, mask: Mask) -> float:
    """2 sum(p y) / (sum p + sum y), the Dice to expect if the probabilities keep their word; 1 where all is 0.

    Source:
        Borges et al., arXiv 2402.10665.

    Example:
        >>> round(soft_dice(np.full(4, 0.5), np.ones(4, bool)), 4)
        0.6667
    """
    whole = float(probabilities.sum(dtype=np.float64)) + int(np.count_nonzero(mask))
    return 2 * float(probabilities[mask].sum(dtype=np.float64)) / whole if whole else 1.0


def survival(probabilities: Map, mask: Mask) -> Values:
    """The share of the mask's pixels whose probability reaches each of :data:`THRESHOLDS`; 0 where it is empty.

    Example:
        >>> shares = survival(np.array([0.02, 0.9]), np.array([True, True]))
        >>> float(shares[0]), float(shares[-1])
        (0.5, 0.0)
    """
    ascending = np.sort(probabilities[mask].astype(np.float64))
    below = np.searchsorted(ascending, THRESHOLDS, side="left")
    return 1.0 - below / ascending.size if ascending.size else np.zeros(THRESHOLDS.size)
