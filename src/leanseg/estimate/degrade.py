"""Twelve ways to spoil a mask: they show how pseudo and real scores move together when there is one model only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt

from leanseg.errors import UsageError
from leanseg.types import Mask

GRADES: tuple[tuple[str, float], ...] = (
    *(("erode", share) for share in (0.15, 0.35, 0.6)),
    *(("dilate", share) for share in (0.2, 0.6, 1.5)),
    *(("shift", share) for share in (0.1, 0.3, 0.7)),
    *(("drop", share) for share in (0.2, 0.45, 0.7)),
)
"""What is done and how much: share of the pixels lost or won, of the thickness shifted, of the blocks dropped."""

BLOCKS = 8
"""Blocks along each axis that are dropped as a whole."""


def degrade(mask: Mask, grade: int, *, seed: int = 0) -> Mask:
    """Erode, dilate, shift or drop blocks of a mask, in proportion to the structure so that thin ones survive.

    Args:
        mask: (H, W) or (D, H, W); an empty one stays empty.
        grade: 0 to 11, an index of :data:`GRADES`.
        seed: fixes the direction of shifts and the blocks.

    Raises:
        UsageError: no such grade.

    Source:
        Ours; it takes the place of the checkpoints of SPE, arXiv 2504.15667.

    Example:
        >>> square = np.zeros((32, 32), bool)
        >>> square[8:24, 8:24] = True
        >>> [int(degrade(square, grade).sum()) for grade in (0, 3)]
        [196, 320]
    """
    if not 0 <= grade < len(GRADES):
        raise UsageError(f"grade must lie in 0 to {len(GRADES) - 1}, found {grade}")
    if not mask.any():
        return mask.copy()
    kind, share = GRADES[grade]
    rng = np.random.default_rng([seed, grade])
    if kind == "shift":
        return _shifted(mask, share, rng)
    if kind == "drop":
        return mask & ~_blocks(mask.shape, share, rng)
    return _resized(mask, -share if kind == "erode" else share)


def sweep(masks: Sequence[Mask], *, seed: int = 0) -> list[list[Mask]]:
    """All twelve grades of the masks of a set, one row for each grade.

    Args:
        masks: one for each image.
        seed: the same seed gives the same rows.

    Example:
        >>> len(sweep([np.ones((16, 16), bool)]))
        12
    """
    return [[degrade(mask, grade, seed=seed + i) for i, mask in enumerate(masks)] for grade in range(len(GRADES))]


def _resized(mask: Mask, share: float) -> Mask:
    """The mask larger or smaller by about a share of its pixels, those nearest to the border first."""
    side = mask if share < 0 else ~mask
    if not side.any() or mask.all():
        return mask.copy()
    depth = distance_transform_edt(side)
    ascending = np.sort(depth[side])
    reach = ascending[min(ascending.size, max(1, round(abs(share) * np.count_nonzero(mask)))) - 1]
    near: Mask = side & (depth <= reach)
    grown = mask | near
    # What is as thin as one pixel would vanish as a whole.
    shrunk = mask & ~near if (mask & ~near).any() else mask
    return shrunk if share < 0 else grown


def _shifted(mask: Mask, share: float, rng: np.random.Generator) -> Mask:
    """The mask moved in a random direction by a share of its thickness; nothing comes in at the border."""
    depth = distance_transform_edt(np.pad(mask, 1))[(slice(1, -1),) * mask.ndim]
    # The mean distance to the border of a disc is a third of its radius.
    thickness = 6 * float(depth[mask].mean())
    direction = rng.normal(size=mask.ndim)
    direction /= np.abs(direction).max()
    steps = np.round(max(1.0, share * thickness) * direction).astype(int)
    steps = np.clip(steps, np.negative(mask.shape), mask.shape)
    moved = np.zeros_like(mask)
    target = tuple(slice(max(step, 0), size + min(step, 0)) for step, size in zip(steps, mask.shape, strict=True))
    source = tuple(slice(max(-step, 0), size + min(-step, 0)) for step, size in zip(steps, mask.shape, strict=True))
    moved[target] = mask[source]
    return moved


def _blocks(shape: Sequence[int], share: float, rng: np.random.Generator) -> Mask:
    """Where a share of the blocks of a grid lie."""
    chosen = rng.random((BLOCKS,) * len(shape)) < share
    return chosen[np.ix_(*(np.arange(size) * BLOCKS // size for size in shape))]
