"""The one definition of resizing: a triangle filter with half-pixel centres, widened where pictures shrink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from leanseg.types import Labels, Mask

Region: TypeAlias = tuple[slice, ...]
"""A part of a grid: one slice with start and stop for each spatial axis."""


def whole(shape: Sequence[int]) -> Region:
    """The region that covers a grid.

    Example:
        >>> whole((2, 3))
        (slice(0, 2, None), slice(0, 3, None))
    """
    return tuple(slice(0, size) for size in shape)


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """From one grid to another over the same field, part by part or at once with the same numbers.

    Output pixel i lies at (i + 1/2) r - 1/2 on the input grid, r being the input pixels per output pixel, and averages
    the input with the weights max(0, 1 - distance / max(r, 1)): linear interpolation where a picture grows, area
    averaging without aliasing where it shrinks.

    Args:
        before: size of the input grid, (H, W) or (D, H, W).
        after: size of the output grid.
        ratios: input pixels per output pixel along each axis; by default ``before / after``.

    Example:
        >>> Resampling(before=(1, 4), after=(1, 2))(np.array([[0.0, 0.0, 4.0, 4.0]])).tolist()
        [[0.5714285..., 3.4285714...]]
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    ratios: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.ratios:
            ratios = tuple(b / a for b, a in zip(self.before, self.after, strict=True))
            object.__setattr__(self, "ratios", ratios)

    @property
    def inverse(self) -> Resampling:
        """The way back to the input grid."""
        return Resampling(before=self.after, after=self.before, ratios=tuple(1 / r for r in self.ratios))

    def needed(self, wanted: Region) -> Region:
        """The part of the input that a part of the output is made of."""
        parts = []
        for part, size, ratio in zip(wanted, self.before, self.ratios, strict=True):
            reach = max(ratio, 1.0)
            first = int(np.floor((part.start + 0.5) * ratio - 0.5 - reach)) + 1
            last = int(np.ceil((part.stop - 0.5) * ratio - 0.5 + reach))
            start = min(max(first, 0), size - 1)
            parts.append(slice(start, max(min(last, size), start + 1)))
        return tuple(parts)

    def __call__(
        self, values: NDArray[Any], *, given: Region | None = None, wanted: Region | None = None
    ) -> NDArray[np.float32]:
        """Resample the last axes of an array.

        Args:
            values: (..., *spatial) pixels of the part ``given`` of the input grid.
            given: where ``values`` lie on the input grid; by default they are all of it.
            wanted: the part of the output grid to make; by default all of it.

        Returns:
            (..., *wanted) float32.
        """
        given = whole(self.before) if given is None else given
        wanted = whole(self.after) if wanted is None else wanted
        lead = values.ndim - len(self.before)
        needed = self.needed(wanted)
        inside = tuple(slice(n.start - g.start, n.stop - g.start) for n, g in zip(needed, given, strict=True))
        index = (*[slice(None)] * lead, *inside)
        result: NDArray[np.float32] = values[index].astype(np.float32, copy=False)
        for axis, part in enumerate(wanted):
            if self.before[axis] != self.after[axis] or self.ratios[axis] != 1.0:
                weights = _weights(self.before[axis], self.ratios[axis], needed[axis], part)
                result = _along(weights, result, lead + axis)
        return result


def resample_labels(labels: Labels, resampling: Resampling, *, overlapping: bool = False) -> Labels:
    """Bring class numbers to another grid: each output pixel takes the class that covers most of it.

    Args:
        labels: (*spatial) class numbers, or (K, *spatial) of 0/1 when classes overlap.
        resampling: from the grid of the labels to the other.
        overlapping: each class is decided by itself: covered by more than one half.

    Example:
        >>> half = Resampling(before=(1, 4), after=(1, 2))
        >>> resample_labels(np.array([[0, 0, 2, 2]], np.uint8), half).tolist()
        [[0, 2]]
    """
    if overlapping:
        return (resampling(labels) > 0.5).astype(np.uint8)
    best = resampling(labels == 0)
    result = np.zeros(best.shape, np.uint8)
    for number in np.unique(labels[labels > 0]):
        cover = resampling(labels == number)
        result[cover > best] = number
        np.maximum(best, cover, out=best)
    return result


def resample_mask(
    mask: Mask, resampling: Resampling, *, given: Region | None = None, wanted: Region | None = None
) -> Mask:
    """Bring a mask to another grid: True where at least one half is covered.

    Example:
        >>> resample_mask(np.array([[False, True]]), Resampling(before=(1, 2), after=(1, 4))).tolist()
        [[False, False, True, True]]
    """
    covered: Mask = resampling(mask, given=given, wanted=wanted) >= 0.5
    return covered


def _weights(size: int, ratio: float, needed: slice, wanted: slice) -> csr_array:
    """Rows are output pixels, columns input pixels; every row sums to one."""
    reach = max(ratio, 1.0)
    centres = (np.arange(wanted.start, wanted.stop) + 0.5) * ratio - 0.5
    # Grids that overhang the input (a last, partial block) repeat its last pixel.
    centres = np.clip(centres, 0.0, size - 1.0)
    taps = np.floor(centres - reach).astype(np.int64)[:, None] + np.arange(1, int(np.ceil(2 * reach)) + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(taps - centres[:, None]) / reach)
    # A tap exactly one reach away weighs nothing; rounding must not make it a pixel that was never read.
    weights[(taps < 0) | (taps >= size) | (weights < 1e-9)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights > 0
    rows = np.broadcast_to(np.arange(len(centres))[:, None], taps.shape)[used]
    shape = (len(centres), needed.stop - needed.start)
    return csr_array((weights[used].astype(np.float32), (rows, taps[used] - needed.start)), shape=shape)


def _along(weights: csr_array, values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Multiply one axis by a sparse matrix, plane by plane so that no copy of the whole is needed."""
    size = values.shape[axis]
    result = np.empty((*values.shape[:axis], weights.shape[0], *values.shape[axis + 1 :]), np.float32)
    if axis == values.ndim - 1:
        result.reshape(-1, weights.shape[0])[...] = (weights @ values.reshape(-1, size).T).T
        return result
    inner = int(np.prod(values.shape[axis + 1 :]))
    pairs = zip(values.reshape(-1, size, inner), result.reshape(-1, weights.shape[0], inner), strict=True)
    for source, target in pairs:
        target[...] = weights @ source
    return result
