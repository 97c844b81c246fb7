"""The published interval of in-context reverse accuracy, for comparison with ours."""

from __future__ import annotations

import numpy as np

from leanseg.estimate.conformal import conformal_quantile
from leanseg.estimate.image_band import DiceRange
from leanseg.estimate.line import Values

PERCENTILES = (40, 95)
"""Of the reverse scores, between which the Dice is sought before any widening."""


def percentile_rule(scores: Values, dice: Values, new: Values, *, alpha: float = 0.1) -> DiceRange:
    """The mean reverse score, and two percentiles widened by one margin so that enough calibration images fit in.

    Args:
        scores: (n, r) reverse scores of the calibration images, one for each reference.
        dice: (n,) their real Dice.
        new: (m, r) reverse scores of other predictions.
        alpha: promised share of intervals that miss.

    Raises:
        UsageError: alpha is out of range.

    Source:
        Cosarinsky et al., arXiv 2503.04522; quantile regression made conformal as Romano et al., arXiv 1905.03222.

    Example:
        >>> scores = np.tile(np.linspace(0.2, 0.8, 7), (9, 1))
        >>> found = percentile_rule(scores, np.full(9, 0.9), scores[:1])
        >>> [round(float(part[0]), 2) for part in found]
        [0.5, 0.31, 0.9]
    """
    low, high = np.percentile(scores, PERCENTILES, axis=1)
    margin = conformal_quantile(np.maximum(low - dice, dice - high), alpha)
    low, high = np.percentile(new, PERCENTILES, axis=1)
    return DiceRange(new.mean(1), np.clip(low - margin, 0, 1), np.clip(high + margin, 0, 1))
