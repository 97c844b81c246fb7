"""From logits to probabilities and from probabilities to labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit

from leanseg.types import Classes, Labels, Mask, Probabilities


def to_probabilities(
    logits: NDArray[np.float32], *, classes: Classes, temperature: Sequence[float] = (1.0,)
) -> Probabilities:
    """Probabilities of the foreground classes.

    Args:
        logits: (outputs, *spatial); where classes compete, the background comes first.
        classes: how the outputs are to be read.
        temperature: divides the logits (Guo et al. 2017, arXiv 1706.04599); one number, or one for each output.

    Returns:
        (K, *spatial).

    Example:
        >>> to_probabilities(np.zeros((1, 2), np.float32), classes=Classes(names=("vessel",))).tolist()
        [[0.5, 0.5]]
    """
    scaled = logits / np.asarray(temperature, np.float32).reshape(-1, *[1] * (logits.ndim - 1))
    if classes.sigmoid:
        alone: Probabilities = expit(scaled)
        return alone
    scaled -= scaled.max(axis=0)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=0)
    return scaled[1:]


def to_labels(probabilities: Probabilities, *, classes: Classes, threshold: Sequence[float]) -> Labels:
    """Decide for every pixel.

    Args:
        probabilities: (K, *spatial).
        classes: one class or overlapping ones are compared with their thresholds; of competing ones the most probable,
            the background included, wins.
        threshold: one for each class.

    Returns:
        (*spatial) class numbers, or (K, *spatial) of 0/1 where classes overlap.

    Example:
        >>> two = Classes(names=("disc", "cup"))
        >>> to_labels(np.array([[0.6, 0.2], [0.3, 0.5]], np.float32), classes=two, threshold=(0.5, 0.5)).tolist()
        [1, 2]
    """
    if classes.sigmoid:
        limits = np.asarray(threshold, np.float32).reshape(-1, *[1] * (probabilities.ndim - 1))
        above = (probabilities > limits).astype(np.uint8)
        return above if classes.overlapping else above[0]
    best = 1 - probabilities.sum(axis=0)
    labels = np.zeros(best.shape, np.uint8)
    for number, plane in enumerate(probabilities, start=1):
        labels[plane > best] = number
        np.maximum(best, plane, out=best)
    return labels


def keep_largest(labels: Labels, *, classes: Classes) -> Labels:
    """Only the largest connected piece of each class; pieces that touch at a corner are one.

    Example:
        >>> keep_largest(np.array([[1, 0, 1, 1, 0, 2]], np.uint8), classes=Classes(names=("a", "b"))).tolist()
        [[0, 0, 1, 1, 0, 2]]
    """
    if classes.overlapping:
        return np.stack([_largest(plane > 0) for plane in labels]).astype(np.uint8)
    result = np.zeros_like(labels)
    for number in range(1, len(classes.names) + 1):
        result[_largest(labels == number)] = number
    return result


def _largest(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, np.uint8))
    if count < 2:
        return mask
    sizes = np.bincount(pieces.ravel())
    largest: Mask = pieces == 1 + sizes[1:].argmax()
    return largest
