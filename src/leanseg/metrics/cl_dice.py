"""Centreline Dice: whether a tree of vessels is whole, rather than how many of its pixels are right."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from leanseg.errors import UsageError
from leanseg.metrics.checks import check_masks
from leanseg.types import Mask


def cl_dice(prediction: Mask, truth: Mask, *, valid: Mask | None = None) -> float | None:
    """Harmonic mean of how much of each mask's centreline lies inside the other mask.

    Args:
        prediction: (H, W).
        truth: (H, W).
        valid: True where pixels count.

    The value depends a little on how lines are thinned: with scikit-image's skeleton it differs by less than 0.01 on
    drawn trees (a test).

    Returns:
        A number in [0, 1]; 0 when either mask alone is empty, None when both are.

    Raises:
        UsageError: the masks are not boolean, not 2-D or differ in shape.

    Source:
        Shit et al., clDice: a novel topology-preserving loss function for tubular structure segmentation, CVPR 2021,
        equations 1 and 2.

    Example:
        >>> truth = np.zeros((9, 20), bool)
        >>> truth[3:6, 1:19] = True
        >>> cl_dice(truth, truth), cl_dice(np.zeros_like(truth), truth)
        (1.0, 0.0)
    """
    check_masks(truth.shape, prediction=prediction, truth=truth, valid=valid)
    if valid is not None:
        prediction, truth = prediction & valid, truth & valid
    there = prediction.any(), truth.any()
    if not all(there):
        return 0.0 if any(there) else None
    precision = truth[skeleton(prediction)].mean()
    sensitivity = prediction[skeleton(truth)].mean()
    whole = precision + sensitivity
    return float(2 * precision * sensitivity / whole) if whole else 0.0


def skeleton(mask: Mask) -> Mask:
    """Thin a mask to lines one pixel wide; every connected piece (8 neighbours) stays one piece.

    Args:
        mask: (H, W).

    Raises:
        UsageError: the mask is not boolean or not 2-D.

    Source:
        Guo and Hall, Parallel thinning with two-subiteration algorithms, Communications of the ACM 1989, algorithm A1.

    Example:
        >>> bar = np.ones((3, 7), bool)
        >>> skeleton(bar).astype(int).tolist()
        [[0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0]]
    """
    check_masks(mask.shape, mask=mask)
    if mask.ndim != 2:
        raise UsageError(f"centrelines are found in 2-D, found a mask of shape {mask.shape}")
    if not mask.any():
        return mask.copy()
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    box = slice(top, top + height), slice(left, left + width)
    thin = mask[box].astype(np.uint8)
    before = -1
    while (left_over := int(np.count_nonzero(thin))) != before:
        before = left_over
        for stays in _STAYS:
            neighbours = cv2.filter2D(thin, -1, _WEIGHTS, borderType=cv2.BORDER_CONSTANT)
            thin &= cv2.LUT(neighbours, stays).view(np.uint8)
    whole = np.zeros_like(mask)
    whole[box] = thin.view(np.bool_)
    return whole


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """For each subiteration, whether a pixel stays, by the number that its eight neighbours spell."""
    codes = np.arange(256, dtype=np.uint8)
    # clockwise from north, the paper's p2 to p9
    n, ne, e, se, s, sw, w, nw = (codes >> bit & 1 == 1 for bit in range(8))
    runs = _count(~n & (ne | e), ~e & (se | s), ~s & (sw | w), ~w & (nw | n))
    pairs = np.minimum(_count(nw | n, ne | e, se | s, sw | w), _count(n | ne, e | se, s | sw, w | nw))
    simple = (runs == 1) & (pairs >= 2) & (pairs <= 3)
    north_east, south_west = (n | ne | ~se) & e, (s | sw | ~nw) & w
    return (~(simple & ~north_east)).astype(np.uint8), (~(simple & ~south_west)).astype(np.uint8)


def _count(*conditions: NDArray[np.bool_]) -> NDArray[np.int64]:
    count: NDArray[np.int64] = np.sum(conditions, axis=0, dtype=np.int64)
    return count


_STAYS = _tables()
_WEIGHTS = np.array([[128, 1, 2], [64, 0, 4], [32, 16, 8]], np.float32)
