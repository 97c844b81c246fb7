"""Count what was segmented while the bands of an image go by."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import entr

from leanseg.quality.traits import Traits
from leanseg.types import Classes, Labels, Mask, Probabilities


class Tally:
    """Area, connected pieces, mean probability and traits of one class; pieces that touch at a corner are one.

    Example:
        >>> tally = Tally()
        >>> for row in np.array([[[1, 0, 1]], [[1, 1, 0]]], bool):
        ...     tally.add(row, row * np.float32(0.75))
        >>> tally.area, tally.components, tally.mean_probability
        (4, 1, 0.75)
    """

    def __init__(self) -> None:
        self.area = 0
        self._inside = self._total = self._entropy = 0.0
        self._border = 0
        self._parents: list[int] = []
        self._joined = 0
        self._edge: NDArray[np.int64] | None = None

    @property
    def components(self) -> int:
        """Number of connected pieces so far."""
        return len(self._parents) - self._joined

    @property
    def mean_probability(self) -> float | None:
        """Mean probability inside the class; None where it is empty."""
        return self._inside / self.area if self.area else None

    def traits(self, *, field: int) -> Traits:
        """What tells how good the mask may be.

        Args:
            field: pixels of the field of view.
        """
        return Traits(
            area=self.area,
            field=field,
            inside=self._inside,
            total=self._total,
            entropy=self._entropy,
            border=self._border,
            components=self.components,
        )

    def add(self, mask: Mask, probability: NDArray[np.float32]) -> None:
        """Add the next band.

        Args:
            mask: (rows, ...) the class.
            probability: (rows, ...) its probability.
        """
        self.area += int(np.count_nonzero(mask))
        self._inside += float(probability.sum(where=mask, dtype=np.float64))
        self._total += float(probability.sum(dtype=np.float64))
        # Most pixels are certain: they add nothing, and their logarithms would take most of the time.
        unsure = probability[(probability > 1e-4) & (probability < 1 - 1e-4)]
        self._entropy += float(entr(unsure).sum(dtype=np.float64) + entr(1 - unsure).sum(dtype=np.float64))
        self._border += _border(mask)
        pieces, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, np.uint8))
        before = len(self._parents)
        self._parents.extend(range(before, before + count))
        first, last = (np.where(plane > 0, plane + before, 0).astype(np.int64) for plane in (pieces[0], pieces[-1]))
        if self._edge is not None:
            self._border += int(np.count_nonzero((self._edge > 0) != mask[0]))
            for one, other in _touching(self._edge, first):
                self._join(one - 1, other - 1)
        self._edge = last

    def _join(self, one: int, other: int) -> None:
        one, other = self._root(one), self._root(other)
        self._joined += one != other
        self._parents[other] = one

    def _root(self, piece: int) -> int:
        while self._parents[piece] != piece:
            self._parents[piece] = piece = self._parents[self._parents[piece]]
        return piece


def count(tallies: Sequence[Tally], labels: Labels, maps: Probabilities, classes: Classes) -> None:
    """Add a band to the tally of every class.

    Args:
        tallies: one for each class.
        labels: (rows, ...) class numbers; (K, rows, ...) of 0/1 where classes overlap.
        maps: (K, rows, ...) probabilities.
        classes: what the numbers mean.
    """
    for index, tally in enumerate(tallies):
        tally.add(labels[index] > 0 if classes.overlapping else labels == index + 1, maps[index])


def _border(mask: Mask) -> int:
    """Pairs of neighbours along the axes of which one belongs to the mask."""
    along = (mask.swapaxes(0, axis) for axis in range(mask.ndim))
    return sum(int(np.count_nonzero(one[1:] != one[:-1])) for one in along)


def _touching(edge: NDArray[np.int64], first: NDArray[np.int64]) -> set[tuple[int, int]]:
    """Numbers of pieces on two neighbouring planes that touch, corners included."""
    padded = np.pad(first, 1)
    pairs: set[tuple[int, int]] = set()
    for shift in product(range(3), repeat=edge.ndim):
        moved = padded[tuple(slice(s, s + n) for s, n in zip(shift, edge.shape, strict=True))]
        both = (edge > 0) & (moved > 0)
        pairs.update(map(tuple, np.unique(np.stack([edge[both], moved[both]], axis=1), axis=0).tolist()))
    return pairs
