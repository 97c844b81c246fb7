"""One label for each pixel from classes that overlap, for display and counting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leanseg.errors import UsageError
from leanseg.types import Labels, Mask, Probabilities

LEAST = np.float32(1e-6)
"""Ratios are taken to thresholds of at least this: without a bound, a threshold of 0 would divide by zero."""


def merge(probabilities: Probabilities, threshold: Sequence[float]) -> Labels:
    """The class whose probability exceeds its own threshold by the largest factor.

    Candidates are the classes with p_k > theta_k, as in :func:`leanseg.inference.postprocess.to_labels`; among them
    the largest p_k / theta_k wins, the first class in a tie. Each pixel is decided alone, so bands give what the whole
    gives. A class of threshold 0 therefore wins over all others; between two of them the more probable one wins.

    The result is for display and counting. Scores that rank pixels need the probabilities of each class, and of
    classes that lie inside one another (cup in disc) only the mask of each class shows the whole.

    Args:
        probabilities: (K, *spatial), or a band of them.
        threshold: one for each class.

    Returns:
        (*spatial) class numbers, 0 where there is no candidate.

    Raises:
        UsageError: more than 255 classes.

    Example:
        >>> maps = np.array([[0.6, 0.6, 0.2], [0.1, 0.4, 0.2]], np.float32)
        >>> merge(maps, (0.5, 0.25)).tolist()
        [1, 2, 0]
    """
    if len(threshold) > np.iinfo(np.uint8).max:
        raise UsageError(f"a merged map holds at most 255 classes, found {len(threshold)}")
    labels = np.zeros(probabilities.shape[1:], np.uint8)
    best = np.zeros(labels.shape, np.float32)
    limits = np.asarray(threshold, np.float32)
    for number, (plane, limit) in enumerate(zip(probabilities, limits, strict=True), start=1):
        ratio = plane / max(limit, LEAST)
        wins = (plane > limit) & (ratio > best)
        labels[wins] = number
        np.copyto(best, ratio, where=wins)
    return labels


def conflicts(masks: Labels) -> Mask:
    """Where two or more classes claim a pixel.

    Args:
        masks: (K, *spatial) of 0/1.

    Example:
        >>> conflicts(np.array([[1, 1, 0], [0, 1, 0]], np.uint8)).tolist()
        [False, True, False]
    """
    claims: Labels = masks.sum(axis=0, dtype=np.uint8)
    return claims > 1
